"""A sparse autoencoder as other libraries keep it, what it computes, and the dictionary of ours that computes the same.

    p = (x - read_bias) @ encoder.T
    relu        a = relu(p + bias)
    topk        a = relu(the k largest of p + bias), of the products with the norms of the decoder's rows if `rescaled`
    abstopk     the same by size, with their signs
    jumprelu    a = relu(p + bias) where p + bias > threshold
    gated       a = relu(exp(r_mag) p + bias) where p + gate_bias > 0
    x_hat = a @ decoder + out_bias + x @ skip          a / norms instead of a if `rescaled`

Ours has decoder rows of unit norm, and codes in the units of activations: a times the norm of its row. A signed code
is two of ours, one of which is 0.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sparse_coding.core.dictionary import Dictionary
from sparse_coding.core.dictionary_checks import Activation
from sparse_coding.errors import BadInput

Kind = Literal["relu", "topk", "abstopk", "jumprelu", "gated"]


@dataclass(frozen=True, eq=False)
class Raw:
    """All tensors are float64. read_bias: None where x is read as it is. is_pair: x_hat is of another place than x."""

    encoder: Float[Tensor, "n_feat d_in"]
    bias: Float[Tensor, " n_feat"]
    decoder: Float[Tensor, "n_feat d_out"]
    out_bias: Float[Tensor, " d_out"]
    read_bias: Float[Tensor, " d_in"] | None = None
    activation: Kind = "relu"
    k: int = 0
    threshold: Float[Tensor, " n_feat"] | None = None
    r_mag: Float[Tensor, " n_feat"] | None = None
    gate_bias: Float[Tensor, " n_feat"] | None = None
    skip: Float[Tensor, "d_in d_out"] | None = None
    rescaled: bool = False
    is_pair: bool = False

    @property
    def norms(self) -> Float[Tensor, " n_feat"]:
        """Of the decoder's rows."""
        return self.decoder.norm(dim=1)

    def encode(self, x: Float[Tensor, "row d_in"]) -> Float[Tensor, "row n_feat"]:
        """Its own codes."""
        p = (x if self.read_bias is None else x - self.read_bias) @ self.encoder.T
        if self.gate_bias is not None and self.r_mag is not None:
            return (p * self.r_mag.exp() + self.bias).relu() * (p + self.gate_bias > 0)
        m = p + self.bias
        if self.activation in ("topk", "abstopk"):
            m = m * self.norms if self.rescaled else m
            size = m.abs() if self.activation == "abstopk" else m
            kept = torch.zeros_like(m).scatter(1, size.topk(min(self.k, m.shape[1]), dim=1).indices, 1.0)
            return m * kept if self.activation == "abstopk" else m.relu() * kept
        return m.relu() if self.threshold is None else m.relu() * (m > self.threshold)

    def reconstruct(self, x: Float[Tensor, "row d_in"]) -> Float[Tensor, "row d_out"]:
        """x as it sees it."""
        codes = self.encode(x)
        if self.rescaled:  # a row of zeros says nothing, whatever its code is
            codes = codes / self.norms.where(self.norms > 0, 1.0)
        x_hat = codes @ self.decoder + self.out_bias
        return x_hat if self.skip is None else x_hat + x @ self.skip

    def as_ours(self, codes: Float[Tensor, "row n_feat"]) -> Float[Tensor, "row features"]:
        """Its codes in our units, and signed ones as two."""
        codes = codes if self.rescaled else codes * self.norms
        return torch.cat([codes.relu(), (-codes).relu()], dim=1) if self.activation == "abstopk" else codes

    def code_of_feature(self, x: Float[Tensor, "n d_in"], features: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The code, in our units, of one feature on each row, before any choice of the k largest; features as ours."""
        n_feat = len(self.bias)
        own = features % n_feat  # signed ones are there twice
        p = ((x if self.read_bias is None else x - self.read_bias) * self.encoder[own]).sum(1)
        if self.gate_bias is not None and self.r_mag is not None:
            codes = (p * self.r_mag[own].exp() + self.bias[own]).relu() * (p + self.gate_bias[own] > 0)
            return codes * self.norms[own]
        m = (p + self.bias[own]) * torch.where(features < n_feat, 1.0, -1.0)
        codes = m.relu() * self.norms[own]
        return codes if self.threshold is None else codes * (m > self.threshold[own])

    def dictionary(self) -> Dictionary:
        """Ours, in float32: products are folded in float64, and rounded once."""
        encoder, bias, gain, threshold = self._folded()
        decoder = self.decoder / self.norms.where(self.norms > 0, 1.0)[:, None]
        centre = self._centre()
        bias = bias + encoder @ (centre if self.read_bias is None else centre - self.read_bias)
        out = self.out_bias if self.skip is None else self.out_bias + centre @ self.skip
        if self.activation == "abstopk":
            encoder, decoder = torch.cat([encoder, -encoder]), torch.cat([decoder, -decoder])
            bias, gain = torch.cat([bias, -bias]), gain.repeat(2)
        optional = {
            "threshold": threshold,
            "skip": self.skip,
            "out_centre": out if self.is_pair or self.skip is not None else None,
        }
        tensors = {"encoder": encoder, "bias": bias, "decoder": decoder, "centre": centre, "gain": gain} | optional
        rounded = {name: None if each is None else each.float().contiguous() for name, each in tensors.items()}
        for name, each in rounded.items():
            if each is not None and not bool(each.isfinite().all()):
                raise BadInput("dictionary", f"a {name} that is no number in float32", "weights of a usual size")
        k = self.k if self.activation in ("topk", "abstopk") else None
        return Dictionary(**rounded, activation=self._activation(threshold), k=k)  # type: ignore[arg-type]

    def _folded(self) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Encoder, bias, gain and threshold that make codes in our units of p."""
        if self.gate_bias is not None and self.r_mag is not None:
            # exp(r) p + b = exp(r) (p + b exp(-r)); a gate is open where that sum is above b exp(-r) - gate_bias
            scale = self.r_mag.exp()
            bias = self.bias / scale
            return self.encoder, bias, self.norms * scale, (bias - self.gate_bias).clamp(min=0)
        if self.rescaled:
            return self.encoder * self.norms[:, None], self.bias * self.norms, torch.ones_like(self.norms), None
        threshold = None if self.threshold is None else self.threshold.clamp(min=0)  # below 0 is what relu leaves out
        return self.encoder, self.bias, self.norms, threshold

    def _centre(self) -> Tensor:
        """Around which vectors are read: of one place that of what is put together, too."""
        zero = torch.zeros(self.encoder.shape[1], dtype=torch.float64)
        if not self.is_pair:
            return self.out_bias
        return zero if self.read_bias is None or self.skip is not None else self.read_bias

    def _activation(self, threshold: Tensor | None) -> Activation:
        if self.activation in ("topk", "abstopk"):
            return "topk"
        return "relu" if threshold is None else "jumprelu"
