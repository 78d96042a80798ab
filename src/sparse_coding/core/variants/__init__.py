"""Variants of a dictionary, the same features with other codes: a module each, named as in params.yaml."""

from sparse_coding import variants
from sparse_coding.core.variants import gain_refit, matching_pursuit, threshold_refit
from sparse_coding.core.variants.contract import Recoding

_BUILD = {
    "gain_refit": gain_refit.build,
    "threshold_refit": threshold_refit.build,
    "matching_pursuit": matching_pursuit.build,
}


def build(name: str) -> Recoding:
    """What makes a variant. Raises BadInput for one that there is not."""
    return _BUILD[variants.of(name).name]()
