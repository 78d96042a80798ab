"""New rows for dead features, in the directions of vectors that are put together badly (Bricken et al. 2023)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from sparse_coding.core.architectures.contract import Parameters

SMALL = 0.2  # of a new row of the encoder, times the mean norm of the others


def directions(x: Float[Tensor, "dead d_act"]) -> Float[Tensor, "dead d_act"]:
    """What the decoder takes."""
    return functional.normalize(x, dim=1)


def set_encoder(
    encoder: Float[Tensor, "n_feat d_act"], dead: Int[Tensor, " dead"], x: Float[Tensor, "dead d_act"]
) -> None:
    """Rows in these directions, of SMALL times the mean norm of those that are alive."""
    alive = torch.ones(len(encoder), dtype=torch.bool, device=encoder.device)
    alive[dead] = False
    norm = encoder[alive].norm(dim=1).mean() if alive.any() else 1.0
    encoder[dead] = directions(x) * (SMALL * norm)


def set_rows(parameters: Parameters, names: tuple[str, ...], dead: Int[Tensor, " dead"], value: Tensor | float) -> None:
    """Numbers of dead features."""
    for name in names:
        parameters[name][dead] = value
