"""How well codes stand for activation vectors, how sparse they are, and which features ever fire.

All sums are float64, so the batches in which vectors come do not matter.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from sparse_coding.core.metrics.ratios import Ratio

COLUMNS = ("vectors", "l0", "error", "variance", "cosine")
TINY = 1e-30  # a length that is not 0, for vectors that have none


class Reconstruction:
    """Sums over vectors, from which the metrics of one dictionary follow.

    `mean` [d_act] is the mean of exactly the vectors that will be added: found in a first pass, because the
    one-pass difference of squares loses digits where the mean is large.
    """

    def __init__(self, mean: Float[Tensor, " d_act"], n_feat: int, n_clusters: int) -> None:
        self.mean = mean.double()
        self._sums = torch.zeros(n_clusters, len(COLUMNS), dtype=torch.float64)
        self._firings = torch.zeros(n_feat, dtype=torch.int64)
        self._apart = torch.zeros(len(mean), dtype=torch.float64)

    def add(
        self,
        x: Float[Tensor, "batch d_act"],
        codes: Float[Tensor, "batch n_feat"],
        x_hat: Float[Tensor, "batch d_act"],
        cluster: Int[Tensor, " batch"],
    ) -> None:
        """Take in vectors, their codes, their reconstructions, and the cluster that each belongs to."""
        # Counts as floats: exact below 2**24, and many times faster to make and to sum than truth values.
        fires = torch.ne(codes, 0, out=torch.empty_like(codes, dtype=torch.float32))
        x, x_hat = x.double() - self.mean, x_hat.double() - self.mean
        lengths = x.norm(dim=1).clamp_(min=TINY) * x_hat.norm(dim=1).clamp_(min=TINY)
        columns = {
            "vectors": torch.ones(len(x), dtype=torch.float64),
            "l0": fires.sum(dim=1).double(),
            "error": (x - x_hat).square().sum(dim=1),
            "variance": x.square().sum(dim=1),
            "cosine": torch.linalg.vecdot(x, x_hat) / lengths,
        }
        self._sums.index_add_(0, cluster, torch.stack([columns[name] for name in COLUMNS], dim=1))
        self._firings += fires.sum(dim=0).long()
        self._apart += x_hat.sum(dim=0)

    def _column(self, name: str) -> NDArray[np.float64]:
        return self._sums[:, COLUMNS.index(name)].numpy()

    @property
    def n_vectors(self) -> int:
        """How many vectors were added."""
        return int(self._column("vectors").sum())

    @property
    def l0(self) -> Ratio:
        """L0: sum over vectors of the number of codes that are not 0, / vectors."""
        return Ratio(self._column("l0"), self._column("vectors"))

    @property
    def fvu(self) -> Ratio:
        """Fraction of variance unexplained: sum ||x - x_hat||^2 / sum ||x - mean||^2.

        0 is a perfect reconstruction, 1 is as good as the mean, and there is no upper end. It has no value where
        all vectors are the same.
        """
        return Ratio(self._column("error"), self._column("variance"))

    @property
    def mean_error(self) -> float | None:
        """What of FVU is an error of the mean: vectors * ||mean of x_hat - mean||^2 / sum ||x - mean||^2.

        The rest of FVU is of how x_hat varies. It has no value where all vectors are the same.
        """
        variance = float(self._column("variance").sum())
        return float(self._apart.square().sum()) / max(self.n_vectors, 1) / variance if variance > 0 else None

    @property
    def mse(self) -> float | None:
        """Mean squared error: sum ||x - x_hat||^2 / (vectors * d_act), a mean over vectors and dimensions."""
        return Ratio(self._column("error"), self._column("vectors") * len(self.mean)).value

    @property
    def cosine(self) -> float | None:
        """Sum over vectors of cos(x - mean, x_hat - mean), / vectors; 0 for a vector that is exactly the mean.

        Centred: around the origin the mean alone, which no feature has to find, would give most of it.
        """
        return Ratio(self._column("cosine"), self._column("vectors")).value

    @property
    def frequency(self) -> NDArray[np.float64]:
        """The share of vectors on which each feature fires, [n_feat]."""
        return self._firings.double().numpy() / max(self.n_vectors, 1)

    @property
    def dead(self) -> int:
        """How many features fire on none of the vectors."""
        return int((self._firings == 0).sum())

    def alive(self, share: float) -> int:
        """How many features fire on more than `share` of the vectors."""
        return int((self.frequency > share).sum())
