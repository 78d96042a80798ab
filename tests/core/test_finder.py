"""The codes of some features of a TopK dictionary against those of all features, and which product screens."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_coding.core import finder
from sparse_coding.core.dictionary import Dictionary


def topk(n_feat, d_act, k, seed=0):
    generator = torch.Generator().manual_seed(seed)
    encoder = torch.nn.functional.normalize(torch.randn(n_feat, d_act, generator=generator), dim=1)
    bias, centre = (0.1 * torch.randn(n, generator=generator) for n in (n_feat, d_act))
    gain = torch.rand(n_feat, generator=generator) + 0.5
    return Dictionary(encoder, bias, encoder, centre, gain, "topk", k)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1000),
    n_feat=st.integers(1, 120),
    d_act=st.integers(1, 40),
    n_rows=st.integers(1, 50),
    k=st.integers(1, 30),
    at_once=st.sampled_from([1, 7, 1024]),
)
def test_some_codes_are_those_of_all(seed, n_feat, d_act, n_rows, k, at_once):
    dictionary = topk(n_feat, d_act, k, seed)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n_rows, d_act, generator=generator)
    features = torch.randperm(n_feat, generator=generator)[: n_feat // 2 + 1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finder, "SCREENED_ROWS", at_once)
        codes = dictionary.encode_features(x, features)
    wanted = dictionary.encode(x)[:, features]
    torch.testing.assert_close(codes, wanted, rtol=1e-5, atol=1e-5)
    assert torch.equal(codes > 0, wanted > 0)


def test_no_product_of_all_features_in_float32_is_made(monkeypatch):
    """What the screen is for; the values come from the loop of the sparse step, with int8 and without."""
    dictionary, x = topk(400, 64, 8), torch.randn(30, 64, generator=torch.Generator().manual_seed(1))
    found = {}
    for int8 in (True, False):
        monkeypatch.setattr(finder.Screen, "fastest", lambda int8=int8: finder.Screen(int8))
        found[int8] = dictionary.encode_features(x, torch.arange(400)).numpy().tobytes()
    assert found[True] == found[False]
    monkeypatch.setattr(finder.Screen, "fastest", lambda: finder.Screen(True))
    monkeypatch.setattr(finder, "fastest", None)
    assert dictionary.encode_features(x, torch.arange(400)).numpy().tobytes() == found[True]


def test_of_equal_codes_the_first_are_kept():
    """At the k-th place; torch.topk, which `encode` uses, promises no order there."""
    encoder, zeros = torch.ones(50, 3), torch.zeros(50)
    codes = finder.largest_codes(torch.ones(2, 3), encoder, zeros, 4, torch.arange(50))
    assert np.flatnonzero(codes[1].numpy()).tolist() == [0, 1, 2, 3]


def test_what_is_not_finite_is_left_to_the_dense_way():
    dictionary, x = topk(50, 6, 4), torch.ones(3, 6)
    x[1, 2] = float("inf")
    found, wanted = dictionary.encode_features(x, torch.arange(9)), dictionary.encode(x)[:, :9]
    torch.testing.assert_close(found, wanted, equal_nan=True)


def test_codes_keep_their_gradient():
    dictionary, x = topk(50, 6, 4), torch.randn(3, 6, requires_grad=True)
    dictionary.encode_features(x, torch.arange(50)).sum().backward()
    assert x.grad.abs().sum() > 0


def test_int8_rests_where_it_lets_too_much_pass():
    screen = finder.Screen(int8=True)
    assert screen.use_int8()
    screen.learn(0.1)
    assert screen.use_int8()
    screen.learn(0.5)
    rounds = finder.ROUNDS_WITHOUT_INT8
    assert [screen.use_int8() for _ in range(rounds)] == [False] * (rounds - 1) + [True]
    assert not finder.Screen(int8=False).use_int8()
