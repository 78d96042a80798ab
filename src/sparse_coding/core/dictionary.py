"""The one contract that sparse autoencoders and baselines keep.

    codes = gain * activation((x - centre) @ encoder.T + bias)        non-negative, [..., n_feat]
    x_hat = codes @ decoder + (out_centre or centre)                  [..., d_out]
    x_hat += (x - centre) @ skip        where there is a linear map beside the codes

The rows of `decoder` have unit norm, so a code is the length of its atom in the reconstruction, in the units of
the activations. A signed baseline such as PCA holds each direction twice, as +d and -d. What is put together may be
vectors of another place, of another width, around another centre.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core import dictionary_checks, given
from sparse_coding.core.activations import ramp, unrolled
from sparse_coding.core.dictionary_checks import BY_FEATURE, OPTIONAL, TENSORS, Activation
from sparse_coding.core.given import Indices, Vectors
from sparse_coding.core.products import is_plain, linear
from sparse_coding.core.provenance import Provenance
from sparse_coding.core.pursuit import matching_pursuit
from sparse_coding.errors import BadInput

SPARSE = 0.2  # share of features that TopK may keep for a screen to pay

# The codes [row, chosen] of some features of rows [row, d_in], where the k largest of all are kept; None: not so.
# Arguments: rows, encoder, bias, k, features. core.finder has a fast one.
Largest = Callable[[Tensor, Tensor, Tensor, int, Tensor], Tensor | None]


@dataclass(frozen=True, eq=False, repr=False)
class Dictionary(Provenance):
    """Features of an activation space: how to find them in a vector, and how to put the vector together again.

    encoder: [n_feat, d_in]; bias: [n_feat]; decoder: [n_feat, d_out], unit rows; centre: [d_in]; gain: [n_feat].
    activation: "relu"; "topk", the `k` largest of the ReLU; "jumprelu", what is above `threshold` [n_feat], at least 0;
    "ramp", the same without a jump (core.activations); "lista", `iterations` layers with a `momentum` (there too);
    "nnls", non-negative least squares against the decoder in `iterations` steps, for which encoder and bias count for
    nothing. out_centre: [d_out], where vectors that are put together are around another centre. skip: [d_in, d_out],
    what is put together beside the codes: `reconstruct` has it, and `decode`, which sees codes alone, has not. hidden,
    hidden_bias: [n_hidden, d_in] and [n_hidden], of "relu", where the encoder, then [n_feat, n_hidden], reads what a
    ReLU layer makes of x - centre. pursuit: codes are found by matching pursuit against the decoder (core.pursuit), in
    as many steps as `activation` finds codes in the vector, so that encoder, bias and threshold say how many codes
    there are and not which. The rest (`name`, `site`, `l0`, ...) is what core.provenance says, and enters no number.

    Vectors and codes may be tensors or numpy arrays of any floating-point numbers; they are taken in the number format
    of the dictionary, and what comes out is a tensor in that format. BadInput is raised where they are something else,
    have another width, or are on another device.
    """

    encoder: Float[Tensor, "n_feat d_read"]
    bias: Float[Tensor, " n_feat"]
    decoder: Float[Tensor, "n_feat d_out"]
    centre: Float[Tensor, " d_in"]
    gain: Float[Tensor, " n_feat"]
    activation: Activation = "relu"
    k: int | None = None
    iterations: int | None = None
    threshold: Float[Tensor, " n_feat"] | None = None
    out_centre: Float[Tensor, " d_out"] | None = None
    skip: Float[Tensor, "d_in d_out"] | None = None
    pursuit: bool = False
    hidden: Float[Tensor, "d_read d_in"] | None = None
    hidden_bias: Float[Tensor, " d_read"] | None = None
    momentum: float | None = None

    def __post_init__(self) -> None:
        dictionary_checks.check(self)

    def __repr__(self) -> str:
        measured = [f"{name} {value:.3g}" for name, value in (("L0", self.l0), ("FVU", self.fvu)) if value is not None]
        variant = None if self.variant == "plain" else self.variant
        kind = self.kind or (f"topk, k {self.k}" if self.activation == "topk" else self.activation)
        to = f" to {self.d_out}" if self.d_in != self.d_out else ""
        beside = None if self.skip is None else "with a skip"
        shape = f"[{self.n_feat}, {self.d_act}{to}]"
        parts = [self.name, self.site, kind, self.control, beside, variant, shape, *measured, self.path]
        return f"Dictionary({', '.join(part for part in parts if part)})"

    @property
    def n_feat(self) -> int:
        """The number of features."""
        return self.decoder.shape[0]

    @property
    def d_act(self) -> int:
        """The number of dimensions of an activation: of one that is encoded."""
        return self.centre.shape[0]

    @property
    def d_in(self) -> int:
        """The same."""
        return self.centre.shape[0]

    @property
    def d_out(self) -> int:
        """The number of dimensions of what is put together."""
        return self.decoder.shape[1]

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All of them, by name."""
        found = {name: getattr(self, name) for name in (*TENSORS, *OPTIONAL)}
        return {name: tensor for name, tensor in found.items() if tensor is not None}

    @property
    def atoms(self) -> Float[Tensor, "n_feat d_act"]:
        """The directions of the features, unit rows."""
        return self.decoder

    def to(self, *target: Any, **options: Any) -> "Dictionary":
        """The same dictionary on another device or in another floating-point format, as `torch.Tensor.to`.

        Raises BadInput where there is no such device or format.
        """
        moved = given.moved(self.tensors, *target, **options)
        if not moved["centre"].is_floating_point():
            raise BadInput("to", str(moved["centre"].dtype), "a format of floating-point numbers")
        if self.encoder is self.decoder:  # tied: one tensor stays one
            moved["encoder"] = moved["decoder"]
        return replace(self, **moved)

    def encode(self, x: Vectors) -> Float[Tensor, "*batch n_feat"]:
        """The codes [*batch, n_feat] of `x` [*batch, d_act]: how much of each atom is in it, at least 0."""
        x = given.vectors("encode", x, self.d_act, self.centre)
        rows = (x - self.centre).reshape(-1, self.d_act)
        if self.activation == "nnls":
            codes = nonnegative_least_squares(rows, self.decoder, self.iterations or 100)
        elif self.activation == "lista":
            parts = self.encoder, self.bias, self.decoder
            codes = unrolled(rows, *parts, self.iterations or 1, self.momentum or 0.0)
        else:
            read = rows if self.hidden is None else linear(rows, self.hidden, self.hidden_bias).relu()
            codes = self._activated(linear(read, self.encoder, self.bias))
        if self.pursuit:
            codes = matching_pursuit(rows, self.decoder, (codes > 0).sum(dim=1))
        codes = codes * self.gain if codes.requires_grad else codes.mul_(self.gain)
        return codes.reshape(*x.shape[:-1], self.n_feat)

    def _activated(self, m: Float[Tensor, "row n_feat"]) -> Float[Tensor, "row n_feat"]:
        if self.activation == "ramp" and self.threshold is not None:
            return ramp(m, self.threshold)
        if self.threshold is not None:
            above = m > self.threshold
            return m.relu_() * above  # -inf, which half precision soon comes to, times 0 would be no number
        codes = m.relu_()
        return keep_largest(codes, min(self.k or 1, self.n_feat)) if self.activation == "topk" else codes

    def encode_features(
        self, x: Vectors, features: Indices, largest: Largest | None = None
    ) -> Float[Tensor, "*batch _"]:
        """The codes of some features of `x` [*batch, d_act]: those columns of `encode(x)`, in the order of `features`.

        features: their numbers, also several times the same, counted from the end where they are negative; or a mask
        [n_feat] of booleans. BadInput is raised for others.

        No others are computed where features do not depend on each other: BY_FEATURE. For "topk", `largest` spares most
        of them where it can; of codes that are equal it keeps the first, where `encode` may keep others.
        """
        x = given.vectors("encode_features", x, self.d_act, self.centre)
        chosen = given.indices("encode_features: features", features, self.n_feat, self.centre.device)
        if largest is not None and (codes := self._largest_codes(x, chosen, largest)) is not None:
            return codes
        if self.activation not in BY_FEATURE or self.pursuit:
            return self.encode(x)[..., chosen]
        parts = ("encoder", "bias", "decoder", "gain", *([] if self.threshold is None else ["threshold"]))
        return replace(self, **{name: getattr(self, name)[chosen] for name in parts}).encode(x)

    def _largest_codes(self, x: Tensor, features: Tensor, largest: Largest) -> Tensor | None:
        """`encode_features` for "topk" by a screen; None where that is not to be had, or takes longer."""
        k, plain = self.k or 1, all(is_plain(each) for each in (x, self.centre, self.encoder, self.bias, self.gain))
        if self.activation != "topk" or self.pursuit or not plain or k > SPARSE * self.n_feat:
            return None
        rows = (x - self.centre).reshape(-1, self.d_act)
        codes = largest(rows, self.encoder, self.bias, k, features)
        return None if codes is None else codes.mul_(self.gain[features]).reshape(*x.shape[:-1], len(features))

    def decode(self, codes: Vectors) -> Float[Tensor, "*batch d_out"]:
        """The vectors [*batch, d_out] that `codes` [*batch, n_feat] stand for, without what `skip` adds."""
        centre = self.centre if self.out_centre is None else self.out_centre
        return given.vectors("decode", codes, self.n_feat, self.centre) @ self.decoder + centre

    def reconstruct(self, x: Vectors) -> Float[Tensor, "*batch d_out"]:
        """`x` [*batch, d_in] as the dictionary sees it: decode(encode(x)), and what `skip` adds."""
        return self.put_together(self.encode(x), x)

    def put_together(self, codes: Vectors, x: Vectors) -> Float[Tensor, "*batch d_out"]:
        """`reconstruct` of `x` [*batch, d_in] with `codes` [*batch, n_feat] in the place of its own."""
        x_hat = self.decode(codes)
        if self.skip is None:
            return x_hat
        return x_hat + (given.vectors("put_together", x, self.d_in, self.centre) - self.centre) @ self.skip

    def with_gain(self, gain: Vectors) -> "Dictionary":
        """The same features with each code multiplied by its `gain` [n_feat], at least 0 (see core.metrics.gain_refit).

        What was measured of the first dictionary is not known of it.
        """
        gain = given.vectors("with_gain", gain, self.n_feat, self.centre)
        if gain.ndim != 1 or not bool((gain >= 0).all()):
            found = f"shape {list(gain.shape)}" if gain.ndim != 1 else "a gain below 0, or not a number"
            raise BadInput("with_gain", found, f"{self.n_feat} gains of at least 0: codes are never negative")
        return replace(self, gain=self.gain * gain, variant=None, l0=None, fvu=None)

    def with_pursuit(self) -> "Dictionary":
        """The same features with codes found by matching pursuit, in each vector in as many steps as it has codes now.

        Their lengths are those that are found, so that no gain is left. What was measured of the first dictionary is
        not known of it. Raises BadInput for one by non-negative least squares, or of vectors of another place.
        """
        return replace(self, gain=torch.ones_like(self.gain), pursuit=True, variant=None, l0=None, fvu=None)

    def cut(self, threshold: float) -> "Dictionary":
        """The same features with what is at most `threshold`, in the units of codes, taken as 0.

        What was measured of the first dictionary is not known of it. Raises BadInput where it has another activation
        than ReLU or JumpReLU of one layer, or a threshold below 0.
        """
        if self.activation not in ("relu", "jumprelu") or self.pursuit or self.hidden is not None:
            raise BadInput("cut", f"activation {self.activation}", "relu or jumprelu, of one layer and no pursuit")
        if not threshold >= 0:
            raise BadInput("cut", f"threshold {threshold}", "at least 0: codes are never negative")
        least = threshold / self.gain.clamp(min=torch.finfo(self.gain.dtype).tiny)
        own = least if self.threshold is None else torch.maximum(self.threshold, least)
        return replace(self, activation="jumprelu", threshold=own, variant=None, l0=None, fvu=None)


def keep_largest(codes: Float[Tensor, "batch n_feat"], k: int) -> Float[Tensor, "batch n_feat"]:
    """The k largest codes of each row, zero elsewhere."""
    values, indices = codes.topk(k, dim=1, sorted=False)
    return torch.zeros_like(codes).scatter_(1, indices, values)


def nonnegative_least_squares(
    x: Float[Tensor, "batch d_act"], atoms: Float[Tensor, "n_feat d_act"], iterations: int
) -> Float[Tensor, "batch n_feat"]:
    """argmin over codes >= 0 of ||x - codes @ atoms||^2, by FISTA (Beck & Teboulle 2009).

    A fixed number of iterations: a row's codes do not depend on the rows beside it. At least in float32: with the few
    digits of shorter formats the steps lead elsewhere.
    """
    if torch.finfo(x.dtype).bits < 32:
        return nonnegative_least_squares(x.float(), atoms.float(), iterations).to(x.dtype)
    gram, target = atoms @ atoms.T, x @ atoms.T
    if not len(atoms):
        return target
    largest = torch.linalg.eigvalsh(gram.double())[-1].to(x.dtype)
    step = 1 / largest.clamp(min=torch.finfo(x.dtype).tiny)  # atoms that are all 0 leave the codes at 0
    gram, target = gram.mul_(step), target.mul_(step)
    codes = torch.zeros_like(target)
    ahead, momentum = codes, 1.0
    for _ in range(iterations):
        previous, codes = codes, torch.addmm(target, ahead, gram, alpha=-1).add_(ahead).relu_()
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = torch.lerp(previous, codes, 1 + (momentum - 1) / following)
        momentum = following
    return codes
