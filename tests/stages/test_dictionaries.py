"""Stage dictionaries on a real activations file: what it writes, and that it learns."""

import json
from pathlib import Path

import pytest
import torch

from sparse_coding import methods
from sparse_coding.core.training.trainee import NotFinite
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries as dictionary_files
from sparse_coding.io.activations import ActivationsWriter, Header, open_activations
from sparse_coding.settings.grid import Member
from sparse_coding.settings.params import Architecture, Training, own_section
from sparse_coding.settings.params.choices import EarlyStop
from sparse_coding.settings.slices import DictionariesSlice
from sparse_coding.stages import dictionaries

SITE, D, N_TRAIN, N_HELD_OUT = "layer0_residual", 16, 6000, 1000
L1 = {"low": Member(seed=0, l1=0.0005), "high": Member(seed=0, l1=0.01), "other_seed": Member(seed=1, l1=0.0005)}


@pytest.fixture(scope="module")
def activations(tmp_path_factory) -> Path:
    """Sparse sums of 40 atoms, far from the origin and not of unit scale."""
    path = tmp_path_factory.mktemp("activations") / f"{SITE}.h5"
    random = torch.Generator().manual_seed(0)
    atoms = torch.nn.functional.normalize(torch.randn(40, D, generator=random), dim=1)
    header = Header(site=SITE, model="none", corpus="none", dtype="float32", d_act=D, block_rows=512)
    with ActivationsWriter(path, header, {"train": N_TRAIN, "held_out": N_HELD_OUT}) as writer:
        for split, rows in (("train", N_TRAIN), ("held_out", N_HELD_OUT)):
            shape = (rows, 40)
            codes = torch.rand(shape, generator=random) * (torch.rand(shape, generator=random) < 0.08)
            column = torch.arange(rows).numpy()
            writer.append(split, 30 * codes @ atoms + 50, column, column, column)  # type: ignore[arg-type]
    return path


def a_slice(
    architecture: Architecture = "tied", ratio: float = 2, members: dict[str, Member] = L1, lr: float = 0.01, **options
) -> DictionariesSlice:
    training = Training.model_validate({"steps": 300, "batch": 256, "log_steps": 50} | options)
    own = own_section(architecture)(lr=lr)
    return DictionariesSlice(
        site=SITE,
        architecture=architecture,
        ratio=ratio,
        members=members,
        training=training,
        own=own,
        penalty_warmup=own.penalty_warmup,
    )


def run(settings: DictionariesSlice, activations: Path, output: Path, threads: int = 1) -> Path:
    dictionaries.run(settings, activations=activations, output=output, threads=threads)
    return output


def fvu(activations: Path, path: Path) -> float:
    """The share of held-out variance that the dictionary leaves, on the vectors as they are in the file."""
    with open_activations(activations) as file:
        x = file.split("held_out").read(0, N_HELD_OUT).double()
    rebuilt = dictionary_files.load(path).reconstruct(x.float()).double()
    return float((rebuilt - x).square().sum() / (x - x.mean(0)).square().sum())


@pytest.fixture(scope="module")
def made(activations, tmp_path_factory) -> Path:
    return run(a_slice(), activations, tmp_path_factory.mktemp("made"), threads=2)


def test_a_control_says_what_it_is(activations, tmp_path):
    """And is its own training: of step0, no more than a look at the first batch."""
    whole = run(a_slice("untied", members={"high": L1["high"]}), activations, tmp_path / "whole")
    for control, steps in (("frozen_decoder", 300), ("step0", 0)):
        held = a_slice("untied", members={"high": L1["high"]}).model_copy(update={"control": control})
        stop = held.training.model_copy(update={"early_stop": EarlyStop(window=150)})
        held = held.model_copy(update={"training": stop})
        made = run(held, activations, tmp_path / control)
        _, settings = dictionary_files.load_with_settings(made / "high.safetensors")
        assert settings["control"] == control
        assert settings["training"]["steps"] == settings["steps_taken"] == steps
        assert fvu(activations, made / "high.safetensors") > fvu(activations, whole / "high.safetensors")
    assert len((made / "high.log.jsonl").read_text().splitlines()) == 1
    assert "control" not in dictionary_files.load_with_settings(whole / "high.safetensors")[1]


def test_there_is_a_file_and_a_log_for_each_member_and_no_other(made):
    assert {file.name for file in made.iterdir()} == {
        f"{name}{end}" for name in L1 for end in (".safetensors", ".log.jsonl")
    }


def test_the_header_holds_the_settings(made):
    dictionary, settings = dictionary_files.load_with_settings(made / "high.safetensors")
    assert dictionary.atoms.shape == (2 * D, D)
    assert settings == {
        "site": SITE,
        "architecture": "tied",
        "ratio": 2,
        "l1": 0.01,
        "k": None,
        "seed": 0,
        "lr": 0.01,
        "training": a_slice().training.model_dump(mode="json", exclude=UNTOLD, exclude_none=True)
        | a_slice().own.model_dump(mode="json", exclude={"lr"}, exclude_none=True)
        | {"learned_centre": True},
    }


UNTOLD = {"side_by_side", "device", "checkpoint_minutes", "optimiser"}  # adam is what files without one are of
BEFORE = "batch beta1 beta2 buffer_rows decay_share eps free_lengths gpu_precision initial_density initial_weights"
BEFORE += " l1_warmup_share learned_centre legacy_adam log_steps normalise shuffle_seed steps warmup_share"


@pytest.mark.parametrize(("architecture", "member"), [("untied", Member(0, l1=0.001)), ("topk", Member(0, k=3))])
def test_files_of_the_first_kinds_name_what_they_always_named(architecture, member, activations, tmp_path):
    settings = a_slice(architecture, members={"one": member}, steps=1)
    path = run(settings, activations, tmp_path) / "one.safetensors"
    assert sorted(dictionary_files.load_with_settings(path)[1]["training"]) == BEFORE.split()


def test_the_log_shows_the_loss_going_down(made):
    for name in L1:
        log = [json.loads(line) for line in (made / f"{name}.log.jsonl").read_text().splitlines()]
        assert [line["step"] for line in log][:6] == [0, 50, 100, 150, 200, 250]
        assert log[-1]["loss"] < 0.8 * log[0]["loss"]


def test_normalisation_is_folded_into_the_file(made, activations):
    """Raw vectors, 50 away from the origin, are rebuilt; a larger L1 leaves more, and costs codes."""
    low, high = (fvu(activations, made / f"{name}.safetensors") for name in ("low", "high"))
    assert low < 0.3
    assert low < high < 1
    with open_activations(activations) as file:
        x = file.split("held_out").read(0, N_HELD_OUT)
    l0 = {
        name: float((dictionary_files.load(made / f"{name}.safetensors").encode(x) > 0).sum(1).float().mean())
        for name in L1
    }
    assert l0["high"] < 0.8 * l0["low"]


@pytest.mark.parametrize("architecture", ["tied", "untied", "topk"])
def test_more_features_leave_less(architecture, activations, tmp_path):
    member = {"only": Member(seed=0, k=3) if architecture == "topk" else Member(seed=0, l1=0.005)}
    left = []
    for ratio in (0.5, 1, 3):
        run(a_slice(architecture, ratio, member), activations, tmp_path / str(ratio))
        assert dictionary_files.load(tmp_path / str(ratio) / "only.safetensors").n_feat == ratio * D
        left.append(fvu(activations, tmp_path / str(ratio) / "only.safetensors"))
    assert left[0] > left[1] > left[2]


def test_bytes_depend_neither_on_company_nor_on_threads(made, activations, tmp_path):
    alone = run(a_slice(members={"high": L1["high"]}), activations, tmp_path / "alone")
    turned = run(a_slice(members=dict(reversed(L1.items()))), activations, tmp_path / "turned", threads=3)
    for file in alone.iterdir():
        assert file.read_bytes() == (made / file.name).read_bytes()
    for file in turned.iterdir():
        assert file.read_bytes() == (made / file.name).read_bytes()
    assert (made / "low.safetensors").read_bytes() != (made / "other_seed.safetensors").read_bytes()


def test_without_normalisation_vectors_are_used_as_they_are(made, activations, tmp_path):
    run(a_slice(members={"low": L1["low"]}, normalise=False), activations, tmp_path)
    assert dictionary_files.load(tmp_path / "low.safetensors").centre.abs().max() == 0
    assert dictionary_files.load(made / "low.safetensors").centre.mean() == pytest.approx(50, rel=0.2)


@pytest.mark.parametrize("architecture", [kind for kind in methods.LEARNED if methods.of(kind).strength == "k"])
def test_more_codes_than_features_are_refused_before_any_work(architecture, activations, tmp_path):
    settings = a_slice(architecture, members={"one": Member(seed=0, k=33)})
    with pytest.raises(
        BadInput, match=rf"^grid\.k: found 33; wanted at most 32, the features of {architecture}_r2 of "
    ):
        run(settings, activations, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_ratio_that_gives_no_feature_is_refused_before_any_work(activations, tmp_path):
    with pytest.raises(BadInput, match=r"grid\.ratios: found 0\.01; wanted at least 0\.0625: one feature for d_act 16"):
        run(a_slice(ratio=0.01), activations, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_rate_that_makes_training_diverge_leaves_no_file(activations, tmp_path):
    heard: list[str] = []
    with pytest.raises(ArithmeticError, match=r"low: the loss is not finite at step .*lower the lr"):
        dictionaries.run(
            a_slice("untied", lr=1e30), activations=activations, output=tmp_path / "none", threads=1, done=heard.append
        )
    assert not (tmp_path / "none").exists()
    assert heard == []


@pytest.mark.parametrize("side_by_side", [1, 2, 8])
def test_a_member_that_diverges_takes_nothing_from_the_others(made, activations, tmp_path, side_by_side):
    members = {"low": L1["low"], "lost": Member(seed=0, l1=1e308), "high": L1["high"], "other_seed": L1["other_seed"]}
    heard: list[str] = []
    with pytest.raises(NotFinite, match=r"lost: the loss is not finite at step \d+"):
        dictionaries.run(
            a_slice(members=members, side_by_side=side_by_side),
            activations=activations,
            output=tmp_path,
            threads=2,
            done=heard.append,
        )
    assert sorted(heard) == sorted(L1)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {
        file.name: file.read_bytes() for file in made.iterdir()
    }


def test_done_hears_of_a_member_when_its_files_are_there(activations, tmp_path):
    there: list[tuple[str, set[str]]] = []

    def done(name: str) -> None:
        there.append((name, {file.name for file in tmp_path.glob(f"{name}.*")}))

    settings = a_slice(steps=20, side_by_side=2)
    dictionaries.run(settings, activations=activations, output=tmp_path, threads=1, done=done)
    assert there == [(name, {f"{name}.safetensors", f"{name}.log.jsonl"}) for name in L1]


def test_how_many_are_trained_side_by_side_changes_no_byte(made, activations, tmp_path):
    run(a_slice(side_by_side=1), activations, tmp_path, threads=2)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {
        file.name: file.read_bytes() for file in made.iterdir()
    }


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(activations, tmp_path):
    with pytest.raises(BadInput, match=r"dictionaries\.device: .*no GPU.*auto or cpu"):
        dictionaries.run(a_slice(device="cuda"), activations=activations, output=tmp_path, threads=1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_trains_what_the_processor_trains(made, activations, tmp_path):
    dictionaries.run(a_slice(device="cuda"), activations=activations, output=tmp_path, threads=1)
    for name in L1:
        own, other = (
            json.loads((folder / f"{name}.log.jsonl").read_text().splitlines()[-1]) for folder in (tmp_path, made)
        )
        assert own["loss"] == pytest.approx(other["loss"], rel=1e-3)
