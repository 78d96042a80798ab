"""SAELens: its SAETrainer, with its own step and its own recipe of each kind."""

import math
import tempfile
from typing import Any

import torch
from sae_lens import SAE
from sae_lens.config import SAETrainerConfig
from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
from sae_lens.saes.gated_sae import GatedTrainingSAE, GatedTrainingSAEConfig
from sae_lens.saes.jumprelu_sae import JumpReLUTrainingSAE, JumpReLUTrainingSAEConfig
from sae_lens.saes.matryoshka_batchtopk_sae import MatryoshkaBatchTopKTrainingSAE, MatryoshkaBatchTopKTrainingSAEConfig
from sae_lens.saes.standard_sae import StandardTrainingSAE, StandardTrainingSAEConfig
from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.training.sae_trainer import SAETrainer
from torch import Tensor

from benchmarks.quality.contract import (
    ABOUT,
    BATCH,
    DEAD_AFTER,
    DECAY,
    EXACT,
    PENALTY_WARMUP,
    PREFIXES,
    STEPS,
    WARMUP,
    Grid,
    Task,
)
from benchmarks.quality.folded import folded, gate_threshold
from sparse_coding.core.dictionary import Dictionary

KINDS = {
    "untied": Grid((0.9, 1.5, 2.4, 3.8), (1.5, 2.4)),
    "topk": EXACT,
    "batchtopk": ABOUT,
    "jumprelu": Grid((0.3, 0.6, 1.2, 2.4), (0.6, 1.2)),
    "gated": Grid((0.9, 1.5, 2.4, 3.8), (1.5, 2.4)),
    "matryoshka": ABOUT,
}
NOTE = (
    "`SAETrainer.step`, on vectors scaled to a mean length of sqrt(d), as its `expected_average_only_in` does it. "
    f"`dead_feature_window` is {round(DEAD_AFTER / BATCH)} steps (1,000 is never here). JumpReLU with its default, "
    "`step`"
)


class SaeLens:
    """One dictionary with its trainer, on vectors of the mean length that `expected_average_only_in` gives them."""

    def __init__(self, task: Task, shape: tuple[int, int]) -> None:
        torch.manual_seed(task.seed)
        self.task, self.scale = task, math.sqrt(shape[1])
        self.sae = sae_of(task, {"d_sae": shape[0], "d_in": shape[1]})
        self.trainer = SAETrainer(config_of(task), self.sae, iter(()))

    def step(self, z: Tensor) -> None:
        """As SAETrainer.fit does it."""
        self.trainer.step(z * self.scale)
        self.trainer.n_training_steps += 1

    def dictionary(self) -> Dictionary:
        """As `save_inference_model` writes it."""
        sae, bias, chosen = self.sae, getattr(self.sae, "b_enc", None), {}
        if self.task.kind == "topk":
            chosen = {"k": sae.cfg.k}
        elif self.task.kind in ("batchtopk", "matryoshka"):  # of codes that have the lengths of rows in them
            lengths = sae.W_dec.detach().norm(dim=1)
            chosen = {"threshold": sae.topk_threshold.float() / lengths}
        elif self.task.kind == "jumprelu":
            chosen = {"threshold": sae.threshold}
        encoder = sae.W_enc.T
        if self.task.kind == "gated":
            bias, encoder = sae.b_mag, sae.W_enc.T * sae.r_mag.exp()[:, None]
            chosen = {"threshold": gate_threshold(sae.b_gate, sae.b_mag, sae.r_mag)}
        centred = sae.cfg.apply_b_dec_to_input
        return folded(encoder, bias, sae.W_dec, sae.b_dec, is_centred=centred, scale=self.scale, **chosen)

    @torch.no_grad()
    def reconstruct(self, z: Tensor) -> Tensor:
        """By the class that loads what it saves."""
        with tempfile.TemporaryDirectory() as folder:
            self.sae.save_inference_model(folder)
            return SAE.load_from_disk(folder, device="cpu")(z * self.scale) / self.scale


def sae_of(task: Task, shape: dict[str, int]) -> Any:
    """An autoencoder before training, by the library's defaults beside what is asked for."""
    l1 = {"l1_coefficient": task.strength, "l1_warm_up_steps": PENALTY_WARMUP}
    if task.kind == "untied":
        return StandardTrainingSAE(StandardTrainingSAEConfig(**shape, **l1))
    if task.kind == "gated":
        return GatedTrainingSAE(GatedTrainingSAEConfig(**shape, **l1))
    if task.kind == "topk":
        return TopKTrainingSAE(TopKTrainingSAEConfig(**shape, k=round(task.strength)))
    if task.kind == "batchtopk":
        return BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(**shape, k=task.strength))
    if task.kind == "matryoshka":
        widths = [round(share * shape["d_sae"]) for share in (*PREFIXES, 1)]
        own = MatryoshkaBatchTopKTrainingSAEConfig(**shape, k=task.strength, matryoshka_widths=widths)
        return MatryoshkaBatchTopKTrainingSAE(own)
    l0 = {"l0_coefficient": task.strength, "l0_warm_up_steps": PENALTY_WARMUP}
    return JumpReLUTrainingSAE(JumpReLUTrainingSAEConfig(**shape, **l0))


def config_of(task: Task) -> SAETrainerConfig:
    """The schedule of all."""
    return SAETrainerConfig(
        total_training_samples=STEPS * BATCH,
        train_batch_size_samples=BATCH,
        lr=task.rate,
        lr_warm_up_steps=WARMUP,
        lr_decay_steps=DECAY,
        lr_end=task.rate,
        dead_feature_window=round(DEAD_AFTER / BATCH),
    )


def make(task: Task, shape: tuple[int, int]) -> SaeLens:
    """shape: (n_feat, d_act)."""
    return SaeLens(task, shape)
