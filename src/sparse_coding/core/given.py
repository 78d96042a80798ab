"""What a caller gives to a dictionary, as tensors that it can use; or one line that says what is wrong with it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from sparse_coding.errors import BadInput

# Checked here and not by these types: who uses a dictionary has no checker of types.
Vectors = Shaped[Tensor, "*batch _"] | Shaped[np.ndarray, "*batch _"]
Indices = Shaped[Tensor, " _"] | Shaped[np.ndarray, " _"] | Sequence[int]


def vectors(place: str, given: object, width: int, like: Tensor) -> Tensor:
    """`given`, floating-point numbers [..., width], in the number format of `like`.

    Raises BadInput, naming `place`, for anything else and for a tensor on another device than `like`.
    """
    if isinstance(given, np.ndarray):
        given = _of_numpy(place, given, like)
    if not isinstance(given, Tensor):
        raise BadInput(place, f"a {type(given).__name__}", f"a tensor or a numpy array [..., {width}]")
    if not given.is_floating_point():
        raise BadInput(place, f"numbers of type {given.dtype}", "floating-point numbers")
    if given.ndim == 0 or given.shape[-1] != width:
        raise BadInput(place, f"shape {list(given.shape)}", f"[..., {width}]")
    if given.device != like.device:
        raise BadInput(place, f"a tensor on {given.device}", f"one on {like.device}: .to() moves both")
    return given.to(like.dtype)


def _of_numpy(place: str, given: np.ndarray, like: Tensor) -> Tensor:
    if given.dtype.kind != "f":
        raise BadInput(place, f"numbers of type {given.dtype}", "floating-point numbers")
    dtype = np.float64 if like.dtype == torch.float64 else np.float32
    # torch takes neither numbers of the other byte order, nor strides below 0, nor in silence what is read-only.
    return torch.from_numpy(np.require(given, dtype, ["C", "W"])).to(like.device)


def moved(tensors: dict[str, Tensor], *target: Any, **options: Any) -> dict[str, Any]:
    """All tensors on another device or in another format, as `torch.Tensor.to`.

    Raises BadInput where there is no such device or format; a device without room is torch's to tell.
    """
    try:
        return {name: tensor.to(*target, **options) for name, tensor in tensors.items()}
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError, AssertionError) as error:  # the last where torch was built without a device
        asked = ", ".join([*map(repr, target), *(f"{name}={value!r}" for name, value in options.items())])
        here = ", ".join(["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))])
        found = f"{asked or 'nothing'} ({str(error).strip().splitlines()[0]})"
        raise BadInput("to", found, f"a device that is here ({here}), or a format of floating-point numbers") from None


def indices(place: str, given: object, n: int, device: torch.device) -> Tensor:
    """`given`, one-dimensional: whole numbers from -n to n - 1 as from 0 to n - 1, or a mask [n] as the places of True.

    Raises BadInput, naming `place`, for anything else.
    """
    found = _of_any_kind(place, given)
    if found.ndim != 1:
        raise BadInput(place, f"shape {list(found.shape)}", f"one dimension: numbers of features, or a mask [{n}]")
    if found.dtype == torch.bool:
        if len(found) != n:
            raise BadInput(place, f"a mask [{len(found)}]", f"a mask [{n}]")
        return found.to(device).nonzero().flatten()
    if not len(found):
        return torch.empty(0, dtype=torch.int64, device=device)
    if found.is_floating_point() or found.is_complex():
        raise BadInput(place, f"numbers of type {found.dtype}", "whole numbers, or a mask")
    found = found.to(device, torch.int64)
    for extreme in found.aminmax():
        if not -n <= int(extreme) < n:
            raise BadInput(place, f"feature {int(extreme)}", f"one from 0 to {n - 1}")
    return torch.where(found < 0, found + n, found)


def _of_any_kind(place: str, given: Any) -> Tensor:
    if isinstance(given, Tensor):
        return given
    try:
        array = np.asarray(given)
        whole = array.dtype.kind in "iu"  # torch has few functions for unsigned numbers
        return torch.from_numpy(np.array(array, np.int64 if whole else array.dtype))
    except (TypeError, ValueError, RuntimeError):
        raise BadInput(place, f"a {type(given).__name__}", "numbers of features, or a mask") from None
