"""The pattern by features against scipy's transposition of sparse matrices."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from sparse_coding.kernels.pattern import Pattern, transpose


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1000), n_rows=st.integers(1, 40), n_feat=st.integers(1, 40), share=st.sampled_from([0, 0.1, 1])
)
def test_columns_are_those_of_scipy(seed, n_rows, n_feat, share):
    generator = np.random.default_rng(seed)
    dense = generator.random((n_rows, n_feat), np.float32) + 1
    dense[generator.random(dense.shape) >= share] = 0
    by_row = csr_array(dense)
    rows = Pattern(by_row.indptr.astype(np.int64), by_row.indices.astype(np.int32), by_row.data)
    empty = np.empty(by_row.nnz, np.int32), np.empty(by_row.nnz, np.float32)
    columns = Pattern(np.full(n_feat + 1, 99, np.int64), *empty)
    transpose(rows, columns)
    wanted = by_row.tocsc()
    wanted.sort_indices()
    np.testing.assert_array_equal(columns.starts, wanted.indptr)
    np.testing.assert_array_equal(columns.other, wanted.indices)
    np.testing.assert_array_equal(columns.codes, wanted.data)
