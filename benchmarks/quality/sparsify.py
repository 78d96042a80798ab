"""sparsify (EleutherAI): its SparseCoder, and the step of its Trainer.fit with Adam."""

from dataclasses import replace

import torch
from sparsify import SparseCoder, SparseCoderConfig
from torch import Tensor

from benchmarks.quality.contract import DECAY, EXACT, STEPS, WARMUP, Task
from benchmarks.quality.folded import folded
from sparse_coding.core.dictionary import Dictionary

KINDS = {"topk": EXACT}
NOTE = (
    "`SparseCoder` and the step of `Trainer.fit`, with `optimizer='adam'`, `auxk_alpha=0` (its default) and the "
    "schedule of all"
)


class Sparsify:
    """One dictionary with its optimiser."""

    def __init__(self, task: Task, shape: tuple[int, int]) -> None:
        torch.manual_seed(task.seed)
        self.sae = SparseCoder(shape[1], SparseCoderConfig(num_latents=shape[0], k=round(task.strength)))
        self.optimiser = torch.optim.Adam(self.sae.parameters(), lr=task.rate)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, rate)

    def step(self, z: Tensor) -> None:
        """Forward and backward, then the optimiser, as there."""
        self.sae.set_decoder_norm_to_unit_norm()
        self.sae(x=z, y=z, dead_mask=None, total_variance=(z - z.mean(0)).pow(2).sum()).fvu.backward()
        self.sae.remove_gradient_parallel_to_decoder_directions()
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.schedule.step()

    def dictionary(self) -> Dictionary:
        """k are chosen before the lengths of rows, which no step has made unit after the last one, count."""
        lengths = self.sae.W_dec.detach().norm(dim=1)
        plain = folded(
            self.sae.encoder.weight / lengths[:, None],
            self.sae.encoder.bias / lengths,
            self.sae.W_dec,
            self.sae.b_dec,
            k=self.sae.cfg.k,
        )
        return replace(plain, gain=lengths)

    @torch.no_grad()
    def reconstruct(self, z: Tensor) -> Tensor:
        """By its class."""
        return self.sae(x=z).sae_out


def rate(step: int) -> float:
    """Linear warm-up and decay, in shares of the rate."""
    return min((step + 1) / WARMUP, (STEPS - step) / DECAY, 1.0)


def make(task: Task, shape: tuple[int, int]) -> Sparsify:
    """shape: (n_feat, d_act)."""
    return Sparsify(task, shape)
