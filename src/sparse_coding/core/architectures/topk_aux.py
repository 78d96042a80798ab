"""TopK with the auxiliary loss that revives dead features (Gao et al. 2024, arXiv:2406.04093, appendix A.2).

    m = relu((z - b_dec) E^T + b)        c = topk(m, k)        z_hat = c D + b_dec        ||d_i|| = 1
    e = z - z_hat        a = topk(m of dead features alone, d_act / 2)
    loss = mean e^2 + weight * mean (e - a D)^2

Dead is a feature that none of the last `dead_after` vectors kept. What the others leave, e, is taken as it is: the
auxiliary loss moves dead features towards it, and nothing else away from it. Without a dead feature it is not there.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from sparse_coding.core.architectures.contract import Architecture, Parameters, Penalty, Settings, State, Terms
from sparse_coding.core.architectures.untied import Untied
from sparse_coding.core.dictionary import Dictionary, keep_largest

UNTIED = Untied()  # weights at first, and what they are folded into


@dataclass(frozen=True)
class TopKAux(Architecture):
    """weight: of the auxiliary loss; dead_after: in vectors."""

    weight: float
    dead_after: int

    def init(self, n_feat: int, d_act: int, generator: torch.Generator) -> Parameters:
        """As untied."""
        return UNTIED.init(n_feat, d_act, generator)

    def state(self, parameters: Parameters) -> State:
        """For how many vectors each feature has been silent."""
        return {"silent": torch.zeros(len(parameters["bias"]), dtype=torch.int64)}

    def kept(self, m: Float[Tensor, "batch n_feat"], k: int) -> Float[Tensor, "batch n_feat"]:
        """The k largest of each vector."""
        return keep_largest(m, min(k, m.shape[1]))

    def loss(self, parameters: Parameters, state: State, z: Float[Tensor, "batch d_act"], penalty: Penalty) -> Terms:
        """As above. Whether there is a dead feature is asked of the device that it is on."""
        x = z - parameters["decoder_bias"]
        m = torch.relu(x @ parameters["encoder"].T + parameters["bias"])
        codes, atoms = self.kept(m, penalty.k), functional.normalize(parameters["decoder"], dim=1)
        left = x - codes @ atoms
        mse = left.square().mean()
        dead = (state["silent"] >= self.dead_after).nonzero().squeeze(1)
        if not len(dead):
            return Terms(mse, mse, codes)
        auxiliary = keep_largest(m[:, dead], min(max(z.shape[1] // 2, 1), len(dead)))
        beside = (left.detach() - auxiliary @ atoms[dead]).square().mean()
        return Terms(mse + self.weight * beside, mse, codes)

    def after(self, parameters: Parameters, state: State, terms: Terms) -> None:
        """Rows of the decoder are made unit; silence is counted."""
        parameters["decoder"].div_(parameters["decoder"].norm(dim=1, keepdim=True))
        state["silent"].add_(len(terms.codes)).masked_fill_((terms.codes > 0).any(0), 0)

    def fold(
        self, parameters: Parameters, state: State, mean: Float[Tensor, " d_act"], scale: float, penalty: Penalty
    ) -> Dictionary:
        """As TopK."""
        return replace(UNTIED.fold(parameters, state, mean, scale, penalty), activation="topk", k=penalty.k)


def build(settings: Settings) -> Architecture:
    """By `aux_weight` and `dead_after`."""
    return TopKAux(float(settings["aux_weight"]), int(settings["dead_after"]))
