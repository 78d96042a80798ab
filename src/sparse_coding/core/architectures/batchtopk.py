"""Keep the k * batch largest codes of a batch (Bussmann, Leask & Nanda 2024, arXiv:2412.06410).

    m = relu((z - b_dec) E^T + b)        c = m where it is among the k * batch largest of the batch, else 0
    z_hat = c D + b_dec        ||d_i|| = 1        loss: as topk_aux, with its auxiliary loss

So a vector takes as many codes as it needs, k on average. What is kept would hang on the vectors beside it: in use the
batch is replaced by one threshold for all features, c = m where m > theta. theta is the mean of the smallest code kept
of a batch (their section 3), over the batches of training, of which late ones count more: the first 1 / rate of them
alike, then each by a share `rate`. It has no slope, so it is state. The L0 of other vectors is not k but near it.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.architectures import running
from sparse_coding.core.architectures.contract import Architecture, Form, Parameters, Penalty, Settings, State
from sparse_coding.core.architectures.topk_aux import UNTIED, TopKAux
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.core.products import linear


@dataclass(frozen=True)
class BatchTopK(TopKAux):
    """rate: of the running threshold, a share a batch."""

    rate: float

    @property
    def form(self) -> Form:
        """As TopK with aux-k, over the batch."""
        return replace(super().form, of_batch=True, threshold_rate=self.rate)

    def state(self, parameters: Parameters) -> State:
        """The threshold, beside what tells dead features."""
        return super().state(parameters) | running.threshold()

    def settle(self, parameters: Parameters, state: State, rows: Float[Tensor, "row d_act"], penalty: Penalty) -> None:
        """The threshold that so many codes of `rows` are above, all in all: what training left overshoots on others."""
        m = linear(rows - parameters["decoder_bias"], parameters["encoder"], parameters["bias"]).relu_().flatten()
        below = len(m) - min(round(len(rows) * penalty.l0), len(m))
        state["threshold"].fill_(float(m.kthvalue(below).values) if below else 0.0)

    def fold(
        self, parameters: Parameters, state: State, mean: Float[Tensor, " d_act"], scale: float, penalty: Penalty
    ) -> Dictionary:
        """The threshold is scaled as the codes are."""
        threshold = torch.full_like(parameters["bias"], float(state["threshold"]) * scale)
        folded = UNTIED.fold(parameters, state, mean, scale, penalty)
        return replace(folded, activation="jumprelu", threshold=threshold)


def build(settings: Settings) -> Architecture:
    """By `aux_weight`, `dead_after` and `threshold_rate`."""
    return BatchTopK(float(settings["aux_weight"]), int(settings["dead_after"]), float(settings["threshold_rate"]))
