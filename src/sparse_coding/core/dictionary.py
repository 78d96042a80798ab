"""The one contract that sparse autoencoders and baselines keep.

    codes = gain * activation((x - centre) @ encoder.T + bias)        non-negative, [..., n_feat]
    x_hat = codes @ decoder + centre                                  [..., d_act]

The rows of `decoder` have unit norm, so a code is the length of its atom in the reconstruction, in the units of
the activations. A signed baseline such as PCA holds each direction twice, as +d and -d.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

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
            codes = torch.addmm(self.bias, rows, self.encoder.T).relu_()
            if self.activation == "topk":
                codes = keep_largest(codes, min(self.k or 1, self.n_feat))
        return (codes * self.gain).reshape(*x.shape[:-1], self.n_feat)

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
    codes = torch.zeros_like(target)
    ahead, momentum = codes, 1.0
    for _ in range(iterations):
        previous, codes = codes, torch.addmm(target, ahead, gram, beta=-1).mul_(-step).add_(ahead).relu_()
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = codes + (momentum - 1) / following * (codes - previous)
        momentum = following
    return codes
