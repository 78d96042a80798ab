"""Mutations of what keeps the largest codes and remembers something: the fast steps' selection over a batch, prefixes,
the auxiliary loss, silence, the running threshold. As test_mutations.py.
"""

from itertools import pairwise

import pytest

from sparse_coding.core.architectures import batchtopk, running
from sparse_coding.core.architectures.contract import Form
from sparse_coding.core.training import processor
from sparse_coding.core.training.steps import dense, revived, sparse
from sparse_coding.core.training.trainee import NotFinite, Trainee
from sparse_coding.kernels import batch, rows
from tests.architectures import ADAM, ALL, KEEPING
from tests.core.test_batchtopk import (
    test_a_file_has_the_codes_of_the_loss_where_the_threshold_is_that_of_the_batch as file_has_the_codes,
)
from tests.core.test_fast_kinds import test_the_dense_step_is_the_general_one_in_float64 as dense_is_general
from tests.core.test_fast_kinds import test_the_sparse_step_is_the_general_one_in_float32 as sparse_is_general
from tests.planted import plant
from tests.reference import train_reference
from tests.test_gate import PENALTIES, SHAPE, assert_trajectory, schedule
from tests.test_mutations import given, replaced, some_examples

pytestmark = pytest.mark.gate
STEPS = 60  # of 512 vectors, the later ones with dead features


def _own_alone(slopes):
    """Of each prefix: no feature learns from the longer ones that it is in."""
    for own, longer in pairwise(slopes):
        own -= longer


def dense_without_longer_prefixes(patch):
    nested = dense._nested

    def mutated(*those):
        slopes, errors = nested(*those)
        _own_alone(slopes)
        return slopes, errors

    patch.setattr(dense, "_nested", mutated)


def sparse_without_longer_prefixes(patch):
    nested = rows.nested_residuals

    def mutated(*those):
        codes = nested(*those)
        _own_alone(those[4])
        return codes

    patch.setattr(rows, "nested_residuals", mutated)


def in_units_of_z(patch):
    fold = batchtopk.BatchTopK.fold

    def mutated(own, parameters, state, mean, scale, penalty):
        return fold(own, parameters, state | {"threshold": state["threshold"] / scale}, mean, scale, penalty)

    patch.setattr(batchtopk.BatchTopK, "fold", mutated)


MUTATIONS = {
    "no slopes of the auxiliary loss": replaced(revived, "of", lambda *_: None),
    "sparse: dead features do not hear of it": replaced(sparse, "_begun", lambda dead, n_feat: sparse.NONE_BEGUN),
    "nobody counts as dead": replaced(running, "count_silence", lambda *_: None),
    "silence does not end": replaced(
        running, "count_silence", lambda state, fired, n_vectors: state["silent"].add_(n_vectors)
    ),
    "a threshold that does not move": replaced(running, "follow_smallest", lambda *_: None),
    "a threshold that is the last batch's": given(running, "follow_smallest", 2, lambda rate: 1.0),
    "inference: threshold not in the units of vectors": in_units_of_z,
    "sparse: too few codes of a batch": given(batch, "largest_of_batch", 1, lambda k: k - k // 4),
    "no prefixes": replaced(Form, "groups", lambda own, n_feat: [slice(0, n_feat)]),
    "dense: prefixes that do not nest": dense_without_longer_prefixes,
    "sparse: prefixes that do not nest": sparse_without_longer_prefixes,
}


@pytest.fixture(scope="module")
def batches():
    """Of planted vectors."""
    x = plant(rows=STEPS * 512).x
    return list(((x - x.mean(0)) / (x - x.mean(0)).norm(dim=1).mean()).split(512))


def plan_of(kind):
    return schedule(kind, STEPS)


@pytest.fixture(scope="module")
def references(batches):
    """What training comes to, and the loss of each step."""
    found = {}
    for kind in KEEPING:
        initial = Trainee(kind, ALL[kind], SHAPE, PENALTIES[kind], 0, plan_of(kind), ADAM, 10).parameters
        found[kind] = train_reference(kind, initial, batches, PENALTIES[kind], plan_of(kind))
    return found


def gate_and_conformance(batches, references, folder):
    """What a change to the training code must pass; raises AssertionError."""
    for kind, (trained, losses) in references.items():
        member = Trainee(kind, ALL[kind], SHAPE, PENALTIES[kind], 0, plan_of(kind), ADAM, 10)
        processor.train([member], iter(batches), threads=1)
        assert_trajectory(member.log, losses)
        if "threshold" in trained:
            assert float(member.state["threshold"]) == pytest.approx(trained["threshold"], rel=0.01)
    file_has_the_codes(7.5, folder)
    for kind in KEEPING:
        some_examples(dense_is_general, kind=kind)
        some_examples(sparse_is_general, kind=kind)


def test_the_code_as_it_is_passes(batches, references, tmp_path):
    gate_and_conformance(batches, references, tmp_path)


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_each_mutation_is_caught(mutation, batches, references, monkeypatch, tmp_path):
    MUTATIONS[mutation](monkeypatch)
    with pytest.raises((AssertionError, NotFinite)):
        gate_and_conformance(batches, references, tmp_path)
