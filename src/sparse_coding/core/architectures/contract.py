"""What an architecture is to those who train it: a loss, and what happens around it.

One is a file here: a class that keeps the contract, and `build(settings)`, which makes it of its section of settings.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.dictionary import Dictionary, keep_largest
from sparse_coding.errors import BadInput

Parameters = dict[str, Tensor]
State = dict[str, Tensor]
Settings = Mapping[str, Any]
Number = TypeVar("Number", float, Tensor)


@dataclass(frozen=True)
class Penalty:
    """What a member adds to its cell's architecture: the weight of the L1 penalty, the number of codes kept, or the
    number of codes that is wished for.

    warm: how far the penalty has been warmed up, from 0 to 1; `l1` has it in it.
    """

    l1: float = 0.0
    k: int = 0
    l0: float = 0.0
    warm: float = 1.0


class Terms(NamedTuple):
    """What a loss says of a batch. loss: what is differentiated; mse: mean of (z_hat - z)^2 over all its numbers."""

    loss: Float[Tensor, ""]
    mse: Float[Tensor, ""]
    codes: Float[Tensor, "batch n_feat"]


@dataclass(frozen=True)
class Revival:
    """The auxiliary loss of dead features, of this weight: core.architectures.topk_aux has the formula.

    dead_after: for how many vectors a dead feature has been silent at least; the state `silent` counts them.
    """

    weight: float
    dead_after: int

    @staticmethod
    def most(d_out: int) -> int:
        """How many dead features have a code in the auxiliary loss at most: half of the dimensions put together."""
        return max(d_out // 2, 1)


@dataclass(frozen=True)
class Form:
    """A licence for the fast steps: which parameter plays which part in the formula that they know.

    c = activation((z - centre) E^T + bias)        z_hat = c D + centre        ||d_i|| = 1
    loss = mean (z_hat - z)^2 + l1 * mean_b ||c_b||_1

    E and D may be one parameter; without `centre` it is 0. The activation is a ReLU with an L1 penalty; or, where
    `keeps_largest`, the k largest codes of the ReLU without one, and where also `of_batch`, the k * batch largest of
    the batch, whose smallest one the threshold in the state follows at `threshold_rate`; or, with `threshold`, the name
    of log theta, what is above theta, with the penalty `l0_weight` on another L0 than the wished one and slopes through
    a window of `bandwidth`: core.architectures.jumprelu has the formulas.

    A step leaves d_i of unit norm by scaling it. With `lengths`, a name in the state, what is trained is
    lengths_i * d_i, and the loss divides it by its length: that takes a part in how far a step turns d_i, and in
    nothing else.

    Where z is [x | y] of a pair of places, cut at `d_in`, there is no centre, and y is what is put together,

        c = activation(x E^T + bias)        y_hat = c D + offset + x S        loss = mean (y_hat - y)^2 + ...

    with `offset` and `skip`, the names of the second and the third term, where there are these.

    With `prefixes`, shares of the features, the squared error is the mean of those of all prefixes, as in
    core.architectures.matryoshka; with `revival`, dead features have a loss beside it. Both, and pairs, are for an
    encoder of its own, without lengths.
    """

    encoder: str
    bias: str
    decoder: str
    centre: str | None = None
    keeps_largest: bool = False
    lengths: str | None = None
    threshold: str | None = None
    bandwidth: float = 0.0
    l0_weight: float = 0.0
    of_batch: bool = False
    threshold_rate: float = 0.0
    prefixes: tuple[float, ...] = ()
    revival: Revival | None = None
    d_in: int | None = None
    offset: str | None = None
    skip: str | None = None

    def groups(self, n_feat: int) -> list[slice]:
        """The features that each prefix has beside those of the one before it, in order; the last prefix is all.

        A prefix has at least one feature, and each length is there once.
        """
        lengths = sorted({*(max(round(share * n_feat), 1) for share in self.prefixes), n_feat})
        return [slice(first, end) for first, end in pairwise([0, *lengths])]

    def kept(self, m: Float[Tensor, "batch n_feat"], k: int) -> Float[Tensor, "batch n_feat"]:
        """Of what is at least 0, the largest: k of each row, or k * batch of all."""
        k = min(k, m.shape[1])
        return keep_largest(m.reshape(1, -1), len(m) * k).view_as(m) if self.of_batch else keep_largest(m, k)

    @property
    def tied(self) -> bool:
        """Whether one matrix encodes and decodes."""
        return self.encoder == self.decoder

    @property
    def names(self) -> set[str]:
        """The parameters that the fast steps move."""
        parts = self.encoder, self.bias, self.decoder, self.centre, self.threshold, self.offset, self.skip
        return {name for name in parts if name}

    def beside(self, penalty: Penalty, l1_norm: float, l0: float, d_act: int) -> float:
        """What is added to the mean squared error; l1_norm and l0: means over the batch of ||c||_1 and ||c||_0."""
        if self.threshold:
            return penalty.warm * self.l0_weight / d_act * (l0 / penalty.l0 - 1) ** 2
        return (0.0 if self.keeps_largest else penalty.l1) * l1_norm

    def slope_of_count(self, wished: Number, l0: Number, shape: tuple[int, ...], warm: Number) -> Number:
        """d loss / d ||c_b||_0 for each vector of a batch [batch, d_act], with a threshold; tensors: a member each."""
        batch, d_act = shape
        return 2 * warm * self.l0_weight / d_act * (l0 / wished - 1) / wished / batch


class Architecture:
    """A kind of sparse autoencoder, on activations z that are centred and scaled to unit mean norm.

    Of a pair of places z is both, side by side, each with a mean and a scale of its own.

    `form`: where the fast steps may train it, and then they move its parameters as `loss` and `after` have it; None:
    `loss` is differentiated. `parameters` are what the optimiser moves, `state` what it does not: lengths, running
    numbers, counts. Both are in what is kept of a member in training.
    """

    @property
    def form(self) -> Form | None:
        """The licence, or None."""
        return None

    @property
    def matrices(self) -> tuple[str, str]:
        """The parameters that encode and decode, of unit rows at first; one name twice where one matrix does both."""
        return ("encoder", "decoder") if self.form is None else (self.form.encoder, self.form.decoder)

    def holds(self, name: str) -> bool:
        """Whether a parameter stays where it is: no step that differentiates `loss` moves it."""
        return False

    def init(self, n_feat: int, d_act: int, generator: torch.Generator) -> Parameters:
        """Parameters before training, float32, a function of the generator's seed."""
        raise NotImplementedError

    def state(self, parameters: Parameters) -> State:
        """What is trained otherwise, at the beginning; `parameters` may be changed for it."""
        return {}

    def density(self, penalty: Penalty, n_feat: int) -> float | None:
        """The share of codes that are positive at most, whatever the weights; None: all may be."""
        return None

    def begin(self, parameters: Parameters, batch: Float[Tensor, "batch d_act"], density: float) -> None:
        """Before the first step, on its batch: see that about a share `density` of the codes is positive, if wished."""

    def before(self, parameters: Parameters, state: State) -> None:
        """Before each step that differentiates `loss`."""

    def loss(self, parameters: Parameters, state: State, z: Float[Tensor, "batch d_act"], penalty: Penalty) -> Terms:
        """Of a batch; recorded by autograd for `parameters`."""
        raise NotImplementedError

    def after(self, parameters: Parameters, state: State, terms: Terms) -> None:
        """After each of these steps: projection, running numbers, revival."""

    def settle(self, parameters: Parameters, state: State, rows: Float[Tensor, "row d_act"], penalty: Penalty) -> None:
        """After the last step of a member with a wished L0: set what is not trained so that `rows` have it."""

    def revive(self, parameters: Parameters, state: State, dead: Tensor, z: Float[Tensor, "dead d_act"]) -> list[str]:
        """Let dead features [dead] begin anew, each by a vector; the names of the parameters whose rows are others now.

        Raises BadInput for a kind that there is no rule for.
        """
        raise BadInput(f"resample of {type(self).__name__}", "a kind without a rule for it", "another kind, or null")

    def fold(
        self, parameters: Parameters, state: State, mean: Float[Tensor, " d_act"], scale: float, penalty: Penalty
    ) -> Dictionary:
        """The dictionary on raw activations x, where z = (x - mean) / scale.

        Of a pair of places `scale` is a number a dimension, as `mean` is: core.architectures.transcoder.
        """
        raise NotImplementedError


def unit_rows(n: int, d: int, generator: torch.Generator) -> Float[Tensor, "n d"]:
    """Directions that are uniform on the sphere."""
    rows = torch.randn(n, d, generator=generator)
    return rows / rows.norm(dim=1, keepdim=True)
