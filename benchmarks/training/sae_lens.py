"""SAELens: its SAETrainer, with its own step."""

import torch
from sae_lens import StandardTrainingSAE, StandardTrainingSAEConfig, TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.config import SAETrainerConfig
from sae_lens.saes.sae import TrainStepInput
from sae_lens.training.sae_trainer import SAETrainer
from torch import Tensor

from benchmarks.training.contract import ALONE, BETAS, Parameters, Setting

NOTE = (
    "`SAETrainer.step`, which also clips the gradient, counts how often features fire and keeps track of dead ones; it "
    "does not renormalise rows. TopK with `rescale_acts_by_decoder_norm=False`, which is faster; its auxiliary loss "
    "costs nothing here because no feature counts as dead yet. The decoder bias costs a sixth matrix product"
)
NOTE_SPARSE = (
    "the same with its option `use_sparse_activations=True` (with the default "
    "`rescale_acts_by_decoder_norm=True` that option fails on a CPU)"
)
NOTE_BF16 = "the same with its option `autocast=True`: products in bfloat16, so not the same precision"
ARCHITECTURES = ("untied", "topk")
STEPS = 10**6


class SaeLens:
    """Some dictionaries, each with a trainer."""

    def __init__(
        self, setting: Setting, parameters: list[Parameters], autocast: bool = False, sparse: bool = False
    ) -> None:
        self.members, self.d_act = len(parameters), setting.d_act
        pairs = zip(parameters, setting.l1, strict=False)
        self.trainers = [trainer_of(setting, each, l1, autocast, sparse) for each, l1 in pairs]

    def step(self, batch: Tensor) -> None:
        """As SAETrainer.fit does it."""
        for trainer in self.trainers:
            trainer.step(batch)
            trainer.n_training_steps += 1

    @torch.no_grad()
    def loss(self, batch: Tensor) -> list[float]:
        """Their loss sums over dimensions."""
        found = []
        for trainer in self.trainers:
            seen = TrainStepInput(batch, trainer.get_coefficients(), trainer.dead_neurons, 0, False)
            with trainer.autocast_if_enabled:
                found.append(float(trainer.sae.training_forward_pass(seen).loss) / self.d_act)
        return found


def trainer_of(setting: Setting, parameters: Parameters, l1: float, autocast: bool, sparse: bool) -> SAETrainer:
    """A trainer of one dictionary with these weights."""
    shape = {"d_in": setting.d_act, "d_sae": setting.n_feat, "decoder_init_norm": None}
    if setting.architecture == "topk":
        options = {"k": setting.k, "rescale_acts_by_decoder_norm": False, "use_sparse_activations": sparse}
        sae = TopKTrainingSAE(TopKTrainingSAEConfig(**shape, **options))
    else:
        sae = StandardTrainingSAE(StandardTrainingSAEConfig(**shape, l1_coefficient=l1 * setting.d_act))
    with torch.no_grad():
        sae.W_enc.copy_(parameters["encoder"].T)
        sae.b_enc.copy_(parameters["bias"])
        sae.W_dec.copy_(parameters["decoder"])
        sae.b_dec.copy_(parameters["decoder_bias"])
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


def make(setting: Setting, parameters: list[Parameters]) -> SaeLens:
    """Some of the members, in float32."""
    return SaeLens(setting, parameters[:ALONE])


def make_sparse(setting: Setting, parameters: list[Parameters]) -> SaeLens:
    """The same with sparse tensors for codes; TopK only."""
    return SaeLens(setting, parameters[:ALONE], sparse=True)


def make_bf16(setting: Setting, parameters: list[Parameters]) -> SaeLens:
    """The same with autocast."""
    return SaeLens(setting, parameters[:ALONE], autocast=True)
