"""From one place of a model to another, through TopK codes (Dunefsky, Chlenski & Nanda 2024, arXiv:2406.11944).

A batch is [x | y], the vectors of both places side by side, each centred and scaled to unit mean norm.

    m = relu(x E^T + b)        c = topk(m, k)        y_hat = c D + b_dec        ||d_i|| = 1
    e = y - y_hat        a = topk(m of dead features alone, d_out / 2)
    loss = mean e^2 + weight * mean (e - a D)^2

Codes as Paulo, Shabalin & Belrose 2025 (arXiv:2501.18823) have them, in the place of the ReLU with an L1 penalty of the
first paper. x is not centred once more: b does it. Dead features learn what the others leave, as in topk_aux.
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
    unit_rows,
)
from sparse_coding.core.dictionary import Dictionary, keep_largest


@dataclass(frozen=True)
class Transcoder(Architecture):
    """d_in: where [x | y] is cut; weight: of the auxiliary loss; dead_after: in vectors."""

    d_in: int
    weight: float
    dead_after: int

    @property
    def form(self) -> Form:
        """As TopK with aux-k, of a pair."""
        parts = Form("encoder", "bias", "decoder", d_in=self.d_in, offset="decoder_bias")
        return replace(parts, keeps_largest=True, revival=Revival(self.weight, self.dead_after))

    def density(self, penalty: Penalty, n_feat: int) -> float:
        """No more than k codes of a vector."""
        return min(penalty.k / n_feat, 1.0)

    def init(self, n_feat: int, d_act: int, generator: torch.Generator) -> Parameters:
        """Random unit rows on both sides, which know nothing of each other; zero biases."""
        d_out = d_act - self.d_in
        encoder, decoder = unit_rows(n_feat, self.d_in, generator), unit_rows(n_feat, d_out, generator)
        return {
            "encoder": encoder, "bias": torch.zeros(n_feat), "decoder": decoder, "decoder_bias": torch.zeros(d_out)
        }  # fmt: skip

    def state(self, parameters: Parameters) -> State:
        """For how many vectors each feature has been silent."""
        return running.silence(parameters["bias"])

    def beside(self, parameters: Parameters, x: Float[Tensor, "batch d_in"]) -> Tensor | float:
        """What of y does not go through the codes."""
        return 0.0

    def loss(self, parameters: Parameters, state: State, z: Float[Tensor, "batch d_act"], penalty: Penalty) -> Terms:
        """As above."""
        x, y = z[:, : self.d_in], z[:, self.d_in :]
        m = torch.relu(x @ parameters["encoder"].T + parameters["bias"])
        codes = self.form.kept(m, penalty.k)
        atoms = functional.normalize(parameters["decoder"], dim=1)
        left = y - codes @ atoms - parameters["decoder_bias"] - self.beside(parameters, x)
        mse = left.square().mean()
        dead = (state["silent"] >= self.dead_after).nonzero().squeeze(1)
        if not self.weight or not len(dead):
            return Terms(mse, mse, codes)
        auxiliary = keep_largest(m[:, dead], min(Revival.most(y.shape[1]), len(dead)))
        revived = (left.detach() - auxiliary @ atoms[dead]).square().mean()
        return Terms(mse + self.weight * revived, mse, codes)

    def after(self, parameters: Parameters, state: State, terms: Terms) -> None:
        """Rows of the decoder are made unit; silence is counted."""
        parameters["decoder"].div_(parameters["decoder"].norm(dim=1, keepdim=True))
        running.after(self.form, state, terms.codes)

    def fold(
        self,
        parameters: Parameters,
        state: State,
        mean: Float[Tensor, " d_act"],
        scale: float | Float[Tensor, " d_act"],
        penalty: Penalty,
    ) -> Dictionary:
        """From raw x to raw y, with codes in the units of y; scaling does not change which codes are the largest."""
        scales = torch.as_tensor(scale).expand_as(mean)
        of_x, of_y = float(scales[0]), float(scales[-1])
        skip = parameters.get("skip")
        return Dictionary(
            encoder=parameters["encoder"] * (of_y / of_x),
            bias=parameters["bias"] * of_y,
            decoder=parameters["decoder"].clone(),
            centre=mean[: self.d_in].clone(),
            gain=torch.ones(len(parameters["bias"])),
            activation="topk",
            k=penalty.k,
            out_centre=mean[self.d_in :] + of_y * parameters["decoder_bias"],
            skip=None if skip is None else skip * (of_y / of_x),
        )


def numbers(settings: Settings) -> tuple[int, float, int]:
    """`d_in` of the vectors, `aux_weight` and `dead_after`."""
    return int(settings["d_in"]), float(settings["aux_weight"]), int(settings["dead_after"])


def build(settings: Settings) -> Architecture:
    """By `numbers`."""
    return Transcoder(*numbers(settings))
