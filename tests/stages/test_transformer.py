"""Stage transformer: a run that is killed and started again ends where an undisturbed one ends."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save
from transformers import AutoModelForCausalLM, AutoTokenizer

import sparse_coding
from sparse_coding.errors import BadInput
from sparse_coding.lm import model_card
from sparse_coding.lm.processes import Processes
from sparse_coding.settings.params import Transformer
from sparse_coding.stages import transformer

# Each step takes a while, so that the kill comes between the first checkpoint and the end.
SLOW_RUN = """
import sys, time
from pathlib import Path
from sparse_coding.settings.params import Transformer
from sparse_coding.stages import transformer

step = transformer.pretraining.Run.train_step
transformer.pretraining.Run.train_step = lambda *arguments: (time.sleep(0.1), step(*arguments))[1]
settings, output, checkpoints = sys.argv[1:]
settings = Transformer.model_validate_json(settings)
transformer.run(settings, output=Path(output), checkpoints=Path(checkpoints), threads=1)
"""


SEEDS_OWN = {"architecture": "gpt2", "heads": 8, "dropout": 0.2, "optimiser": "adamw", "lr_adamw": 0.01}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    random = np.random.default_rng(0)
    words = [f"{a}{b}" for a in "bdfgklmn" for b in ("a", "ei", "o")]
    for index in range(60):
        (folder / f"{index}.txt").write_text(" ".join(random.choice(words, 120)))
    return folder


def small(corpus: Path, **changes: object) -> Transformer:
    sizes = {"vocabulary": 280, "d_model": 16, "layers": 2, "heads": 2, "context": 16, "batch": 4}
    length = {"steps": 60, "warmup_steps": 5, "checkpoint_steps": 20}
    return Transformer.model_validate({"name": "tiny", "corpus": str(corpus)} | sizes | length | changes)


@pytest.fixture(scope="module", params=[{}, SEEDS_OWN], ids=["gpt_neox", "gpt2 with dropout"])
def settings(request: pytest.FixtureRequest, corpus: Path) -> Transformer:
    return small(corpus, **request.param)


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
    assert card.startswith("---\nlibrary_name: transformers\n")  # whose language and licence nobody named
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
    assert card.startswith("---\nlanguage: en\nlicense: mit\nlibrary_name: transformers\n")
    for name, package in json.loads(model_card.pydocs.LOCK.read_text())["packages"].items():
        assert f"| {name} | {package['version']} | {package['licence']} |" in card


def test_a_checkpoint_of_other_settings_is_refused(settings: Transformer, undisturbed: Path, tmp_path: Path) -> None:
    checkpoints = undisturbed.parent / "checkpoints"
    other = settings.model_copy(update={"lr_adamw": 1e-3})
    with pytest.raises(BadInput, match=r"checkpoint\.safetensors: found a checkpoint of other settings"):
        transformer.run(other, output=tmp_path / "tiny", checkpoints=checkpoints, threads=1)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"my notes", "a file that is no safetensors file"),
        (b"", "an empty file"),
        (save({"weight": torch.ones(1)}), "tensors that are no checkpoint"),
    ],
)
def test_a_checkpoint_that_is_none_is_refused(
    settings: Transformer, undisturbed: Path, tmp_path: Path, content: bytes, found: str
) -> None:
    shutil.copytree(undisturbed.parent / "checkpoints", tmp_path / "checkpoints")
    (tmp_path / "checkpoints" / "checkpoint.safetensors").write_bytes(content)
    with pytest.raises(BadInput, match=rf"checkpoint\.safetensors: found {found}; wanted a checkpoint .* moved away"):
        transformer.run(settings, output=tmp_path / "tiny", checkpoints=tmp_path / "checkpoints", threads=1)
    assert (tmp_path / "checkpoints" / "checkpoint.safetensors").read_bytes() == content


@pytest.mark.parametrize("changed", ["corpus", "tokenizer"])
def test_a_checkpoint_of_what_has_changed_under_its_name_is_refused(
    corpus: Path, undisturbed: Path, tmp_path: Path, changed: str
) -> None:
    texts, words = (Path(shutil.copytree(source, tmp_path / source.name)) for source in (corpus, undisturbed))
    settings = small(texts, tokenizer=str(words), steps=4, checkpoint_steps=2)
    places = {"output": tmp_path / "new", "checkpoints": tmp_path / "checkpoints", "threads": 1}
    transformer.run(settings, **places)
    if changed == "corpus":
        (texts / "0.txt").write_text("another text")
    else:
        tokenizer = AutoTokenizer.from_pretrained(words)
        tokenizer.add_tokens(["bada"])
        tokenizer.save_pretrained(words)
    with pytest.raises(BadInput, match=r"found a checkpoint of other settings, or of another corpus or tokenizer"):
        transformer.run(settings, **places)
    (tmp_path / "checkpoints" / "checkpoint.safetensors").unlink()
    transformer.run(settings, **places)
    assert (tmp_path / "new" / "tokenizer.json").read_bytes() == (words / "tokenizer.json").read_bytes()


def test_a_training_that_diverges_is_named(corpus: Path, tmp_path: Path) -> None:
    wild = small(corpus, lr_muon=1e30, lr_adamw=1e30)
    with pytest.raises(BadInput, match=r"transformer: found a held-out loss that is no number at step 20; wanted a lo"):
        transformer.run(wild, output=tmp_path / "tiny", checkpoints=tmp_path / "checkpoints", threads=1)
    assert not (tmp_path / "tiny").exists()


def test_a_tokenizer_without_bos_gets_what_blocks_began_with(corpus: Path, undisturbed: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(undisturbed)
    tokenizer.bos_token = None
    tokenizer.save_pretrained(tmp_path / "words")
    settings = small(corpus, tokenizer=str(tmp_path / "words"), steps=2)
    transformer.run(settings, output=tmp_path / "tiny", checkpoints=tmp_path / "checkpoints", threads=1)
    made = AutoTokenizer.from_pretrained(tmp_path / "tiny")
    assert made.bos_token_id == made.eos_token_id == 0


def test_two_processes_train_what_one_trains(corpus: Path, tmp_path: Path) -> None:
    """Started as the documentation says; what they left, one process takes up.

    Dropout differs from process to process, so it is left out.
    """
    one, two, more = (tmp_path / name for name in ("one", "two", "more"))
    plain = small(corpus, **SEEDS_OWN | {"dropout": 0, "steps": 20, "checkpoint_steps": 4})
    transformer.run(plain, output=one / "tiny", checkpoints=one / "checkpoints", threads=1)
    (tmp_path / "settings.json").write_text(plain.model_dump_json())
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"),
        *("-m", "sparse_coding", "transformer", "--settings", str(tmp_path / "settings.json"), "--threads", "1"),
        *("--output", str(two / "tiny"), "--checkpoints", str(two / "checkpoints")),
    ]
    environment = os.environ | {"PYTHONPATH": str(Path(sparse_coding.__file__).parents[1]), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((place / "tiny" / "training.json").read_text())["curve"] for place in (one, two))
    assert [point["step"] for point in first] == [4, 8, 12, 16, 20]
    for alone, shared in zip(first, second, strict=True):
        assert shared == pytest.approx(alone, rel=1e-4)

    transformer.run(plain, output=more / "tiny", checkpoints=two / "checkpoints", threads=1)
    for name in ("model.safetensors", "training.json"):
        assert (more / "tiny" / name).read_bytes() == (two / "tiny" / name).read_bytes(), name


def test_a_batch_that_processes_cannot_share_is_refused() -> None:
    Processes(0, 4, torch.device("cpu")).check(batch=16)
    with pytest.raises(BadInput, match=r"transformer\.batch: found 16 blocks; wanted a multiple of 3, the processes"):
        Processes(0, 3, torch.device("cpu")).check(batch=16)


def test_a_slice_of_a_corpus_is_trained_on(corpus: Path, undisturbed: Path, tmp_path: Path) -> None:
    texts = [json.dumps({"text": file.read_text()}) for file in sorted(corpus.iterdir())]
    (tmp_path / "texts.jsonl").write_text("\n".join(texts))
    sizes = {}
    for split in ("train[:50%]", "train"):
        settings = small(tmp_path / "texts.jsonl", split=split, tokenizer=str(undisturbed), steps=2)
        transformer.run(settings, output=tmp_path / split, checkpoints=tmp_path / f"{split}.part", threads=1)
        sizes[split] = json.loads((tmp_path / split / "training.json").read_text())["train_tokens"]
        assert (
            f"The corpus `{tmp_path / 'texts.jsonl'}` ({split}), split by document."
            in (tmp_path / split / "README.md").read_text()
        )
    assert sizes["train[:50%]"] == pytest.approx(sizes["train"] / 2, rel=0.05)


def test_some_documents_of_a_stream_are_trained_on(corpus: Path, undisturbed: Path, tmp_path: Path) -> None:
    texts = [json.dumps({"text": file.read_text()}) for file in sorted(corpus.iterdir())]
    (tmp_path / "texts.jsonl").write_text("\n".join(texts))
    few = small(tmp_path / "texts.jsonl", documents=20, shuffle_buffer=10, tokenizer=str(undisturbed), steps=4)
    for name, checkpoints in (("one", "a"), ("goes on", "a"), ("other", "b")):  # a checkpoint fits the same stream
        transformer.run(few, output=tmp_path / name, checkpoints=tmp_path / checkpoints, threads=1)
    for name in ("goes on", "other"):
        for file in ("model.safetensors", "training.json"):
            assert (tmp_path / name / file).read_bytes() == (tmp_path / "one" / file).read_bytes()
    result = json.loads((tmp_path / "one" / "training.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(undisturbed)
    one = len(tokenizer(json.loads(texts[0])["text"])["input_ids"]) + 1
    assert result["train_tokens"] == pytest.approx(20 * one, rel=0.2)
    said = f"The corpus `{tmp_path / 'texts.jsonl'}`, at most 20 documents of a stream, split by document."
    assert said in (tmp_path / "one" / "README.md").read_text()


def test_a_tokenizer_that_is_there_is_used(settings: Transformer, undisturbed: Path, tmp_path: Path) -> None:
    named = settings.model_copy(update={"tokenizer": str(undisturbed), "steps": 5, "vocabulary": 5000})
    transformer.run(named, output=tmp_path / "tiny", checkpoints=tmp_path / "checkpoints", threads=1)
    assert (tmp_path / "tiny" / "tokenizer.json").read_bytes() == (undisturbed / "tokenizer.json").read_bytes()
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "tiny")
    assert model.config.vocab_size == len(AutoTokenizer.from_pretrained(undisturbed))
    assert f"| tokenizer | that of `{undisturbed}`, " in (tmp_path / "tiny" / "README.md").read_text()


def test_a_tokenizer_that_is_not_there_is_replaced_only_where_that_is_allowed(
    settings: Transformer, undisturbed: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    strict = settings.model_copy(update={"tokenizer": str(tmp_path / "empty")})
    places = {"output": tmp_path / "tiny", "checkpoints": tmp_path / "checkpoints", "threads": 1}
    wanted = r"transformer\.tokenizer: found .*empty, which cannot be loaded \(.*\); wanted `train`, .*fallback: true"
    with pytest.raises(BadInput, match=wanted):
        transformer.run(strict, **places)
    assert not (tmp_path / "tiny").exists()

    transformer.run(strict.model_copy(update={"tokenizer_fallback": True}), **places)
    said = [line for line in capfd.readouterr().err.splitlines() if "is trained instead" in line]
    assert len(said) == 1
    assert f"because `{tmp_path / 'empty'}` could not be loaded" in (tmp_path / "tiny" / "README.md").read_text()
    for name in ("model.safetensors", "tokenizer.json"):
        assert (tmp_path / "tiny" / name).read_bytes() == (undisturbed / name).read_bytes(), name


def test_a_corpus_too_small_for_a_batch_is_named(settings: Transformer, tmp_path: Path) -> None:
    large = settings.model_copy(update={"batch": 100_000})
    with pytest.raises(
        BadInput, match=r"the training documents of .*: found \d+ blocks of 16 tokens; wanted at least 100"
    ):
        transformer.run(large, output=tmp_path / "tiny", checkpoints=tmp_path / "checkpoints", threads=1)


def test_a_gpu_that_is_not_there_is_refused(settings: Transformer, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(BadInput, match=r"transformer\.device: found cuda, and torch sees no GPU"):
        transformer.run(
            settings.model_copy(update={"device": "cuda"}), output=tmp_path / "a", checkpoints=tmp_path, threads=1
        )
