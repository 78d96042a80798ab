"""The one contract that sparse autoencoders and baselines keep.

    codes = gain * activation((x - centre) @ encoder.T + bias)        non-negative, [..., n_feat]
    x_hat = codes @ decoder + centre                                  [..., d_act]

The rows of `decoder` have unit norm, so a code is the length of its atom in the reconstruction, in the units of
the activations. A signed baseline such as PCA holds each direction twice, as +d and -d.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sparse_coding.core.finder import largest_codes
from sparse_coding.core.products import is_plain, linear

SPARSE = 0.2  # share of features that TopK may keep for a screen to pay

Activation = Literal["relu", "topk", "nnls"]


@dataclass(frozen=True, eq=False)
class Dictionary:
    """Features of an activation space: how to find them in a vector, and how to put the vector together again.

    encoder: [n_feat, d_act]; bias: [n_feat]; decoder: [n_feat, d_act], unit rows; centre: [d_act]; gain: [n_feat].
    activation: "relu"; "topk", the `k` largest of the ReLU; "nnls", non-negative least squares against the
    decoder in `iterations` steps, for which encoder and bias count for nothing.
    """

    encoder: Float[Tensor, "n_feat d_act"]
    bias: Float[Tensor, " n_feat"]
    decoder: Float[Tensor, "n_feat d_act"]
    centre: Float[Tensor, " d_act"]
    gain: Float[Tensor, " n_feat"]
    activation: Activation = "relu"
    k: int | None = None
    iterations: int | None = None

    @property
    def n_feat(self) -> int:
        """The number of features."""
        return self.decoder.shape[0]

    @property
    def d_act(self) -> int:
        """The number of dimensions of an activation."""
        return self.decoder.shape[1]

    @property
    def atoms(self) -> Float[Tensor, "n_feat d_act"]:
        """The directions of the features, unit rows."""
        return self.decoder

    def encode(self, x: Float[Tensor, "*batch d_act"]) -> Float[Tensor, "*batch n_feat"]:
        """The codes of `x`: how much of each atom is in it, at least 0."""
        rows = (x - self.centre).reshape(-1, self.d_act)
        if self.activation == "nnls":
            codes = nonnegative_least_squares(rows, self.decoder, self.iterations or 100)
        else:
            codes = linear(rows, self.encoder, self.bias).relu_()
            if self.activation == "topk":
                codes = keep_largest(codes, min(self.k or 1, self.n_feat))
        codes = codes * self.gain if codes.requires_grad else codes.mul_(self.gain)
        return codes.reshape(*x.shape[:-1], self.n_feat)

    def encode_features(
        self, x: Float[Tensor, "*batch d_act"], features: Int[Tensor, " chosen"]
    ) -> Float[Tensor, "*batch chosen"]:
        """The codes of some features, in the order of `features`: those columns of `encode(x)`.

        No others are computed where features do not depend on each other, that is for "relu". For "topk" a screen
        spares most of them; of codes that are equal the first are kept, where `encode` may keep others.
        """
        if self.activation == "topk" and (codes := self._largest_codes(x, features)) is not None:
            return codes
        if self.activation != "relu":
            return self.encode(x)[..., features]
        parts = (self.encoder, self.bias, self.decoder, self.gain)
        encoder, bias, decoder, gain = (part[features] for part in parts)
        return replace(self, encoder=encoder, bias=bias, decoder=decoder, gain=gain).encode(x)

    def _largest_codes(self, x: Tensor, features: Tensor) -> Tensor | None:
        """`encode_features` for "topk" by a screen; None where that is not to be had, or takes longer."""
        k, plain = self.k or 1, all(is_plain(each) for each in (x, self.centre, self.encoder, self.bias, self.gain))
        if not plain or k > SPARSE * self.n_feat:
            return None
        rows = (x - self.centre).reshape(-1, self.d_act)
        codes = largest_codes(rows, self.encoder, self.bias, k, features)
        return None if codes is None else codes.mul_(self.gain[features]).reshape(*x.shape[:-1], len(features))

    def decode(self, codes: Float[Tensor, "*batch n_feat"]) -> Float[Tensor, "*batch d_act"]:
        """The vectors that `codes` stand for."""
        return codes @ self.decoder + self.centre

    def reconstruct(self, x: Float[Tensor, "*batch d_act"]) -> Float[Tensor, "*batch d_act"]:
        """`x` as the dictionary sees it: decode(encode(x))."""
        return self.decode(self.encode(x))

    def with_gain(self, gain: Float[Tensor, " n_feat"]) -> "Dictionary":
        """The same features with each code multiplied by its `gain` (see core.metrics.gain_refit)."""
        return replace(self, gain=self.gain * gain)


def keep_largest(codes: Float[Tensor, "batch n_feat"], k: int) -> Float[Tensor, "batch n_feat"]:
    """The k largest codes of each row, zero elsewhere."""
    values, indices = codes.topk(k, dim=1, sorted=False)
    return torch.zeros_like(codes).scatter_(1, indices, values)


def nonnegative_least_squares(
    x: Float[Tensor, "batch d_act"], atoms: Float[Tensor, "n_feat d_act"], iterations: int
) -> Float[Tensor, "batch n_feat"]:
    """argmin over codes >= 0 of ||x - codes @ atoms||^2, by FISTA (Beck & Teboulle 2009).

    A fixed number of iterations: a row's codes do not depend on the rows beside it.
    """
    gram, target = atoms @ atoms.T, x @ atoms.T
    step = 1 / torch.linalg.eigvalsh(gram.double())[-1].to(x.dtype)
    gram, target = gram.mul_(step), target.mul_(step)
    codes = torch.zeros_like(target)
    ahead, momentum = codes, 1.0
    for _ in range(iterations):
        previous, codes = codes, torch.addmm(target, ahead, gram, alpha=-1).add_(ahead).relu_()
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = torch.lerp(previous, codes, 1 + (momentum - 1) / following)
        momentum = following
    return codes
