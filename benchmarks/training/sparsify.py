"""sparsify (EleutherAI): its SparseCoder, which computes TopK sparsely, and the step of its Trainer.fit.

The step is written inside a hook of `fit`, which needs a language model and a data set; it is repeated here line by
line, without what concerns them.
"""

import torch
from sparsify import SparseCoder, SparseCoderConfig
from torch import Tensor

from benchmarks.training.contract import ALONE, BETAS, EPS, Parameters, Setting

NOTE = (
    "`SparseCoder` and the step of `Trainer.fit`, `optimizer='adam'` made fused, `auxk_alpha=0` (its default); it also "
    "keeps track of features that do not fire. Without a GPU it decodes by `embedding_bag` and adds gradients by "
    "`index_add_`"
)
ARCHITECTURES = ("topk",)


class Sparsify:
    """Some dictionaries, one optimiser for all."""

    def __init__(self, setting: Setting, parameters: list[Parameters]) -> None:
        self.members, self.setting = len(parameters), setting
        self.saes = [coder_of(setting, each) for each in parameters]
        self.unfired = [torch.zeros(setting.n_feat, dtype=torch.long) for _ in parameters]
        groups = [{"params": sae.parameters(), "lr": setting.lr} for sae in self.saes]
        self.optimiser = torch.optim.Adam(groups, betas=BETAS, eps=EPS, fused=True)

    def step(self, batch: Tensor) -> None:
        """Forward and backward of each, then the optimiser, as there."""
        for sae, unfired in zip(self.saes, self.unfired, strict=True):
            sae.set_decoder_norm_to_unit_norm()
            total_variance = (batch - batch.mean(0)).pow(2).sum()
            out = sae(x=batch, y=batch, dead_mask=None, total_variance=total_variance)
            did_fire = torch.zeros(self.setting.n_feat, dtype=torch.bool)
            did_fire[out.latent_indices.flatten()] = True
            out.fvu.backward()
            unfired += len(batch)
            unfired[did_fire] = 0
        for sae in self.saes:
            sae.remove_gradient_parallel_to_decoder_directions()
        self.optimiser.step()
        self.optimiser.zero_grad()

    @torch.no_grad()
    def loss(self, batch: Tensor) -> list[float]:
        """Their loss is the fraction of variance unexplained."""
        scale = float((batch - batch.mean(0)).pow(2).mean())
        return [float(sae(x=batch).fvu) * scale for sae in self.saes]


def coder_of(setting: Setting, parameters: Parameters) -> SparseCoder:
    """A coder with these weights."""
    sae = SparseCoder(setting.d_act, SparseCoderConfig(num_latents=setting.n_feat, k=setting.k))
    with torch.no_grad():
        sae.encoder.weight.copy_(parameters["encoder"])
        sae.encoder.bias.copy_(parameters["bias"])
        sae.W_dec.copy_(parameters["decoder"])
        sae.b_dec.copy_(parameters["decoder_bias"])
    return sae


def make(setting: Setting, parameters: list[Parameters]) -> Sparsify:
    """Some of the members."""
    return Sparsify(setting, parameters[:ALONE])
