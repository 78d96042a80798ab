"""A new optimiser is one file and one row: a made-up one goes from the plan to the file, in a copy of the project.

What it does is held against torch.optim.SGD.
"""

import re
import shutil
import sys
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_coding import load_dictionary, methods
from sparse_coding.core.architectures import build
from sparse_coding.core.architectures.contract import Penalty
from sparse_coding.core.training import gpu, optimisers, processor
from sparse_coding.core.training.steps import dense, sparse
from sparse_coding.core.training.trainee import Schedule, Trainee
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries as dictionary_files
from sparse_coding.stages import dictionaries
from tests.architectures import BY_NAME
from tests.core.test_processor import stream
from tests.line.tiny_line import TINY, write_texts
from tests.made_up import momentum
from tests.made_up.test_kinds import ROW, run
from tests.reference import train_reference
from tests.stages import test_unfinished as unfinished
from tests.stages.test_unfinished import vectors  # noqa: F401
from tests.tiny_model import make_tiny_model
from tests.what_reruns import text
from tests.workspace import ROOT, write_params

MODULE = "src/sparse_coding/core/training/optimisers/momentum.py"
TEST = "tests/core/test_momentum.py"
MADE = momentum.build({"beta1": 0.9})
SCHEDULE = Schedule(steps=60, lr=0.5, warmup=5, decay=20, l1_warmup=10)
SITE = "layer1_residual"


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), decay=st.sampled_from([0.0, 0.5, 0.9]), as_tensors=st.booleans())
def test_every_step_is_that_of_torch(seed, decay, as_tensors):
    generator = torch.Generator().manual_seed(seed)
    ours = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    theirs = ours.clone().requires_grad_()
    made = momentum.build({"beta1": decay})({"a": ours})
    reference = torch.optim.SGD([theirs], lr=1.0, momentum=decay)
    for step in range(50):
        gradient = torch.randn(4, 3, generator=generator, dtype=torch.float64)
        theirs.grad, reference.param_groups[0]["lr"] = gradient.clone(), 0.01 * (1 + step % 7)
        rates = made.begin(0.01 * (1 + step % 7))
        if as_tensors:
            rates = tuple(torch.tensor(rates, dtype=torch.float64).unbind())
        made.move("a", gradient[:1], rates, slice(1))
        made.move("a", gradient[1:], rates, slice(1, None))
        reference.step()
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-12, atol=1e-12)


def member(name):
    penalty = Penalty(l1=1e-3, k=4)
    made = Trainee(name, BY_NAME[name], (96, 32), penalty, 0, SCHEDULE, MADE, 1)
    made.density = 0.05  # few enough for the sparse step
    return made


@pytest.mark.parametrize("name", BY_NAME)
def test_steps_by_hand_follow_autograd_and_torch_without_the_loops_that_have_adam_in_them(name):
    ours, stacked = member(name), member(name)
    initial = {key: value.clone() for key, value in ours.parameters.items()}
    with patch.object(sparse, "step") as loops, patch.object(dense, "step", wraps=dense.step) as by_hand:
        processor.train([ours], iter(stream()), threads=1)
    assert (loops.call_count, by_hand.call_count) == (0, 60)
    gpu.train([stacked], iter(stream()), torch.device("cpu"))
    _, losses = train_reference(
        name, initial, stream(), ours.penalty, SCHEDULE, lambda leaves: torch.optim.SGD(leaves, lr=1.0, momentum=0.9)
    )
    assert all((ours.parameters[key] - value).abs().max() > 1e-3 for key, value in initial.items())
    for trained in (ours, stacked):
        assert [line["loss"] for line in trained.log] == pytest.approx(losses, rel=1e-2 if name == "topk" else 1e-4)


@pytest.mark.parametrize("n", [1, 2])
def test_broken_off_it_goes_on_to_the_same_bytes(vectors, tmp_path, n, monkeypatch):  # noqa: F811
    row = methods.Optimiser("momentum", 1, "made up")
    monkeypatch.setitem(methods.OPTIMISERS, "momentum", row)
    monkeypatch.setitem(sys.modules, "sparse_coding.core.training.optimisers.momentum", momentum)
    wanted = [unfinished.settings("tied", n, minutes=minutes) for minutes in (1e-9, 1e9)]
    often, never = (
        each.model_copy(update={"training": each.training.model_copy(update={"optimiser": "momentum"})})
        for each in wanted
    )
    unfinished.train(vectors, tmp_path / "whole", never)
    with pytest.raises(unfinished.Broken):
        unfinished.train(vectors, tmp_path / "broken", often, breaks_at=n * 70)
    (kept, *_) = (tmp_path / "broken" / "partly").iterdir()
    tensors, numbers = dictionaries.unfinished.load(kept, unfinished._of(kept))
    assert numbers["count"] == numbers["step"] > 0
    assert {name.rpartition(".")[0] for name in tensors} == {"parameters", "moments.velocity"}
    unfinished.train(vectors, tmp_path / "broken", often)
    assert unfinished.files(tmp_path / "broken") == unfinished.files(tmp_path / "whole")


@pytest.mark.parametrize("called", ["state", "parameters"])
def test_what_it_keeps_takes_the_place_of_nothing_else(called):
    one = type("One", (momentum.Momentum,), {"keeps": (called,)})
    architecture = build("tied", {"initial_weights": "unit", "free_lengths": True})
    made = Trainee("one", architecture, (8, 4), Penalty(l1=1e-3), 0, SCHEDULE, lambda own: one(own, 0.9), 1)
    assert sorted(made.kept()[0]) == [
        f"moments.{called}.atoms", f"moments.{called}.bias", "parameters.atoms", "parameters.bias", "state.lengths",
    ]  # fmt: skip


@pytest.mark.gate
def test_it_goes_from_the_plan_to_the_file(tmp_path):
    for name in ("src", "rules", "profiles", "prompts"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.egg-info"))
    for name in ("Snakefile", "hub.lock.json"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copy(momentum.__file__, tmp_path / MODULE)
    before = 'Optimiser("adam", '
    text(ROW, before, f'Optimiser("momentum", 1, "made up"), {before}')(tmp_path)
    training = TINY["dictionaries"] | {"optimiser": "momentum", "tied": {"lr": 0.5}}
    grid = {"sites": [SITE], "architectures": ["tied"], "ratios": [2], "l1": [0.002]}
    interp = TINY["autointerp"] | {"members": "all", "random_weights": None}
    write_params(tmp_path, TINY | {"grid": grid, "dictionaries": training, "autointerp": interp})
    make_tiny_model(tmp_path / "models" / "tiny", layers=2)
    write_texts(tmp_path / "texts")
    assert "dictionaries" in run(tmp_path, "-m", "sparse_coding", "forecast", "--no-probe")
    path = f"results/dictionaries/{SITE}/tied_r2_l1-0.002_s0.safetensors"
    run(tmp_path, "-m", "snakemake", "--cores", "2", path)
    assert load_dictionary(tmp_path / path).n_feat > 0
    assert dictionary_files.load_with_settings(tmp_path / path)[1]["training"]["optimiser"] == "momentum"
    assert f"{path}: fresh" in run(tmp_path, "-m", "sparse_coding", "why", path)
    text(MODULE, "velocity.mul_", "velocity.mul_(1.0).mul_")(tmp_path)
    assert "optimisers/momentum.py" in run(tmp_path, "-m", "sparse_coding", "why", path)


def test_one_that_there_is_not_is_refused():
    with pytest.raises(BadInput, match="one of adam"):
        optimisers.build("nothing", {})


def test_the_list_of_files_is_that_of_contributing():
    lines = (ROOT / "CONTRIBUTING.md").read_text().split("- *An optimiser*:")[1].split("\n- *")[0].split("\n\n")[0]
    named = re.findall(r"`([\w/.<>-]+\.(?:py|md))`", lines)
    wanted = [each.replace("momentum", "<name>").removeprefix("src/sparse_coding/") for each in (MODULE, ROW, TEST)]
    assert wanted == named
