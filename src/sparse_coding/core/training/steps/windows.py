"""How thresholds hear of a batch: by the pre-activations in a window around them. See core.architectures.jumprelu."""

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.architectures.contract import Form, Parameters, Penalty


class Windows:
    """The slopes of log theta, [n_feat], and how many pre-activations were in their windows.

    The penalty is on the mean over the batch of all codes, so their number is known before any slope.
    """

    def __init__(self, form: Form, parameters: Parameters, pre: Tensor, penalty: Penalty, codes: Tensor) -> None:
        assert form.threshold
        self._pre, self._theta, self._bandwidth = pre, parameters[form.threshold].exp(), form.bandwidth
        l0 = int(torch.count_nonzero(codes)) / len(codes)
        shape = len(codes), parameters[form.decoder].shape[1]
        self._d_count = form.slope_of_count(penalty.l0, l0, shape, penalty.warm)
        self.slopes, self.count = torch.empty_like(self._theta), 0.0

    def look(self, rows: slice, d_codes: Float[Tensor, "batch some"]) -> None:
        """Fill the slopes of some features, from d loss / d code."""
        theta = self._theta[rows]
        inside = ((self._pre[:, rows] - theta).abs_() < self._bandwidth / 2).to(d_codes.dtype)
        numbers = inside.sum(0)
        sums = theta * (inside * d_codes).sum(0) + self._d_count * numbers
        self.slopes[rows] = sums * theta / -self._bandwidth
        self.count += float(numbers.sum())
