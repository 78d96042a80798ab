"""A dictionary with a wished L0: what it has of codes on other vectors is counted now and then, and steers its penalty.

On other vectors than those of training it has another L0, by up to a tenth, so these are vectors that it is measured
on. Their number of codes is all that is taken of them: one number of each look, by which the L1, or the L0 that
JumpReLU's penalty asks for, is moved,

    log l1 += GAIN["l1"] * log(counted / wished)        log l0 -= GAIN["l0"] * log(counted / wished)

from the end of the penalty's warm-up to the last step: codes follow an L1 slowly, and one that is fixed after half of
the steps leaves 5 to 7 % too few (docs/decisions.md: a wished L0). The penalty is all the state there is. Kinds that
keep a number of codes are told it as their k, rounded, and set their threshold when training is over
(`Architecture.settle`).
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.architectures.contract import Architecture, Parameters, Penalty, State
from sparse_coding.errors import BadInput
from sparse_coding.methods import WISHED, Strength

# Of a look. While the rate decays, L1 kinds get more codes at the same L1, and half of this leaves them 2 % too many.
GAIN = {"l1": 0.4, "l0": 0.2}
LOOKS, LEAST = 100, 10  # in a training, if it is long; steps between two of them, at least: codes follow an L1 slowly
MOST = math.log(2)  # of a counted L0 above or below the wished one, that is heard at once
AT_A_TIME = 1024  # vectors
MISSED = 0.03  # share of the wish by which a dictionary may miss it without a word

# The L1 that training begins with: what dictionaries of 128 dimensions came to, on layers 2 and 4 of the default.
L1_AT_9, FALLS = 0.002 * 128, 0.9


@dataclass(frozen=True, eq=False)
class Matching:
    """What holds a member at its wished L0. steers: "l1" or "l0" of its penalty, or "k", which is not moved.

    rows: the vectors that are counted, normalised, [row, d_act].
    """

    wished: float
    steers: Strength
    rows: Float[Tensor, "row d_act"]

    def is_due(self, step: int, begins: int, steps: int) -> bool:
        """Whether it looks after `step` steps of `steps`, of which it leaves the first `begins` alone."""
        every = max(steps // LOOKS, LEAST)
        return self.steers != "k" and max(begins, 1) <= step < steps and step % every == 0

    def moved(self, penalty: Penalty, counted: float) -> Penalty:
        """The penalty after a look that counted so many codes a vector."""
        above = math.log(max(counted, math.exp(-MOST) * self.wished) / self.wished)
        factor = math.exp(GAIN[self.steers] * min(above, MOST))
        if self.steers == "l1":
            return replace(penalty, l1=penalty.l1 * factor)
        return replace(penalty, l0=penalty.l0 / factor)

    def counted(self, architecture: Architecture, parameters: Parameters, state: State, penalty: Penalty) -> float:
        """Codes a vector, of the dictionary as it would be used."""
        device = next(iter(parameters.values())).device
        nothing = torch.zeros(self.rows.shape[1], device=device)
        try:
            made = architecture.fold(parameters, state, nothing, 1.0, penalty)
        except BadInput:  # weights that are no numbers: the next step says so
            return math.inf
        some = self.rows.to(device).split(AT_A_TIME)
        return sum(int(made.encode(rows).count_nonzero()) for rows in some) / len(self.rows)

    def told(self, penalty: Penalty, counted: float) -> dict[str, Any]:
        """What files tell of it: what came out, and the L0 that was counted at the end."""
        return {"strength": self.steers, "value": getattr(penalty, self.steers), "l0": counted, "rows": len(self.rows)}

    def missed(self, counted: float) -> str:
        """What is said of a wish that was not met; empty where it was."""
        if abs(counted / self.wished - 1) <= MISSED:
            return ""
        return f"wished L0 {self.wished:g}, and {counted:.3g} codes a held-out vector came out"


def came_out(steers: Strength, penalty: Penalty) -> dict[str, float | int]:
    """The L1 or the k that a wished L0 came to, for where files have those of others."""
    return {} if steers == WISHED else {steers: getattr(penalty, steers)}


def first_penalty(steers: Strength, wished: float, d_act: int) -> Penalty:
    """What training begins with."""
    if steers == "l1":
        return Penalty(l1=L1_AT_9 / d_act * (9 / wished) ** FALLS)
    if steers == "l0":
        return Penalty(l0=wished)
    return Penalty(k=max(round(wished), 1), l0=wished)
