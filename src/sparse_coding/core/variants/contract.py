"""What a variant of a dictionary is: what is fitted of it, and the codes that come of that."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.dictionary import Dictionary

Read = Callable[[], Iterable[Tensor]]  # gives the training vectors [_, d_act], in batches, each time it is called
Fitted = dict[str, Tensor]  # by name, as they stand in its file; empty where nothing is fitted


class Recoding(ABC):
    """Other codes for the features of a dictionary."""

    @abstractmethod
    def fit(self, dictionary: Dictionary, read: Read) -> Fitted:
        """What is found for `dictionary` over the training vectors that `read` gives."""

    @abstractmethod
    def dictionary(self, plain: Dictionary, fitted: Fitted) -> Dictionary:
        """The variant of `plain`, as a dictionary that encodes by itself. Raises BadInput where they do not fit."""

    @abstractmethod
    def codes(
        self, plain: Dictionary, fitted: Fitted, x: Float[Tensor, "row d_act"], found: Float[Tensor, "row n_feat"]
    ) -> Float[Tensor, "row n_feat"]:
        """The variant's codes of `x`, where those of `plain` are `found`: to encode once for all variants."""
