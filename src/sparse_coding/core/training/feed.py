"""Vectors on their way from whoever draws them to whoever trains on them.

They come as they are stored, half the bytes where that is half precision, and are normalised where training is: on a
processor by the thread that draws them, on a GPU there, one batch ahead of the step that takes it.
"""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

Scale = float | Tensor  # one number, or one a dimension [d_act]


def normalised(rows: Tensor, mean: Tensor, scale: Scale) -> Tensor:
    """(rows - mean) / scale in float32; `rows` are used up."""
    return rows.float().sub_(mean).div_(scale)


def pinned(rows: Tensor) -> Tensor:
    """Where a GPU fetches them itself, while the processor goes on."""
    return rows.pin_memory() if torch.cuda.is_available() else rows


def ready(mean: Tensor, scale: Scale, device: torch.device) -> Callable[[Tensor], Tensor]:
    """What is made of each batch by the thread that draws it."""
    return partial(normalised, mean=mean, scale=scale) if device.type == "cpu" else pinned


def ahead(drawn: Iterator[Tensor], mean: Tensor, scale: Scale, device: torch.device) -> Iterator[Tensor]:
    """Normalised batches on `device`. On a GPU each is fetched while the step before it is computed."""
    mean, scale = mean.to(device), scale.to(device) if isinstance(scale, Tensor) else scale
    if device.type != "cuda":
        yield from (normalised(rows.to(device), mean, scale) for rows in drawn)
        return
    beside, waiting = torch.cuda.Stream(device), None
    beside.wait_stream(torch.cuda.current_stream(device))  # for the mean
    for rows in drawn:
        with torch.cuda.stream(beside):
            batch = normalised(rows.to(device, non_blocking=True), mean, scale)
            there = beside.record_event()
        if waiting is not None:
            yield _taken(*waiting)
        waiting = batch, there
    if waiting is not None:
        yield _taken(*waiting)


def _taken(batch: Tensor, there: torch.cuda.Event) -> Tensor:
    """A batch for the stream that computes: that one waits for it, and the processor does not."""
    own = torch.cuda.current_stream(batch.device)
    own.wait_event(there)
    batch.record_stream(own)  # so that its memory is not given away before it is used
    return batch
