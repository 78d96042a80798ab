"""The product of either library, for all strides, against float64."""

from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_coding.core import products

LAYOUTS = {
    "rows": lambda matrix: matrix.contiguous(),
    "columns": lambda matrix: matrix.T.contiguous().T,
    "a part of wider rows": lambda matrix: torch.cat([matrix, matrix], dim=1)[:, : matrix.shape[1]],
    "a part of wider columns": lambda matrix: torch.cat([matrix, matrix]).T.contiguous().T[: len(matrix)],
}


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1000),
    shape=st.tuples(st.integers(0, 40), st.integers(1, 40), st.integers(0, 40)),
    layouts=st.tuples(st.sampled_from(sorted(LAYOUTS)), st.sampled_from(sorted(LAYOUTS))),
    has_bias=st.booleans(),
    has_onednn=st.booleans(),
)
def test_linear_is_the_product_for_any_strides(seed, shape, layouts, has_bias, has_onednn):
    generator = torch.Generator().manual_seed(seed)
    rows, width, n = shape
    x, w, bias = (torch.randn(size, generator=generator) for size in ((rows, width), (n, width), (n,)))
    x, w = LAYOUTS[layouts[0]](x), LAYOUTS[layouts[1]](w)
    wanted = (x.double() @ w.double().T + (bias.double() if has_bias else 0)).float()
    use = has_onednn and products._onednn_works()
    with patch.object(products, "_onednn_works", lambda: use):
        found = products.linear(x, w, bias if has_bias else None)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("place", ["x", "w", "bias"])
def test_nan_stays_nan(place):
    given_ = {"x": torch.ones(3, 4), "w": torch.ones(5, 4), "bias": torch.ones(5)}
    given_[place].view(-1)[0] = float("nan")
    assert products.linear(**given_).isnan().any()


def test_a_torch_without_the_operator_is_no_error():
    products._onednn_works.cache_clear()
    with patch.object(torch.ops.mkldnn, "_linear_pointwise", side_effect=RuntimeError):
        assert products._onednn_works() is False
    products._onednn_works.cache_clear()
