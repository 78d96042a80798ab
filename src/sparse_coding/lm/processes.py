"""Several processes that train one model together, as torchrun starts them; without it, one process alone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
import torch.distributed as dist
from torch import nn

from sparse_coding.errors import BadInput


@dataclass(frozen=True)
class Processes:
    """This process among `size`: its number, and its device."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def check(self, batch: int) -> None:
        """Raises BadInput where the processes cannot have equal shares of `batch` blocks."""
        if batch % self.size:
            raise BadInput("transformer.batch", f"{batch} blocks", f"a multiple of {self.size}, the processes")

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            dist.barrier()

    def mean(self, value: float) -> float:
        """The mean of `value` over the processes."""
        if self.size == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return float(total) / self.size

    def together(self, model: nn.Module) -> nn.Module:
        """The model; its backward pass gives the mean gradient of all processes."""
        if self.size == 1:
            return model
        return nn.parallel.DistributedDataParallel(model, [self.device] if self.device.type == "cuda" else None)


ALONE = Processes(0, 1, torch.device("cpu"))


@contextmanager
def processes(device: Literal["auto", "cpu", "cuda"]) -> Iterator[Processes]:
    """Meet the other processes, if there are any. Raises BadInput where a GPU is asked for and none is seen."""
    n_gpus = 0 if device == "cpu" else torch.cuda.device_count()
    if device == "cuda" and not n_gpus:
        raise BadInput("transformer.device", "cuda, and torch sees no GPU", "auto or cpu, or a GPU with its driver")
    rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    local, n_local = int(os.environ.get("LOCAL_RANK", 0)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if n_gpus and n_local > n_gpus:
        raise BadInput("torchrun", f"{n_local} processes and {n_gpus} GPU(s)", "a GPU each, or transformer.device: cpu")
    own = torch.device("cuda", local) if n_gpus else torch.device("cpu")
    if own.type == "cuda":
        torch.cuda.set_device(own)
    if size == 1:
        yield Processes(0, 1, own)
        return
    dist.init_process_group("nccl" if n_gpus else "gloo")
    try:
        yield Processes(rank, size, own)
    finally:
        dist.destroy_process_group()
