"""The mean of what is to be put together, whatever is encoded: a dictionary without features, of L0 0 and FVU 1."""

from sparse_coding.core.baselines.contract import Fitted, Settings, Vectors, Work
from sparse_coding.core.dictionary import Dictionary


def build(vectors: Vectors, settings: Settings) -> Fitted:
    """Of a pair."""
    mean, d_in = vectors.mean, vectors.d_in
    d_out = len(mean) - d_in
    nothing = mean.new_zeros(0)
    return Dictionary(
        encoder=mean.new_zeros(0, d_in),
        bias=nothing,
        decoder=mean.new_zeros(0, d_out),
        centre=mean[:d_in].clone(),
        gain=nothing,
        out_centre=mean[d_in:].clone(),
    ), {"fit_rows": vectors.train.n_rows}


def work(rows: int, d_act: int, settings: Settings) -> Work:
    """The file has it."""
    return Work()
