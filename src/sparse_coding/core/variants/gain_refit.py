"""Each code times a factor of its feature, fitted against shrinkage: core.metrics.gain_refit."""

from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.dictionary import Dictionary
from sparse_coding.core.metrics.gain_refit import gain_refit
from sparse_coding.core.variants.contract import Fitted, Read, Recoding


class GainRefit(Recoding):
    """`gain` [n_feat], at least 0."""

    def fit(self, dictionary: Dictionary, read: Read) -> Fitted:
        """By non-negative least squares."""
        return {"gain": gain_refit(dictionary, read())}

    def dictionary(self, plain: Dictionary, fitted: Fitted) -> Dictionary:
        """With its gains."""
        return plain.with_gain(fitted["gain"])

    def codes(
        self, plain: Dictionary, fitted: Fitted, x: Float[Tensor, "row d_act"], found: Float[Tensor, "row n_feat"]
    ) -> Float[Tensor, "row n_feat"]:
        """Times the gains."""
        return found * fitted["gain"]


def build() -> Recoding:
    """It has no settings."""
    return GainRefit()
