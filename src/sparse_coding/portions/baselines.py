"""Fitting of baselines."""

READ_ROWS = 8192
ROWS_A_DIMENSION, LEAST_ROWS = 16, 2048


def nmf_rows(d_act: int) -> int:
    """How many rows a block of NMF should have: enough to say all entries of the atoms."""
    return max(LEAST_ROWS, ROWS_A_DIMENSION * d_act)
