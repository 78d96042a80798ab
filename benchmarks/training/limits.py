"""What the matrix products of one dense step cost alone: the limit of every trainer that uses dense products.

Five products of 2 * batch * n_feat * d_act operations: encode, decode, and by hand three for the gradient.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.training.contract import Setting

Product = Callable[[Tensor, Tensor], Tensor]


class DenseProducts:
    """The five products, in the shapes and layouts in which a step needs them."""

    members = 1

    def __init__(self, setting: Setting, product: Product) -> None:
        self.product = product
        self.weights = torch.randn(setting.n_feat, setting.d_act)
        self.codes = torch.randn(setting.batch, setting.n_feat)

    def step(self, batch: Tensor) -> None:
        """All five; of a pair of places, with the first one for both."""
        batch = batch[:, : self.weights.shape[1]].contiguous()
        self.product(batch, self.weights.T)
        self.product(self.codes, self.weights)
        self.product(batch, self.weights.T)
        self.product(self.codes.T, batch)
        self.product(self.codes.T, batch)

    def loss(self, batch: Tensor) -> list[float]:
        """None."""
        return []


def onednn(left: Tensor, right: Tensor) -> Tensor:
    """The product by oneDNN, which uses AVX-512 on every processor that has it."""
    return torch.ops.mkldnn._linear_pointwise(left, right.T, None, "none", [], "")


def limits(setting: Setting) -> dict[str, DenseProducts]:
    """The limit by torch.mm, and by oneDNN where this build of torch has that operator."""
    found = {"dense products, torch.mm": DenseProducts(setting, torch.mm)}
    try:
        onednn(torch.zeros(2, 2), torch.zeros(2, 2))
    except (AttributeError, RuntimeError):
        return found
    return found | {"dense products, oneDNN": DenseProducts(setting, onednn)}
