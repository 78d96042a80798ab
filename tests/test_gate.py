"""The gate: a dictionary that is known goes through the real workflow and must come out again.

Finding the atoms (MMCS) does not prove that the optimiser is right: a frozen Adam count or a missing encoder
gradient still finds them. So the gate also holds the training against a float64 reference written with autograd
and torch.optim.Adam: the loss at every logged step, and L0 and FVU at the end, within 1 %.
"""

import json
from itertools import islice

import numpy as np
import pytest
import torch

from sparse_coding.core import adam, ensemble
from sparse_coding.core.architectures import BY_NAME, contract, tied, untied
from sparse_coding.core.architectures.contract import Penalty
from sparse_coding.core.metrics.similarity import mmcs
from sparse_coding.io import dictionaries, stream
from sparse_coding.io.activations import open_activations
from sparse_coding.params import Dictionaries
from tests.core.test_adam import test_every_step_is_that_of_torch as adam_conformance
from tests.core.test_architectures import test_gradients_are_those_of_autograd as gradient_conformance
from tests.planted import plant
from tests.reference import paper_codes, train_reference
from tests.workspace import make_workspace, snakemake

TRAINING = Dictionaries.model_validate(
    {"steps": 1200, "batch": 512, "lr": {"tied": 0.02, "untied": 0.01, "topk": 0.004}, "log_steps": 10}
)
PENALTIES = {"tied": Penalty(l1=0.003), "untied": Penalty(l1=0.003), "topk": Penalty(k=6)}
NAMES = {"tied": "tied_r4_l1-0.003_s0", "untied": "untied_r4_l1-0.003_s0", "topk": "topk_r4_k6_s0"}
SHAPE = (256, 64)


def schedule(architecture, steps=TRAINING.steps):
    return ensemble.Schedule(
        steps=steps,
        lr=getattr(TRAINING.lr, architecture),
        warmup=round(TRAINING.warmup_share * steps),
        decay=round(TRAINING.decay_share * steps),
        l1_warmup=round(TRAINING.l1_warmup_share * steps),
    )


@pytest.fixture(scope="module")
def planted():
    return plant()


@pytest.fixture(scope="module")
def workspace(planted, tmp_path_factory):
    """The planted vectors, imported and trained on by the real rules."""
    folder = tmp_path_factory.mktemp("gate")
    params = {
        "grid": {
            "sites": ["planted"],
            "architectures": list(PENALTIES),
            "ratios": [4],
            "l1": [0.003],
            "k": [6],
        },
        "activations": {"imported": {"planted": "vectors"}, "dtype": "float32"},
        "dataset": {"held_out_share": 0.1},
        "dictionaries": TRAINING.model_dump(mode="json"),
    }
    make_workspace(folder, params)
    (folder / "vectors").mkdir()
    np.save(folder / "vectors" / "planted.npy", planted.x.numpy())
    done = snakemake(folder, *[f"results/dictionaries/planted/{name}.safetensors" for name in NAMES.values()])
    assert done.returncode == 0, done.stdout
    return folder


def stream_of(file, size=TRAINING.batch):
    return stream.batches(
        file.split("train"),
        size=size,
        seed=TRAINING.shuffle_seed,
        buffer_rows=TRAINING.buffer_rows,
        mean=file.mean,
        scale=file.mean_norm,
    )


@pytest.mark.parametrize("architecture", PENALTIES)
def test_the_workflow_finds_the_planted_dictionary(architecture, planted, workspace):
    found = dictionaries.load(workspace / f"results/dictionaries/planted/{NAMES[architecture]}.safetensors")
    assert mmcs(planted.atoms, found.atoms) >= 0.95


@pytest.mark.parametrize("architecture", PENALTIES)
def test_the_workflow_trains_as_the_float64_reference(architecture, workspace):
    results = workspace / "results"
    penalty, plan = PENALTIES[architecture], schedule(architecture)
    initial = BY_NAME[architecture].init(*SHAPE, torch.Generator().manual_seed(0))
    with open_activations(results / "activations" / "planted.h5") as file:
        held_out = file.split("held_out").read(0, file.split("held_out").n_rows)
        batches = islice(stream_of(file), plan.steps)
        reference, losses = train_reference(architecture, initial, batches, penalty, plan)
        z = (held_out.double() - file.mean.double()) / file.mean_norm

    lines = (results / f"dictionaries/planted/{NAMES[architecture]}.log.jsonl").read_text().splitlines()
    log = [json.loads(line) for line in lines]
    tolerance = 0.01
    if architecture == "topk":
        # Which of two near-equal codes is kept depends on rounding; past a few hundred steps float32 and float64
        # take different ways to nearly the same end (1.6 % apart here). tests/core/test_ensemble.py holds the two
        # together in float64, to 1e-7 at every step.
        tolerance = 0.03
        log = [line for line in log if line["step"] <= 200]
    assert_trajectory(log, losses)

    dictionary = dictionaries.load(results / f"dictionaries/planted/{NAMES[architecture]}.safetensors")
    codes, z_hat = paper_codes(architecture, reference, z, penalty)
    assert float((dictionary.encode(held_out) > 0).sum(1).double().mean()) == pytest.approx(
        float((codes > 0).sum(1).double().mean()), rel=tolerance
    )
    ours = (dictionary.reconstruct(held_out) - held_out).square().sum() / (held_out - held_out.mean(0)).square().sum()
    theirs = (z_hat - z).square().sum() / (z - z.mean(0)).square().sum()
    assert float(ours) == pytest.approx(float(theirs), rel=tolerance)


def assert_trajectory(log, losses):
    found = torch.tensor([line["loss"] for line in log], dtype=torch.float64)
    wanted = torch.tensor([losses[line["step"]] for line in log], dtype=torch.float64)
    torch.testing.assert_close(found, wanted, rtol=0.01, atol=0)


# Each mutation breaks the training code in one place. The gate's trajectory or a conformance test must see it.


def frozen_count(patch):
    step = adam.Adam.step

    def frozen(self, gradients, lr):
        self.count = 0
        step(self, gradients, lr)

    patch.setattr(adam.Adam, "step", frozen)


def plain_sgd(patch):
    def descend(self, gradients, lr):
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.add_(gradient, alpha=-lr)

    patch.setattr(adam.Adam, "step", descend)


def no_second_moment_correction(patch):
    step = adam.Adam.step

    def uncorrected(self, gradients, lr):
        step(self, gradients, lr * (1 - self.beta2 ** (self.count + 1)) ** -0.5)

    patch.setattr(adam.Adam, "step", uncorrected)


def no_projection(patch):
    for module in (tied, untied):
        patch.setattr(module, "tangent", lambda gradient, atoms: gradient)


def no_renormalisation(patch):
    for module in (tied, untied):
        patch.setattr(module, "renormalise", lambda atoms: None)


def changed_gradients(change):
    """A mutation of what `gradients` returns for the tied architecture."""

    def mutate(patch):
        original = tied.gradients

        def mutated(parameters, z, penalty):
            return change(original, parameters, z, penalty)

        patch.setattr(tied, "gradients", mutated)

    return mutate


def _without_encoder_path(original, parameters, z, penalty):
    seen = original(parameters, z, penalty)
    residual = seen.codes @ parameters["atoms"] - z
    decoder_path = seen.codes.T @ residual * (2 / residual.numel())
    seen.parameters["atoms"] = contract.tangent(decoder_path, parameters["atoms"])
    return seen


def _without_decoder_path(original, parameters, z, penalty):
    whole = original(parameters, z, penalty)
    decoder_path = _without_encoder_path(original, parameters, z, penalty).parameters["atoms"]
    whole.parameters["atoms"] = whole.parameters["atoms"] - decoder_path
    return whole


def _without_l1(original, parameters, z, penalty):
    return original(parameters, z, Penalty(0.0, penalty.k))


def _with_the_wrong_bias_sign(original, parameters, z, penalty):
    seen = original(parameters, z, penalty)
    seen.parameters["bias"] = -seen.parameters["bias"]
    return seen


MUTATIONS = {
    "frozen Adam count": frozen_count,
    "plain SGD": plain_sgd,
    "no correction of the second moment": no_second_moment_correction,
    "no projection": no_projection,
    "no renormalisation": no_renormalisation,
    "no encoder gradient": changed_gradients(_without_encoder_path),
    "no decoder gradient": changed_gradients(_without_decoder_path),
    "no L1 gradient": changed_gradients(_without_l1),
    "bias moves the wrong way": changed_gradients(_with_the_wrong_bias_sign),
}


@pytest.fixture(scope="module")
def short_run(planted):
    """300 batches and the reference's losses on them."""
    mean = planted.x.mean(0)
    z = (planted.x - mean) / (planted.x - mean).norm(dim=1).mean()
    batches = list(z[: 300 * 128].split(128))
    initial = tied.init(*SHAPE, torch.Generator().manual_seed(0))
    return batches, train_reference("tied", initial, batches, PENALTIES["tied"], schedule("tied", 300))[1]


def gate_and_conformance(short_run):
    """What a change to the training code must pass; raises AssertionError."""
    batches, losses = short_run
    member = ensemble.Member(
        "tied", tied, SHAPE, PENALTIES["tied"], 0, schedule("tied", 300), (0.9, 0.999, 1e-8), log_steps=10
    )
    ensemble.train([member], iter(batches), threads=1)
    assert_trajectory(member.log, losses)
    adam_conformance()
    gradient_conformance("tied")


def test_the_code_as_it_is_passes(short_run):
    gate_and_conformance(short_run)


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_each_mutation_is_caught(mutation, short_run, monkeypatch):
    MUTATIONS[mutation](monkeypatch)
    with pytest.raises((AssertionError, ensemble.NotFinite)):
        gate_and_conformance(short_run)
