"""Codes by matching pursuit over the same atoms, in each vector as many steps as the dictionary has codes there.

So the number of codes is the dictionary's own, vector by vector, and what differs is which and how large they are: how
much of what is lost is the encoder's, and how much the atoms'. core.pursuit has the steps.
"""

from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.dictionary import Dictionary
from sparse_coding.core.pursuit import matching_pursuit
from sparse_coding.core.variants.contract import Fitted, Read, Recoding


class MatchingPursuit(Recoding):
    """Nothing is fitted. The products of atoms are found once and kept, of the last dictionary that was asked for."""

    def __init__(self) -> None:
        self._of: Dictionary | None = None
        self._gram: Tensor | None = None

    def fit(self, dictionary: Dictionary, read: Read) -> Fitted:
        """Nothing."""
        return {}

    def dictionary(self, plain: Dictionary, fitted: Fitted) -> Dictionary:
        """With codes by pursuit."""
        return plain.with_pursuit()

    def codes(
        self, plain: Dictionary, fitted: Fitted, x: Float[Tensor, "row d_act"], found: Float[Tensor, "row n_feat"]
    ) -> Float[Tensor, "row n_feat"]:
        """By pursuit; of what was found it counts how many there are."""
        if self._of is not plain:
            self._of, self._gram = plain, plain.decoder @ plain.decoder.T
        return matching_pursuit(x - plain.centre, plain.decoder, (found > 0).sum(dim=1), self._gram)


def build() -> Recoding:
    """It has no settings."""
    return MatchingPursuit()
