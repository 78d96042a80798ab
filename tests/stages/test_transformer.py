"""Stage transformer: a run that is killed and started again ends where an undisturbed one ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

import sparse_coding
from sparse_coding.errors import BadInput
from sparse_coding.lm import model_card
from sparse_coding.params import Transformer
from sparse_coding.stages import transformer

# Each step takes a while, so that the kill comes between the first checkpoint and the end.
SLOW_RUN = """
import sys, time
from pathlib import Path
from sparse_coding.params import Transformer
from sparse_coding.stages import transformer

step = transformer.pretraining.Run.train_step
transformer.pretraining.Run.train_step = lambda *arguments: (time.sleep(0.1), step(*arguments))[1]
settings, output, checkpoints = sys.argv[1:]
settings = Transformer.model_validate_json(settings)
transformer.run(settings, output=Path(output), checkpoints=Path(checkpoints), threads=1)
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Transformer:
    folder = tmp_path_factory.mktemp("corpus")
    random = np.random.default_rng(0)
    words = [f"{a}{b}" for a in "bdfgklmn" for b in ("a", "ei", "o")]
    for index in range(60):
        (folder / f"{index}.txt").write_text(" ".join(random.choice(words, 120)))
    return Transformer(
        name="tiny", corpus=str(folder), vocabulary=280, d_model=16, layers=2, heads=2, context=16, batch=4,
        steps=60, warmup_steps=5, checkpoint_steps=20,
    )  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(settings: Transformer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    transformer.run(settings, output=folder / "tiny", checkpoints=folder / "checkpoints", threads=1)
    return folder / "tiny"


def test_a_killed_run_goes_on_to_the_same_weights(settings: Transformer, undisturbed: Path, tmp_path: Path) -> None:
    output, checkpoints = tmp_path / "tiny", tmp_path / "checkpoints"
    environment = os.environ | {"PYTHONPATH": str(Path(sparse_coding.__file__).parents[1])}
    arguments = [settings.model_dump_json(), str(output), str(checkpoints)]
    process = subprocess.Popen([sys.executable, "-c", SLOW_RUN, *arguments], env=environment, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not (checkpoints / "checkpoint.safetensors").exists() and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not output.exists()

    transformer.run(settings, output=output, checkpoints=checkpoints, threads=1)
    for name in ("model.safetensors", "training.json", "tokenizer.json"):
        assert (output / name).read_bytes() == (undisturbed / name).read_bytes(), name


def test_what_is_published_is_a_whole_model(settings: Transformer, undisturbed: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(undisturbed)
    assert sum(p.numel() for p in model.parameters()) == sum(
        p.numel() for p in load_file(undisturbed / "model.safetensors").values()
    )
    assert len(AutoTokenizer.from_pretrained(undisturbed)) <= settings.vocabulary
    assert sorted(file.suffix for file in undisturbed.iterdir() if file.name.startswith(("README", "loss"))) == [
        ".md",
        ".png",
    ]
    result = json.loads((undisturbed / "training.json").read_text())
    assert [point["step"] for point in result["curve"]] == [20, 40, 60]
    assert result["curve"][-1]["held_out_loss"] < result["curve"][0]["held_out_loss"]


def test_the_card_says_what_training_left(settings: Transformer, undisturbed: Path, tmp_path: Path) -> None:
    result = json.loads((undisturbed / "training.json").read_text())
    card = (undisturbed / "README.md").read_text()
    assert card.startswith("---\nlanguage: en\nlicense: ")
    for loss in (result["held_out_loss"], *result["ngram_losses"]):
        assert f"| {loss:.3f} | {np.exp(loss):.1f} |" in card
    model = AutoModelForCausalLM.from_pretrained(undisturbed)
    assert f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} million" in card
    (tmp_path / "training.json").write_bytes((undisturbed / "training.json").read_bytes())
    model_card.rewrite_card(settings, tmp_path)
    assert (tmp_path / "README.md").read_text() == card
    assert (tmp_path / "loss_curve.png").read_bytes() == (undisturbed / "loss_curve.png").read_bytes()


def test_the_card_of_pydocs_names_every_package(undisturbed: Path) -> None:
    result = json.loads((undisturbed / "training.json").read_text())
    card = model_card.model_card(Transformer(), result)
    for name, package in json.loads(model_card.pydocs.LOCK.read_text())["packages"].items():
        assert f"| {name} | {package['version']} | {package['licence']} |" in card


def test_a_checkpoint_of_other_settings_is_refused(settings: Transformer, undisturbed: Path, tmp_path: Path) -> None:
    checkpoints = undisturbed.parent / "checkpoints"
    other = settings.model_copy(update={"lr_adamw": 1e-3})
    with pytest.raises(BadInput, match=r"checkpoint\.safetensors: found a checkpoint of other settings"):
        transformer.run(other, output=tmp_path / "tiny", checkpoints=checkpoints, threads=1)
