"""dictionary_learning: its trainers, with their own update and their own recipe of each kind."""

import math
from typing import Any

import torch
from dictionary_learning.trainers import (
    BatchTopKTrainer,
    GatedSAETrainer,
    JumpReluTrainer,
    StandardTrainer,
    TopKTrainer,
)
from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKTrainer
from torch import Tensor

from benchmarks.quality.contract import (
    ABOUT,
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
    "untied": Grid((1.2, 1.7, 2.5, 4.0), (1.7, 2.5)),
    "topk": EXACT,
    "batchtopk": ABOUT,
    "jumprelu": ABOUT,
    "gated": Grid((0.05, 0.1, 0.15, 0.25), (0.1, 0.15)),
    "matryoshka": ABOUT,
}
THRESHOLD = {"threshold_beta": 0.99, "threshold_start_step": 10}
NOTE = (
    "`update` of its trainers. Two of its defaults are for trainings of hundreds of thousands of steps: the running "
    "threshold has `threshold_beta` 0.99 from step 10 (0.999 from step 1,000 would be no threshold at all here), and a "
    f"feature is dead after {DEAD_AFTER:,} vectors (10 million: never). Its standard trainer gets vectors of mean "
    "length sqrt(d): its encoder biases are random at first, and on shorter ones silence a quarter of the features"
)


class DictionaryLearning:
    """One dictionary with its trainer."""

    def __init__(self, task: Task, shape: tuple[int, int]) -> None:
        torch.manual_seed(task.seed)
        self.task, self.count = task, 0
        self.scale = math.sqrt(shape[1]) if task.kind == "untied" else 1.0
        self.trainer = trainer_of(task, shape)
        self.trainer.dead_feature_threshold = DEAD_AFTER  # it is no argument

    def step(self, z: Tensor) -> None:
        """As trainSAE does it."""
        self.trainer.update(self.count, z * self.scale)
        self.count += 1

    def dictionary(self) -> Dictionary:
        """As its class encodes by default: by the threshold where there is one, by k in TopK."""
        ae, kind = self.trainer.ae, self.task.kind
        if kind == "gated":
            encoder = ae.encoder.weight * ae.r_mag.exp()[:, None]
            threshold = gate_threshold(ae.gate_bias, ae.mag_bias, ae.r_mag)
            return folded(encoder, ae.mag_bias, ae.decoder.weight.T, ae.decoder_bias, threshold=threshold)
        if kind == "jumprelu":
            return folded(ae.W_enc.T, ae.b_enc, ae.W_dec, ae.b_dec, is_centred=False, threshold=ae.threshold)
        if kind == "matryoshka":
            threshold = torch.full_like(ae.b_enc, float(ae.threshold))
            return folded(ae.W_enc.T, ae.b_enc, ae.W_dec, ae.b_dec, threshold=threshold)
        chosen: dict[str, Any] = {"k": int(ae.k)} if kind == "topk" else {}
        if kind == "batchtopk":
            chosen = {"threshold": torch.full_like(ae.encoder.bias, float(ae.threshold))}
        centre = ae.bias if kind == "untied" else ae.b_dec
        encoder = ae.encoder
        return folded(encoder.weight, encoder.bias, ae.decoder.weight.T, centre, scale=self.scale, **chosen)

    @torch.no_grad()
    def reconstruct(self, z: Tensor) -> Tensor:
        """By its class."""
        return self.trainer.ae(z * self.scale) / self.scale


def trainer_of(task: Task, shape: tuple[int, int]) -> Any:
    """A trainer by the library's defaults, beside what is asked for."""
    common: dict[str, Any] = {"steps": STEPS, "dict_size": shape[0], "activation_dim": shape[1]}
    common |= {"layer": 0, "lm_name": "", "device": "cpu", "seed": task.seed}
    common |= {"lr": task.rate, "warmup_steps": WARMUP, "decay_start": STEPS - DECAY}
    if task.kind in ("untied", "gated"):
        kind = StandardTrainer if task.kind == "untied" else GatedSAETrainer
        return kind(**common, l1_penalty=task.strength, sparsity_warmup_steps=PENALTY_WARMUP)
    if task.kind == "jumprelu":
        return JumpReluTrainer(**common, target_l0=task.strength, sparsity_warmup_steps=PENALTY_WARMUP)
    keeps = common | {"k": round(task.strength)} | THRESHOLD
    if task.kind == "topk":
        return TopKTrainer(**keeps)
    if task.kind == "batchtopk":
        return BatchTopKTrainer(**keeps)
    groups = [stop - start for start, stop in zip((0, *PREFIXES), (*PREFIXES, 1), strict=True)]
    return MatryoshkaBatchTopKTrainer(**keeps, group_fractions=groups)


def make(task: Task, shape: tuple[int, int]) -> DictionaryLearning:
    """shape: (n_feat, d_act)."""
    return DictionaryLearning(task, shape)
