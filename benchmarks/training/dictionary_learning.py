"""dictionary_learning: its StandardTrainer and TopKTrainer, with their own update.

Its import asks for nnsight, which asks for much else; the trainers use none of it.
"""

import torch
from dictionary_learning.trainers import StandardTrainer, TopKTrainer
from torch import Tensor

from benchmarks.training.contract import ALONE, Parameters, Setting

NOTE = (
    "`StandardTrainer.update` without resampling, `TopKTrainer.update` (from step 1: step 0 sets the decoder bias), "
    "which also clips the gradient and keeps track of dead features; the auxiliary loss costs nothing here because "
    "none counts as dead yet, and the threshold for inference is kept only after step 1,000. The decoder bias costs a "
    "sixth matrix product"
)
ARCHITECTURES = ("untied", "topk")
STEPS = 10**9


class DictionaryLearning:
    """Some dictionaries, each with a trainer."""

    def __init__(self, setting: Setting, parameters: list[Parameters]) -> None:
        self.members, self.d_act, self.count = len(parameters), setting.d_act, 0
        pairs = zip(parameters, setting.l1, strict=False)
        self.trainers = [trainer_of(setting, each, l1) for each, l1 in pairs]

    def step(self, batch: Tensor) -> None:
        """As trainSAE does it."""
        self.count += 1
        for trainer in self.trainers:
            trainer.update(self.count, batch)

    @torch.no_grad()
    def loss(self, batch: Tensor) -> list[float]:
        """Their loss sums over dimensions."""
        return [float(trainer.loss(batch, step=1)) / self.d_act for trainer in self.trainers]


def trainer_of(setting: Setting, parameters: Parameters, l1: float) -> StandardTrainer | TopKTrainer:
    """A trainer of one dictionary with these weights."""
    common = {
        "steps": STEPS,
        "activation_dim": setting.d_act,
        "dict_size": setting.n_feat,
        "layer": 0,
        "lm_name": "",
        "lr": setting.lr,
        "warmup_steps": 0,
        "device": "cpu",
    }
    if setting.architecture == "topk":
        trainer = TopKTrainer(**common, k=setting.k)
        centre = trainer.ae.b_dec
    else:
        trainer = StandardTrainer(**common, l1_penalty=l1 * setting.d_act, sparsity_warmup_steps=None)
        centre = trainer.ae.bias
    with torch.no_grad():
        trainer.ae.encoder.weight.copy_(parameters["encoder"])
        trainer.ae.encoder.bias.copy_(parameters["bias"])
        trainer.ae.decoder.weight.copy_(parameters["decoder"].T)
        centre.copy_(parameters["decoder_bias"])
    return trainer


def make(setting: Setting, parameters: list[Parameters]) -> DictionaryLearning:
    """Some of the members."""
    return DictionaryLearning(setting, parameters[:ALONE])
