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

from sparse_coding.core.architectures import running
from sparse_coding.core.architectures.contract import (
    Architecture,
    Form,
    Parameters,
    Penalty,
    Revival,
    Settings,
    State,
    Terms,
)
from sparse_coding.core.architectures.untied import Untied
from sparse_coding.core.dictionary import Dictionary, keep_largest

UNTIED = Untied()  # weights at first, and what they are folded into


@dataclass(frozen=True)
class TopKAux(Architecture):
    """weight: of the auxiliary loss; dead_after: in vectors."""

    weight: float
    dead_after: int

    @property
    def form(self) -> Form:
        """As TopK, with revival."""
        return replace(UNTIED.form, keeps_largest=True, revival=Revival(self.weight, self.dead_after))

    def density(self, penalty: Penalty, n_feat: int) -> float:
        """No more than k codes of a vector, on average."""
        return min(penalty.k / n_feat, 1.0)

    def init(self, n_feat: int, d_act: int, generator: torch.Generator) -> Parameters:
        """As untied."""
        return UNTIED.init(n_feat, d_act, generator)

    def state(self, parameters: Parameters) -> State:
        """For how many vectors each feature has been silent."""
        return running.silence(parameters["bias"])

    def fit(self, x: Float[Tensor, "batch d_act"], codes: Tensor, atoms: Tensor) -> tuple[Tensor, Tensor]:
        """What codes are to make small, without the auxiliary loss; and what they leave, e [batch, d_act]."""
        left = x - codes @ atoms
        return left.square().mean(), left

    def loss(self, parameters: Parameters, state: State, z: Float[Tensor, "batch d_act"], penalty: Penalty) -> Terms:
        """As above. Whether there is a dead feature is asked of the device that it is on."""
        x = z - parameters["decoder_bias"]
        m = torch.relu(x @ parameters["encoder"].T + parameters["bias"])
        codes, atoms = self.form.kept(m, penalty.k), functional.normalize(parameters["decoder"], dim=1)
        loss, left = self.fit(x, codes, atoms)
        dead = (state["silent"] >= self.dead_after).nonzero().squeeze(1)
        if len(dead):
            auxiliary = keep_largest(m[:, dead], min(Revival.most(z.shape[1]), len(dead)))
            beside = (left.detach() - auxiliary @ atoms[dead]).square().mean()
            loss = loss + self.weight * beside
        return Terms(loss, left.square().mean(), codes)

    def after(self, parameters: Parameters, state: State, terms: Terms) -> None:
        """Rows of the decoder are made unit; silence is counted."""
        parameters["decoder"].div_(parameters["decoder"].norm(dim=1, keepdim=True))
        running.after(self.form, state, terms.codes)

    def fold(
        self, parameters: Parameters, state: State, mean: Float[Tensor, " d_act"], scale: float, penalty: Penalty
    ) -> Dictionary:
        """As TopK."""
        return replace(UNTIED.fold(parameters, state, mean, scale, penalty), activation="topk", k=penalty.k)


def build(settings: Settings) -> Architecture:
    """By `aux_weight` and `dead_after`."""
    return TopKAux(float(settings["aux_weight"]), int(settings["dead_after"]))
