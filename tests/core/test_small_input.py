"""One feature, one row, one dimension, none at all: what is defined comes out, the rest is refused in a line."""

import itertools
import warnings

import pytest
import torch

from sparse_coding.core.architectures.contract import Penalty
from sparse_coding.core.baselines import ica, neuron_basis, nmf, original, pca, random
from sparse_coding.core.dictionary import Dictionary, nonnegative_least_squares
from sparse_coding.core.metrics.gain_refit import gain_refit
from sparse_coding.core.metrics.reconstruction import Reconstruction
from sparse_coding.core.superposition import BLOCK, TRAIN, Vectors, truth
from sparse_coding.core.training import gpu, processor
from sparse_coding.core.training.trainee import Schedule, Trainee
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries
from tests.architectures import ADAM, BY_NAME

STEPS, LR = 4, 0.01
SHAPES = [(1, 1), (1, 3), (3, 1), (9, 2)]  # n_feat, d_act


def some(rows: int, d_act: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, d_act, generator=torch.Generator().manual_seed(seed))


def works(dictionary: Dictionary, path) -> None:
    """It encodes no, one and single vectors, finds gains for them, is measured, and comes back from a file."""
    d_act = dictionary.d_act
    for x in (some(0, d_act), some(1, d_act), some(1, d_act)[0], some(6, d_act).reshape(2, 3, d_act)):
        codes = dictionary.encode(x)
        assert codes.shape == (*x.shape[:-1], dictionary.n_feat)
        assert dictionary.decode(codes).shape == x.shape
        assert codes.isfinite().all()
        assert dictionary.decode(codes).isfinite().all()
    measured = Reconstruction(torch.zeros(d_act), dictionary.n_feat, 1)
    refitted = dictionary.with_gain(gain_refit(dictionary, [some(0, d_act), some(1, d_act)]))
    for x in (some(0, d_act), some(1, d_act)):
        measured.add(x, refitted.encode(x), refitted.reconstruct(x), torch.zeros(len(x), dtype=torch.int64))
    assert measured.n_vectors == 1
    assert measured.fvu.value is not None
    assert len(measured.frequency) == dictionary.n_feat
    dictionaries.save(path, dictionary, {})
    found = dictionaries.load(path)
    assert all(torch.equal(getattr(found, name), getattr(dictionary, name)) for name in dictionaries.TENSORS)


@pytest.mark.parametrize(("n_feat", "d_act"), SHAPES)
@pytest.mark.parametrize("name", BY_NAME)
def test_training_on_single_vectors(name, n_feat, d_act, tmp_path):
    """k is the number of features; both ways of training."""
    architecture = BY_NAME[name]
    for batch, density in itertools.product((1, 2), (None, 0.1)):
        for train in (lambda some: processor.train(*some, 1), lambda some: gpu.train(*some, torch.device("cpu"))):
            schedule = Schedule(STEPS, LR, 1, 1, 1)
            given = (architecture, (n_feat, d_act), Penalty(0.01, n_feat), 0, schedule, ADAM, 1, density)
            member = Trainee("one", *given)
            assert train(([member], (some(batch, d_act, seed) for seed in range(STEPS)))) == {}
            assert member.step == STEPS
            works(
                architecture.fold(member.parameters, member.state, torch.zeros(d_act), 2.0, member.penalty),
                tmp_path / "one",
            )


ROWS = {"one row": some(1, 3), "one dimension": some(40, 1), "fewer rows than dimensions": some(2, 3)}
ROWS |= {
    "on a line": some(40, 1) * torch.ones(3),
    "all the same": some(1, 3).expand(40, 3),
    "all 0": torch.zeros(40, 3),
}


@pytest.mark.parametrize("rows", ROWS)
def test_baselines_of_little(rows, tmp_path):
    x = ROWS[rows]
    mean = x.mean(0)
    works(pca.fit([x[:0], x], mean), tmp_path / "one")
    works(neuron_basis.make(mean), tmp_path / "one")
    works(random.make(mean, seed=0), tmp_path / "one")
    works(nmf.fit(lambda: [x[:0], x], iterations=20, encode_iterations=10), tmp_path / "one")
    fits = (lambda: ica.fit(x, mean, iterations=20, seed=0), lambda: original.ica_topk(x, iterations=20, seed=0))
    for fit in fits:
        if rows in ("one row", "all the same", "all 0"):  # there is nothing to tell components from
            with pytest.raises(BadInput, match=rf"ICA: found {len(x)} vector\(s\), all the same; wanted vectors that"):
                fit()
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of sklearn, that it did not converge
                works(fit()[0], tmp_path / "one")


@pytest.mark.parametrize("activation", [{}, {"activation": "topk", "k": 2}, {"activation": "nnls"}])
def test_no_feature_and_features_that_are_nothing(activation, tmp_path):
    """NMF drops atoms that came out zero."""
    for n_feat in (0, 3):
        atoms = torch.zeros(n_feat, 4)
        parts = atoms, torch.zeros(n_feat), atoms, torch.arange(4.0), torch.ones(n_feat)
        dictionary = Dictionary(*parts, **activation)
        works(dictionary, tmp_path / "one")
        assert torch.equal(dictionary.reconstruct(some(2, 4)), torch.arange(4.0).expand(2, 4))
        assert not nonnegative_least_squares(some(2, 4), atoms, 5).any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("activation", [{}, {"activation": "topk", "k": 2}, {"activation": "nnls"}])
def test_codes_in_each_format(activation, dtype):
    atoms = torch.nn.functional.normalize(some(5, 4), dim=1)
    single = Dictionary(atoms, torch.zeros(5), atoms, torch.zeros(4), torch.ones(5), **activation)
    codes = single.to(dtype).encode(some(6, 4, seed=1))
    assert codes.dtype == dtype
    torch.testing.assert_close(codes.float(), single.encode(some(6, 4, seed=1)), rtol=0.05, atol=0.05)
    assert torch.equal(single.to(dtype).encode_features(some(6, 4, seed=1), [3]), codes[:, 3:4])


def test_no_vector_of_the_toy_has_a_width():
    vectors = Vectors(truth(5, 3, 1.0, 0.9, None, 0), "uniform", 0.1, 0, TRAIN)
    for start in (0, 7, BLOCK):
        assert vectors.read(start, start).shape == (0, 3)
    assert torch.equal(vectors.read(BLOCK - 1, BLOCK + 1)[:1], vectors.read(BLOCK - 1, BLOCK))
