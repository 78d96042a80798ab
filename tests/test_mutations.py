"""Mutations: each breaks the training code in one place, and the gate's trajectory or a conformance test must see it.

Adam, the dense step, the sparse one, and what JumpReLU has beside them. A compiled loop is run as Python, so that what
it calls can be replaced. By `make gate`.
"""

import inspect
from dataclasses import replace
from random import Random
from types import ModuleType

import numpy as np
import pytest

from sparse_coding.core.architectures import gated, jumprelu
from sparse_coding.core.architectures.contract import Form, Penalty
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.core.training import processor
from sparse_coding.core.training.optimisers import adam
from sparse_coding.core.training.steps import dense, sparse, windows
from sparse_coding.core.training.trainee import NotFinite, Trainee
from sparse_coding.kernels import columns, thresholds
from tests.architectures import ADAM, ALL
from tests.core.test_adam import test_every_step_is_that_of_torch as adam_conformance
from tests.core.test_gated import case as gated_case
from tests.core.test_gated import check_fold as gated_fold
from tests.core.test_gated import check_slopes as gated_slopes
from tests.core.test_jumprelu import test_a_threshold_is_applied_once_also_from_a_file as applied_once
from tests.core.test_jumprelu import test_slopes_are_those_of_the_paper as slopes_of_the_paper
from tests.core.test_steps import test_gradients_are_those_of_autograd as gradient_conformance
from tests.core.test_thresholds import test_the_dense_step_is_the_general_one_in_float64 as dense_is_general
from tests.core.test_thresholds import test_the_sparse_step_is_the_general_one_in_float32 as sparse_is_general
from tests.planted import plant
from tests.reference import train_reference
from tests.test_gate import DENSITIES, LIKE_REFERENCE, PENALTIES, SHAPE, assert_trajectory, before_training, schedule

pytestmark = pytest.mark.gate


def mutated_rates(change):
    """Adam begins a step with other numbers."""

    def mutate(patch):
        begin = adam.Adam.begin
        patch.setattr(adam.Adam, "begin", lambda self, lr: change(self, begin, lr))

    return mutate


def _frozen(own, begin, lr):
    own.count = 0
    return begin(own, lr)


def _plain_sgd(own, begin, lr):
    own.beta1, own.eps = 0.0, 1.0
    return lr, 0.0


def _uncorrected(own, begin, lr):
    return begin(own, lr)[0], 1.0


def replaced(module, name, function):
    """A function of a module does something else."""

    def mutate(patch):
        if module is columns:
            for loop in ("update_tied", "add_gradients", "move_atom"):
                patch.setattr(columns, loop, getattr(columns, loop).py_func)
        patch.setattr(module, name, function)

    return mutate


def given(module, name, index, change):
    """A function of a module is given something else at one place."""

    def mutate(patch):
        original = getattr(module, name)

        def mutated(*arguments):
            return original(*arguments[:index], change(arguments[index]), *arguments[index + 1 :])

        patch.setattr(module, name, mutated)

    return mutate


def _the_wrong_way(values):
    return -values.sum()


def _nothing_of(array):
    return 0 * array


def without(field):
    """A change of a named tuple: zeros in one field."""
    return lambda fields: fields._replace(**{field: 0 * getattr(fields, field)})


def _all_but_the_first(x, matrix, lines, found):
    found[:] = matrix[lines] @ x
    found[0] = 0


def _without_l1(penalty):
    return Penalty(0.0, penalty.k)


def dense_bias_the_wrong_way(patch):
    move = adam.Adam.move

    def mutated(self, name, gradient, rates, rows=slice(None)):
        move(self, name, -gradient if name == "bias" else gradient, rates, rows)

    patch.setattr(adam.Adam, "move", mutated)


def thresholds_stay(patch):
    move = adam.Adam.move

    def mutated(self, name, gradient, rates, rows=slice(None)):
        if name != "log_threshold":
            move(self, name, gradient, rates, rows)

    patch.setattr(adam.Adam, "move", mutated)


def _no_bandwidth(own, form, *others):
    _windows(own, form, *others)
    own._bandwidth = 1.0


def _wider(form, adam):
    borders = _borders(form, adam)
    return borders and borders._replace(half=2 * borders.half)


def _pushed_away(form, *others):
    return -_slope_of_count(form, *others)


def _subtracted_too(own, parameters, *others):
    """The threshold applied twice: as a bias, and as a threshold (SAELens 494)."""
    folded = _fold(own, parameters, *others)
    return replace(folded, bias=folded.bias - folded.threshold)


def _in_units_of_z(own, parameters, *others):
    return replace(_fold(own, parameters, *others), threshold=parameters["log_threshold"].exp())


def _rectified_again(dictionary, m):
    return _activated(dictionary, m - dictionary.threshold)


def _all_hear(context, d_codes, d_counts):
    """Slopes of pre-activations below their thresholds too."""
    return d_codes, *_slopes(context, d_codes, d_counts)[1:]


_windows, _borders, _slope_of_count = windows.Windows.__init__, sparse._borders, Form.slope_of_count
_fold, _activated, _slopes = jumprelu.JumpReLU.fold, Dictionary._activated, jumprelu._Jump.backward

MUTATIONS = {
    "frozen Adam count": mutated_rates(_frozen),
    "plain SGD": mutated_rates(_plain_sgd),
    "no correction of the second moment": mutated_rates(_uncorrected),
    "dense: no projection": replaced(dense, "tangent", lambda gradient, atoms: gradient),
    "dense: no renormalisation": replaced(dense, "make_unit", lambda atoms: None),
    "dense: no encoder gradient": given(dense, "_move_rows", 4, _nothing_of),
    "dense: no decoder gradient": given(dense, "_move_rows", 7, _nothing_of),
    "dense: no L1 gradient": given(dense, "step", 4, _without_l1),
    "dense: bias moves the wrong way": dense_bias_the_wrong_way,
    "sparse: no projection": replaced(columns, "make_tangent", lambda gradient, atom: None),
    "sparse: no renormalisation": replaced(columns, "make_unit", lambda atom: None),
    "sparse: no encoder gradient": given(columns, "update_tied", 1, without("x")),
    "sparse: no decoder gradient": given(columns, "update_tied", 0, without("codes")),
    "sparse: no gradient through the output": given(columns, "update_tied", 1, without("d_x_hat")),
    "sparse: no L1 gradient": given(columns, "update_tied", 1, without("penalty")),
    "sparse: a slope is missing": replaced(columns, "products", _all_but_the_first),
    "sparse: bias moves the wrong way": replaced(columns, "sum_of", _the_wrong_way),
}
JUMPRELU_MUTATIONS = {
    "frozen Adam count": mutated_rates(_frozen),
    "thresholds that Adam does not move": thresholds_stay,
    "dense: bandwidth ignored": replaced(windows.Windows, "__init__", _no_bandwidth),
    "sparse: thresholds do not move": replaced(thresholds, "update_thresholds", lambda *given_: None),
    "sparse: bandwidth ignored in slopes": given(thresholds, "update_thresholds", 1, np.ones_like),
    "sparse: windows of twice the width": replaced(sparse, "_borders", _wider),
    "sparse: no penalty": given(thresholds, "update_thresholds", 2, _nothing_of),
    "the penalty's sign": replaced(Form, "slope_of_count", _pushed_away),
    "autograd: slopes below the thresholds": replaced(jumprelu._Jump, "backward", staticmethod(_all_hear)),
    "inference: threshold applied twice, in the file": replaced(jumprelu.JumpReLU, "fold", _subtracted_too),
    "inference: threshold applied twice, in the code": replaced(Dictionary, "_activated", _rectified_again),
    "inference: threshold not in the units of vectors": replaced(jumprelu.JumpReLU, "fold", _in_units_of_z),
}


def rewritten(old, new):
    """Gated with another line in its code."""

    def mutate(patch):
        source = inspect.getsource(gated)
        assert source.count(old) == 1
        broken = ModuleType(gated.__name__)
        exec(source.replace(old, new), vars(broken))
        for name in ("loss", "after", "fold"):
            patch.setattr(gated.Gated, name, getattr(broken.Gated, name))

    return mutate


GATED_MUTATIONS = {
    "frozen Adam count": mutated_rates(_frozen),
    "no auxiliary loss": rewritten(" + by_gates,", ","),
    "the auxiliary loss moves the decoder": rewritten("atoms.detach()", "atoms"),
    "the auxiliary loss moves the centre": rewritten('"decoder_bias"].detach()', '"decoder_bias"]'),
    "the penalty is on magnitudes": rewritten("gates.sum()", "codes.sum()"),
    "gates do not hear of their bias": rewritten("(gates > 0)", "(shared > 0)"),
    "no projection": rewritten('functional.normalize(parameters["decoder"], dim=1)', 'parameters["decoder"]'),
    "inference: the gate is forgotten": rewritten("threshold.clamp(min=0) * scale", "0 * threshold"),
    "inference: threshold not in the units of vectors": rewritten("clamp(min=0) * scale", "clamp(min=0)"),
}


RANGES = {"bandwidth": (0.01, 0.5), "wished": (0.5, 30), "warm": (0.2, 1), "weight": (1, 50), "height": (0.5, 4)}


@pytest.fixture(scope="module")
def batches():
    """300 batches of planted vectors."""
    planted = plant()
    mean = planted.x.mean(0)
    z = (planted.x - mean) / (planted.x - mean).norm(dim=1).mean()
    return list(z[: 300 * 128].split(128))


def first(architecture, batches):
    """Those in which rounding makes no difference."""
    return batches[: LIKE_REFERENCE.get(architecture)]


def reference(architecture, batches):
    """The losses on them."""
    initial = before_training(architecture, batches[0])
    plan = schedule(architecture, len(batches))
    return train_reference(architecture, initial, first(architecture, batches), PENALTIES[architecture], plan)[1]


@pytest.fixture(scope="module")
def losses(batches):
    return {architecture: reference(architecture, batches) for architecture in ("tied", "jumprelu", "gated")}


def check_trajectory(architecture, batches, losses):
    """As the gate, for less long. Raises AssertionError."""
    density = DENSITIES.get(architecture)
    plan = schedule(architecture, len(batches))
    kind, penalty = ALL[architecture], PENALTIES[architecture]
    member = Trainee(architecture, kind, SHAPE, penalty, 0, plan, ADAM, log_steps=10, initial_density=density)
    processor.train([member], iter(first(architecture, batches)), threads=1)
    assert_trajectory(member.log, losses[architecture])


def gate_and_conformance(batches, losses):
    """What a change to the training code must pass; raises AssertionError."""
    check_trajectory("tied", batches, losses)
    adam_conformance()
    gradient_conformance("tied", "dense")
    gradient_conformance("tied", "int8")


def some_examples(test, **told):
    """Of a test that hypothesis draws for, always the same, and without the long way to the smallest that fails."""
    inner = test.hypothesis.inner_test
    for number in range(12):
        random = Random(number)
        drawn = {name: random.randint(1, most) for name, most in (("n_feat", 200), ("d_act", 30), ("batch", 40))}
        drawn |= {name: random.uniform(least, most) for name, (least, most) in RANGES.items()}
        drawn |= {"k": random.randint(1, 20), "seed": number, "int8": True} | told
        inner(**{name: drawn[name] for name in inspect.signature(inner).parameters})


def gate_and_conformance_of_jumprelu(batches, losses, folder):
    """And one to what JumpReLU is made of."""
    check_trajectory("jumprelu", batches, losses)
    for scale in (1.0, 7.5):
        applied_once(scale, folder)
    for test in (slopes_of_the_paper, dense_is_general, sparse_is_general):
        some_examples(test)


def gate_and_conformance_of_gated(batches, losses, folder):
    """And one to what Gated is made of."""
    check_trajectory("gated", batches, losses)
    gated_slopes(ALL["gated"], *gated_case(3, 30, 10, 20), 0.05)
    gated_fold(ALL["gated"], 7.5, folder)


def test_the_code_as_it_is_passes(batches, losses, tmp_path):
    gate_and_conformance(batches, losses)
    gate_and_conformance_of_gated(batches, losses, tmp_path)
    gate_and_conformance_of_jumprelu(batches, losses, tmp_path)


def test_a_loop_that_is_run_as_python_passes_too(batches, losses, monkeypatch):
    replaced(columns, "add_gradients", columns.add_gradients.py_func)(monkeypatch)
    gate_and_conformance(batches, losses)


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_each_mutation_is_caught(mutation, batches, losses, monkeypatch):
    MUTATIONS[mutation](monkeypatch)
    with pytest.raises((AssertionError, NotFinite)):
        gate_and_conformance(batches, losses)


@pytest.mark.parametrize("mutation", JUMPRELU_MUTATIONS)
def test_each_mutation_of_jumprelu_is_caught(mutation, batches, losses, monkeypatch, tmp_path):
    JUMPRELU_MUTATIONS[mutation](monkeypatch)
    with pytest.raises((AssertionError, NotFinite)):
        gate_and_conformance_of_jumprelu(batches, losses, tmp_path)


@pytest.mark.parametrize("mutation", GATED_MUTATIONS)
def test_each_mutation_of_gated_is_caught(mutation, batches, losses, monkeypatch, tmp_path):
    GATED_MUTATIONS[mutation](monkeypatch)
    with pytest.raises((AssertionError, NotFinite)):
        gate_and_conformance_of_gated(batches, losses, tmp_path)
