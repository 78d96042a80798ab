"""What time hangs on and nobody knows before the run: how many codes are positive while dictionaries train.

Measured on the default (128 dimensions, layers 2 and 4): L0 settles at 9 for L1 0.002 and falls a little faster than
the L1 grows. An L1 weighs against a mean over dimensions, so in twice as many it weighs twice as much.
"""

from sparse_coding.methods import Strength

SETTLED, AT, FALLS = 9.0, 0.002 * 128, 1.12
UNKNOWN = 3.0  # as a factor, both ways: what L0 is on another model, site or length of training nobody knows before
MOST = 0.5  # share of codes without a penalty
TRANSIENT = 0.7  # of the warm-up of the L1: steps in which as many codes are positive as training begins with


def settled_l0(strength: Strength, value: float | None, n_feat: int, d_act: int, off: float = 1.0) -> float:
    """Codes that are positive for a vector, once training has settled: a guess for an L1, else as asked for.

    off: a factor by which the guess is taken to be off.
    """
    if strength != "l1":
        return min(value or 0.0, n_feat)
    return min(off * SETTLED * (AT / max(value or 0.0, 1e-12) / d_act) ** FALLS, MOST * n_feat)


def mean_l0(settled: float, n_feat: int, begins: float | None, warmup_share: float) -> float:
    """The mean over all steps.

    begins: the share of codes that is positive in the first one, None: half; warmup_share: of the L1, in steps.
    """
    first = (begins or MOST) * n_feat
    return settled + max(first - settled, 0.0) * TRANSIENT * warmup_share
