"""What the final hidden states lose when reconstructions take the place of a model's activations at one site.

For models without predictions: sentence encoders, whose users read these states. h is the state at a text token in
the undisturbed pass, h' in the spliced one, m the mean of all h. Sums are float64, by block.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sparse_coding.core.metrics.ratios import Ratio, Sums
from sparse_coding.core.metrics.reconstruction import TINY


class CleanStates:
    """The final hidden states of the undisturbed model in a batch of blocks, kept to compare spliced passes with.

    n_tokens [block]: counted positions; variance [block]: sum over them of ||h - m||^2. mean: m [d].
    """

    def __init__(
        self,
        states: Float[Tensor, "block token d"],
        counted: Bool[Tensor, "block token"],
        mean: Float[Tensor, " d"],
    ) -> None:
        self._counted, self._mean = counted, mean.double()
        self._clean = states.double() - self._mean
        self.n_tokens = counted.sum(dim=1).double()
        self.variance = self._sum(self._clean.square().sum(dim=-1))

    def compare(
        self, states: Float[Tensor, "block token d"]
    ) -> tuple[Float[Tensor, " block"], Float[Tensor, " block"]]:
        """Of a spliced pass, sums over the counted positions: ||h - h'||^2, and the cosine of h - m and h' - m."""
        spliced = states.double() - self._mean
        lengths = self._clean.norm(dim=-1).clamp(min=TINY) * spliced.norm(dim=-1).clamp(min=TINY)
        error = self._sum((self._clean - spliced).square().sum(dim=-1))
        return error, self._sum(torch.linalg.vecdot(self._clean, spliced) / lengths)

    def _sum(self, values: Float[Tensor, "block token"]) -> Float[Tensor, " block"]:
        return torch.where(self._counted, values, 0).sum(dim=1)


@dataclass(frozen=True, eq=False)
class FinalStates:
    """Sums of one dictionary, by block, beside those it is compared with."""

    n_tokens: Sums
    variance: Sums
    error_mean_ablated: Sums
    error: Sums
    cosines: Sums

    @property
    def fvu(self) -> Ratio:
        """Fraction of variance unexplained: sum ||h - h'||^2 / sum ||h - m||^2.

        0: the states stay as they are; 1: as far off as one constant state would be; no upper end.
        """
        return Ratio(self.error, self.variance)

    @property
    def fvu_mean_ablated(self) -> Ratio:
        """The same where every vector at the site becomes the mean of the training vectors."""
        return Ratio(self.error_mean_ablated, self.variance)

    @property
    def cosine(self) -> Ratio:
        """Mean cosine of h - m and h' - m."""
        return Ratio(self.cosines, self.n_tokens)
