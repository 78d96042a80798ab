"""Mutations of transcoders: where vectors are cut, what is beside the codes, who hears of it. As test_mutations.py."""

import inspect
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch

from sparse_coding.core.architectures import running, skip_transcoder, transcoder
from sparse_coding.core.architectures.contract import Revival
from sparse_coding.core.cut import Cut
from sparse_coding.core.training import processor
from sparse_coding.core.training.optimisers.adam import Adam
from sparse_coding.core.training.steps import revived, sides, sparse
from sparse_coding.core.training.trainee import NotFinite, Trainee
from tests.architectures import ADAM, ALL, D_IN, PAIRS
from tests.core.test_fast_kinds import test_the_dense_step_is_the_general_one_in_float64 as dense_is_general
from tests.core.test_fast_kinds import test_the_sparse_step_is_the_general_one_in_float32 as sparse_is_general
from tests.core.test_transcoder import check_file, check_slopes
from tests.planted import plant_step
from tests.reference import train_reference
from tests.test_gate import assert_trajectory
from tests.test_gate_transcoders import PENALTY, SHAPE, schedule
from tests.test_mutations import given, replaced, some_examples

pytestmark = pytest.mark.gate
STEPS = 60  # of 512 vectors, the later ones with dead features
SIZES = {"n_feat": 30, "d_in": 9, "d_out": 7}


def moved_otherwise(name, change):
    """Adam moves a parameter against another slope; None: it does not move it."""

    def mutate(patch):
        move = Adam.move

        def mutated(self, own, gradient, rates, rows=slice(None)):
            gradient = change(gradient) if own == name else gradient
            if gradient is not None:
                move(self, own, gradient, rates, rows)

        patch.setattr(Adam, "move", mutated)

    return mutate


def the_other_side_is_encoded(patch):
    """The widths are right, and the dimensions are not."""
    patch.setattr(Cut, "source", lambda cut, z: z[..., z.shape[-1] - cut.d_in :])


def y_is_not_cut_off(patch):
    patch.setattr(Cut, "target", lambda cut, z: z[..., : z.shape[-1] - cut.d_in])


def rewritten(module, old, new):
    """A module of the two with another line in its code."""

    def mutate(patch):
        source = inspect.getsource(module)
        assert source.count(old) == 1
        broken = ModuleType(module.__name__)
        exec(source.replace(old, new), vars(broken))
        kind = "SkipTranscoder" if module is skip_transcoder else "Transcoder"
        for name, what in vars(vars(broken)[kind]).items():
            if inspect.isfunction(what) and name in ("loss", "after", "fold", "beside"):
                patch.setattr(vars(module)[kind], name, what)

    return mutate


MUTATIONS = {
    "the other side is encoded": the_other_side_is_encoded,
    "x is put together in the place of y": y_is_not_cut_off,
    "the offset is not trained": moved_otherwise("decoder_bias", lambda slopes: None),
    "the skip is not trained": moved_otherwise("skip", lambda slopes: None),
    "the skip moves the wrong way": moved_otherwise("skip", lambda slopes: -slopes),
    "the skip stands in no residual": given(sides, "of", 0, lambda form: replace(form, skip=None)),
    "the offset stands in no residual": given(sides, "of", 0, lambda form: replace(form, offset=None)),
    "the skip hears of no x": given(sides, "move", 2, torch.ones_like),
    "no slopes of the auxiliary loss": replaced(revived, "of", lambda *_: None),
    "sparse: dead features do not hear of it": replaced(sparse, "_begun", lambda dead, n_feat: sparse.NONE_BEGUN),
    "too few codes in the auxiliary loss": replaced(Revival, "most", staticmethod(lambda d_out: max(d_out // 4, 1))),
    "nobody counts as dead": replaced(running, "count_silence", lambda *_: None),
    "autograd: the auxiliary loss moves what is left": rewritten(transcoder, "left.detach()", "left"),
    "autograd: no offset": rewritten(transcoder, ' - parameters["decoder_bias"] - self', " - self"),
    "autograd: no skip": rewritten(skip_transcoder, 'return x @ parameters["skip"]', "return 0.0 * x[:, :1]"),
    "autograd: no projection": rewritten(
        transcoder, 'functional.normalize(parameters["decoder"], dim=1)', 'parameters["decoder"]'
    ),
    "inference: codes in the units of x": rewritten(transcoder, '["encoder"] * (of_y / of_x)', '["encoder"]'),
    "inference: a bias in the units of z": rewritten(transcoder, '["bias"] * of_y', '["bias"]'),
    "inference: the offset in the units of z": rewritten(transcoder, ' + of_y * parameters["dec', ' + parameters["dec'),
    "inference: the skip in the units of z": rewritten(transcoder, "skip * (of_y / of_x)", "skip"),
}


@pytest.fixture(scope="module")
def batches():
    """Of a planted step."""
    step = plant_step(rows=STEPS * 512, linear=10.0)
    parts = [(part - part.mean(0)) / (part - part.mean(0)).norm(dim=1).mean() for part in (step.x, step.y)]
    return list(torch.cat(parts, dim=1).split(512))


def member_of(kind):
    return Trainee(kind, ALL[kind], SHAPE, PENALTY, 0, schedule(kind, STEPS), ADAM, 10)


@pytest.fixture(scope="module")
def references(batches):
    """What each step's loss is to be."""
    return {
        kind: train_reference(kind, member_of(kind).parameters, batches, PENALTY, schedule(kind, STEPS))[1]
        for kind in PAIRS
    }


def gate_and_conformance(batches, references):
    """What a change to the training code must pass; raises AssertionError."""
    for kind, losses in references.items():
        member = member_of(kind)
        processor.train([member], iter(batches), threads=1)
        assert_trajectory(member.log, losses)
    for kind in PAIRS:
        check_slopes(kind, 1, 3, 1.5, SIZES, np.arange(SIZES["n_feat"]) % 9)
        check_file(kind, 2, 3.0, 0.5, SIZES)
        some_examples(dense_is_general, kind=kind)
        some_examples(sparse_is_general, kind=kind)


def test_the_code_as_it_is_passes(batches, references):
    gate_and_conformance(batches, references)


def test_the_trajectory_has_dead_features(batches):
    member = member_of("transcoder")
    processor.train([member], iter(batches), threads=1)
    assert int((member.state["silent"] >= member.architecture.dead_after).sum()) > 0
    assert batches[0].shape[1] - D_IN == member.parameters["decoder"].shape[1]


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_each_mutation_is_caught(mutation, batches, references, monkeypatch):
    MUTATIONS[mutation](monkeypatch)
    with pytest.raises((AssertionError, NotFinite)):
        gate_and_conformance(batches, references)
