"""Choices of training that are off unless asked for: each broken off and gone on with, in company, refused."""

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparse_coding import methods
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries
from sparse_coding.io.activations import open_activations
from sparse_coding.settings import params_file
from sparse_coding.settings.params import Dictionaries
from tests.stages.test_unfinished import STEPS, Broken, files, settings, train
from tests.stages.test_unfinished import vectors as vectors
from tests.workspace import write_params

CHOICES = {
    "k annealing": ("topk", {"k_anneal_share": 0.5}, {}),
    "k annealing of batches": ("batchtopk", {"k_anneal_share": 0.5}, {}),
    "a limit of norms": ("tied", {}, {"norm_limit": 1.5}),
    "early stop": ("tied", {}, {"early_stop": {"window": 14, "gain": 0.5}}),
    "resampling": ("untied", {"resample": {"every": 20, "dead_after": 2}, "lr": 0.1}, {}),
    "resampling of one matrix": ("tied", {"resample": {"every": 20, "dead_after": 2}, "lr": 0.1}, {}),
    "resampling by autograd": ("gated", {"resample": {"every": 20, "dead_after": 2}, "lr": 0.1}, {}),
    "clipping": ("untied", {}, {"clip_norm": 1e-3}),
}


@pytest.mark.parametrize("choice", CHOICES)
def test_bytes_hang_neither_on_company_nor_threads_nor_kills_and_are_others_than_without(vectors, tmp_path, choice):
    kind, own, common = CHOICES[choice]

    def wanted(n, **more):
        return settings(kind, n, own=own, **common, **more)

    train(vectors, tmp_path / "whole", wanted(2, minutes=1e9), threads=2)
    train(vectors, tmp_path / "alone", wanted(1, minutes=1e9), threads=1)
    train(vectors, tmp_path / "without", settings(kind, 1, minutes=1e9))
    draw, broken = random.Random(choice), 0
    for _ in range(4):
        try:
            train(vectors, tmp_path / "broken", wanted(2), breaks_at=draw.randrange(1, 2 * STEPS))
        except Broken:
            broken += 1
    train(vectors, tmp_path / "broken", wanted(2), threads=1)
    assert broken >= 2
    whole, alone, without = (files(tmp_path / name) for name in ("whole", "alone", "without"))
    assert files(tmp_path / "broken") == whole
    assert alone.items() <= whole.items()
    assert not set(alone.values()) & set(without.values())
    if "resample" in own:
        assert sum(line.get("resampled", 0) for line in log(tmp_path / "whole", f"{kind}0")) > 0


@pytest.mark.parametrize("kind", ["topk", "batchtopk", "jumprelu"])
def test_members_of_one_cell_have_the_rate_of_their_codes_and_of_eight_the_bytes_of_before(vectors, tmp_path, kind):
    """Which rate a member had stands in its file; for eight codes nothing else says that there is a rule."""
    wanted = settings(kind, 2, minutes=1e9)
    name = "l0" if kind == "jumprelu" else "k"
    members = dict(zip(wanted.members, (8, 2), strict=True))
    given = {each: replace(wanted.members[each], **{name: codes}) for each, codes in members.items()}
    growing, same = (
        wanted.model_copy(update={"members": given, "own": wanted.own.model_copy(update={"lr_grows_to": most})})
        for most in (32, None)
    )
    for folder, each in (("growing", growing), ("same", same)):
        train(vectors, tmp_path / folder, each)
    rates = [header(tmp_path / "growing", each)["lr"] for each in members]
    assert rates == [pytest.approx(wanted.own.lr), pytest.approx(wanted.own.lr / 2)]
    eight, two = members
    one, other = files(tmp_path / "growing"), files(tmp_path / "same")
    assert one[f"{eight}.safetensors"] == other[f"{eight}.safetensors"]
    assert one[f"{two}.safetensors"] != other[f"{two}.safetensors"]


def test_vectors_of_another_length_are_the_same_to_begin_with_and_are_folded_back(vectors, tmp_path):
    """Before the first step all that is longer is the error; afterwards biases have moved less, and x comes back."""
    ends = {}
    for length in ("unit", "root"):
        train(vectors, tmp_path / length, settings("matryoshka", 1, minutes=1e9, own={"vector_length": length}))
        first, *_, ends[length] = log(tmp_path / length, "matryoshka0")
        ends[length] |= {"first": first, "header": header(tmp_path / length, "matryoshka0")["training"]}
    with open_activations(vectors) as file:
        d_act, held_out = file.d_act, file.split("held_out").read(0, file.split("held_out").n_rows).float()
    first, other = (ends[length]["first"] for length in ("unit", "root"))
    assert other["mse"] == pytest.approx(d_act * first["mse"], rel=1e-4)
    assert other["l0"] == pytest.approx(first["l0"], rel=0.02)
    for length in ends:
        made = dictionaries.load(tmp_path / length / "output" / "matryoshka0.safetensors")
        assert ends[length]["header"]["vector_length"] == length
        left = (made.reconstruct(held_out) - held_out).square().sum() / (held_out - held_out.mean(0)).square().sum()
        assert 0.01 < left < 0.9


def header(work: Path, name: str) -> dict:
    """What a file says of its training."""
    return dictionaries.load_with_settings(work / "output" / f"{name}.safetensors")[1]


def log(work: Path, name: str) -> list[dict]:
    return [json.loads(line) for line in (work / f"output/{name}.log.jsonl").read_text().splitlines()]


def test_what_is_not_chosen_stands_in_no_file(vectors, tmp_path):
    train(vectors, tmp_path, settings("topk", 1, minutes=1e9))
    assert not {name for name, value in header(tmp_path, "topk0")["training"].items() if value is None}


def test_vectors_that_are_left_out_are_counted_in_the_file_and_in_the_log(vectors, tmp_path, capsys):
    train(vectors, tmp_path, settings("tied", 1, minutes=1e9, norm_limit=1.5))
    with open_activations(vectors) as file:
        splits = [file.split(name) for name in ("train", "held_out")]
        norms, others = (each.read(0, each.n_rows).double().norm(dim=1).numpy() for each in splits)
    most = 1.5 * float(np.median(norms))
    told, longer = header(tmp_path, "tied0")["left_out"], int((norms > most).sum())
    assert told == {"longest": pytest.approx(most), "train": longer, "held_out": int((others > most).sum())}
    assert 0 < longer < len(norms) / 2
    assert f"norm_limit: {longer} of {len(norms)} vectors are longer than {most:.6g}; " in capsys.readouterr().err


def test_steps_taken_stand_in_the_file(vectors, tmp_path):
    train(vectors, tmp_path, settings("tied", 2, minutes=1e9, early_stop={"window": 14, "gain": 0.5}))
    for name in ("tied0", "tied1"):
        ends = [line["ends"] for line in log(tmp_path, name) if "ends" in line]
        assert [header(tmp_path, name)["steps_taken"]] == ends
        assert ends[0] < STEPS


REFUSED = {
    "k annealing of a kind without k": (
        {"untied": {"k_anneal_share": 0.1}},
        r"dictionaries\.untied\.k_anneal_share: found an unknown key",
    ),
    "a norm of 0": ({"clip_norm": 0}, r"dictionaries\.clip_norm: found 0; wanted greater than 0"),
    "a limit that leaves out half": ({"norm_limit": 1}, r"dictionaries\.norm_limit: found 1; wanted greater than 1"),
    "windows between lines of the log": (
        {"log_steps": 20, "early_stop": {"window": 19}},
        r"yaml: dictionaries\.early_stop\.window: found 19; wanted at least log_steps, 20: the log",
    ),
    "resampling of a kind without L1": (
        {"topk": {"resample": {"every": 20, "dead_after": 2}}},
        r"dictionaries\.topk\.resample: found an unknown key",
    ),
    "windows of early stop that never are two": (
        {"steps": 150, "early_stop": {"window": 76}},
        r"yaml: dictionaries\.early_stop\.window: found 76; wanted at most 75, half of the steps: two windows are ",
    ),
    "resampling after its end": (
        {"steps": 400, "untied": {"resample": {}}},
        r"yaml: dictionaries\.untied\.resample\.every: found 250; wanted at most 200, until_share of the 400 steps; ",
    ),
    "resampling that is no section": (
        {"untied": {"resample": True}},
        r"dictionaries\.untied\.resample: found True; wanted a section of every, dead_after, until_share$",
    ),
    "resampling at no time": ({"tied": {"resample": {"every": 0, "dead_after": 2}}}, r"tied\.resample\.every: found 0"),
    "k annealing beyond the end": (
        {"topk": {"k_anneal_share": 1.5}},
        r"dictionaries\.topk\.k_anneal_share: found 1\.5",
    ),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_nonsense_is_refused_in_one_message(tmp_path, mistake):
    section, said = REFUSED[mistake]
    write_params(tmp_path, {"dictionaries": section})
    with pytest.raises(BadInput, match=said) as refused:
        params_file.load(tmp_path / "params.yaml")
    assert "\n" not in str(refused.value)


def test_every_kind_with_k_can_be_annealed_and_no_other():
    sections = Dictionaries()
    for kind in methods.LEARNED:
        assert hasattr(sections.of(kind), "k_anneal_share") == (methods.of(kind).strength == "k")
