"""How often features fire, as SAELens has it beside weights: sparsity.safetensors, log10 of frequencies."""

from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor

from sparse_coding.core.dictionary import Dictionary
from sparse_coding.io.activations import Split
from sparse_coding.portions.encoding import ENCODE_ROWS

NAME, TENSOR = "sparsity.safetensors", "sparsity"
FLOOR = 1e-10  # that SAELens adds, so that a dead feature has a logarithm
NUMBERS = 2**24  # codes that are held at a time


def write(path: Path, frequency: Float[Tensor, " n_feat"]) -> None:
    """Write log10 of the share of vectors on which each feature fires, float32 [n_feat]."""
    save_file({TENSOR: (frequency.double() + FLOOR).log10().float()}, path)


def measured(dictionary: Dictionary, vectors: Split) -> Float[Tensor, " n_feat"]:
    """The share of `vectors` on which each feature fires, as stage evaluation counts it. Raises as `Split.read`."""
    fired = torch.zeros(dictionary.n_feat, dtype=torch.int64)
    step = rows_at_a_time(dictionary.n_feat)
    for start in range(0, vectors.n_rows, step):
        codes = dictionary.encode(vectors.read(start, min(start + step, vectors.n_rows)))
        fired += (codes > 0).sum(dim=0)
    return fired.double() / max(vectors.n_rows, 1)


def rows_at_a_time(n_feat: int) -> int:
    """Vectors whose codes are held at a time."""
    return max(1, min(ENCODE_ROWS, NUMBERS // n_feat))
