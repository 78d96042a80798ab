"""SAELens: its SAETrainer, with its own step."""

import time
from typing import Any

import torch
from sae_lens import (
    BatchTopKTrainingSAE,
    BatchTopKTrainingSAEConfig,
    JumpReLUTrainingSAE,
    JumpReLUTrainingSAEConfig,
    MatryoshkaBatchTopKTrainingSAE,
    MatryoshkaBatchTopKTrainingSAEConfig,
    StandardTrainingSAE,
    StandardTrainingSAEConfig,
    TopKTrainingSAE,
    TopKTrainingSAEConfig,
)
from sae_lens.config import SAETrainerConfig
from sae_lens.saes.sae import TrainStepInput
from sae_lens.training.sae_trainer import SAETrainer
from torch import Tensor

from benchmarks.training.contract import ALONE, BETAS, CannotTrain, Parameters, Setting
from sparse_coding.settings.params import Dictionaries

NOTE = (
    "`SAETrainer.step`, which also clips the gradient, counts how often features fire and keeps track of dead ones; it "
    "does not renormalise rows. TopK with `rescale_acts_by_decoder_norm=False`, which is faster; its auxiliary loss "
    "costs nothing here because no feature counts as dead yet; Matryoshka likewise. The decoder bias costs "
    "a sixth matrix product"
)
NOTE_SPARSE = (
    "the same with its option `use_sparse_activations=True` (with the default "
    "`rescale_acts_by_decoder_norm=True` that option fails on a CPU)"
)
NOTE_BF16 = (
    "the same with its option `autocast=True`: products in bfloat16, so not the same precision; only where the "
    "processor has such products"
)
SLOWEST_BF16 = 4  # times a product in float32: 40 were seen where bfloat16 is emulated
ARCHITECTURES = ("untied", "topk", "jumprelu", "batchtopk", "topk_aux", "matryoshka")
STEPS = 10**6
JUMPRELU, PREFIXES = Dictionaries().jumprelu, Dictionaries().matryoshka.prefixes


class SaeLens:
    """Some dictionaries, each with a trainer."""

    def __init__(
        self, setting: Setting, parameters: list[Parameters], autocast: bool = False, sparse: bool = False
    ) -> None:
        self.members, self.d_act, self.setting = len(parameters), setting.d_act, setting
        pairs = zip(parameters, setting.l1, strict=False)
        self.trainers = [trainer_of(setting, each, l1, autocast, sparse) for each, l1 in pairs]

    def step(self, batch: Tensor) -> None:
        """As SAETrainer.fit does it."""
        for trainer in self.trainers:
            trainer.step(batch)
            trainer.n_training_steps += 1

    @torch.no_grad()
    def loss(self, batch: Tensor) -> list[float]:
        """Theirs sums over dimensions, and over prefixes; of JumpReLU the error alone: another penalty on the L0."""
        found = []
        for trainer in self.trainers:
            seen = TrainStepInput(batch, trainer.get_coefficients(), trainer.dead_neurons, 0, False)
            with trainer.autocast_if_enabled:
                said = trainer.sae.training_forward_pass(seen)
            loss = said.losses["mse_loss"] if self.setting.architecture == "jumprelu" else said.loss
            prefixes = len(PREFIXES) + 1 if self.setting.architecture == "matryoshka" else 1
            found.append(float(loss) / self.d_act / prefixes)
        return found


def trainer_of(setting: Setting, parameters: Parameters, l1: float, autocast: bool, sparse: bool) -> SAETrainer:
    """A trainer of one dictionary with these weights."""
    sae = sae_of(setting, l1, sparse)
    with torch.no_grad():
        sae.W_enc.copy_(parameters["encoder"].T)
        sae.b_enc.copy_(parameters["bias"])
        sae.W_dec.copy_(parameters["decoder"])
        sae.b_dec.copy_(parameters["decoder_bias"])
        if setting.architecture == "jumprelu":
            sae.threshold.copy_(parameters["log_threshold"].exp())
    config = SAETrainerConfig(
        total_training_samples=STEPS * setting.batch,
        train_batch_size_samples=setting.batch,
        lr=setting.lr,
        lr_end=setting.lr,
        adam_beta1=BETAS[0],
        adam_beta2=BETAS[1],
        autocast=autocast,
    )
    return SAETrainer(config, sae, iter(()))


def sae_of(setting: Setting, l1: float, sparse: bool) -> Any:
    """Theirs of the same kind: prefixes, window and weight are the defaults of ours."""
    shape = {"d_in": setting.d_act, "d_sae": setting.n_feat, "decoder_init_norm": None}
    if setting.architecture == "untied":
        return StandardTrainingSAE(StandardTrainingSAEConfig(**shape, l1_coefficient=l1 * setting.d_act))
    if setting.architecture == "jumprelu":
        window = {"jumprelu_bandwidth": JUMPRELU.bandwidth, "l0_coefficient": JUMPRELU.l0_weight}
        wished = {"jumprelu_sparsity_loss_mode": "quadratic", "target_l0": float(setting.k)}
        return JumpReLUTrainingSAE(JumpReLUTrainingSAEConfig(**shape, **window, **wished, jumprelu_ste_to_input=False))
    options = {"k": setting.k, "rescale_acts_by_decoder_norm": False, "use_sparse_activations": sparse}
    if setting.architecture == "batchtopk":
        return BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(**shape, **options))
    if setting.architecture == "matryoshka":
        widths = [round(share * setting.n_feat) for share in (*PREFIXES, 1)]
        own = MatryoshkaBatchTopKTrainingSAEConfig(**shape, **options, matryoshka_widths=widths)
        return MatryoshkaBatchTopKTrainingSAE(own)
    return TopKTrainingSAE(TopKTrainingSAEConfig(**shape, **options))


def make(setting: Setting, parameters: list[Parameters]) -> SaeLens:
    """Some of the members, in float32."""
    return SaeLens(setting, parameters[:ALONE])


def make_sparse(setting: Setting, parameters: list[Parameters]) -> SaeLens:
    """The same with sparse tensors for codes; TopK only."""
    return SaeLens(setting, parameters[:ALONE], sparse=True)


def make_bf16(setting: Setting, parameters: list[Parameters]) -> SaeLens:
    """The same with autocast; raises CannotTrain where a product in bfloat16 takes many times one in float32."""
    slower = seconds(torch.bfloat16) / seconds(torch.float32)
    if slower > SLOWEST_BF16:
        raise CannotTrain(f"a product in bfloat16 takes {slower:.0f} times one in float32 on this processor")
    return SaeLens(setting, parameters[:ALONE], autocast=True)


def seconds(dtype: torch.dtype) -> float:
    """Of a product, the least of three."""
    x, found = torch.ones(512, 512, dtype=dtype), []
    for _ in range(3):
        began = time.perf_counter()
        torch.mm(x, x)
        found.append(time.perf_counter() - began)
    return min(found)
