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
    "`index_add_`. Transcoders by `transcode=True`, where it leaves rows of the decoder as long as they come to be"
)
ARCHITECTURES = ("topk", "transcoder", "skip_transcoder")


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
            x, y = self.sides(batch)
            if not self.setting.is_of_pair:
                sae.set_decoder_norm_to_unit_norm()
            total_variance = (y - y.mean(0)).pow(2).sum()
            out = sae(x=x, y=y, dead_mask=None, total_variance=total_variance)
            did_fire = torch.zeros(self.setting.n_feat, dtype=torch.bool)
            did_fire[out.latent_indices.flatten()] = True
            out.fvu.backward()
            unfired += len(batch)
            unfired[did_fire] = 0
        for sae in self.saes if not self.setting.is_of_pair else ():
            sae.remove_gradient_parallel_to_decoder_directions()
        self.optimiser.step()
        self.optimiser.zero_grad()

    @torch.no_grad()
    def loss(self, batch: Tensor) -> list[float]:
        """Their loss is the fraction of variance unexplained."""
        x, y = self.sides(batch)
        scale = float((y - y.mean(0)).pow(2).mean())
        return [float(sae(x=x, y=y).fvu) * scale for sae in self.saes]

    def sides(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """What is encoded, and what is put together."""
        d_act = self.setting.d_act
        return (batch[:, :d_act], batch[:, d_act:]) if self.setting.is_of_pair else (batch, batch)


def coder_of(setting: Setting, parameters: Parameters) -> SparseCoder:
    """A coder with these weights."""
    pair = {"transcode": setting.is_of_pair, "skip_connection": "skip" in parameters}
    sae = SparseCoder(setting.d_act, SparseCoderConfig(num_latents=setting.n_feat, k=setting.k, **pair))
    with torch.no_grad():
        sae.encoder.weight.copy_(parameters["encoder"])
        sae.encoder.bias.copy_(parameters["bias"])
        sae.W_dec.copy_(parameters["decoder"])
        sae.b_dec.copy_(parameters["decoder_bias"])
        if "skip" in parameters:
            sae.W_skip.copy_(parameters["skip"].T)
    return sae


def make(setting: Setting, parameters: list[Parameters]) -> Sparsify:
    """Some of the members."""
    return Sparsify(setting, parameters[:ALONE])
