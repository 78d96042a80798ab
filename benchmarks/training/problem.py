"""The settings, and the vectors and weights that every trainer gets: planted, seeded, the same for all."""

from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor

from benchmarks.training.contract import MEMBERS, Parameters, Setting
from benchmarks.training.ours import Ours
from sparse_coding import methods
from sparse_coding.core.training import processor

SHAPES = ((2048, 512, 1024), (1024, 128, 2048))  # n_feat, d_act, batch
SPARSITIES = (20, 50, 100)  # mean L0 of untied, k of TopK
MORE_L0 = 50  # of other kinds, at the first shape
MORE = ("jumprelu", "batchtopk", "topk_aux", "matryoshka", "transcoder", "skip_transcoder")
BATCHES, TIMED_BATCHES = 32, 4
TRAINED_STEPS = 150
PEAK_LR = 1e-2
L1_TIMES_D = (0.015, 0.2)  # the ends of the L1 grid times d_act: the mean squared error falls as 1 / d_act
LAST_RATE = 0.01  # of the peak: the rate at the end of the decay, where the timed steps are


def settings() -> list[Setting]:
    """All rows, in the order of the report."""
    rows = []
    for n_feat, d_act, batch in SHAPES:
        shape, grid = (n_feat, d_act, batch), l1_grid(d_act)
        plain = (grid[0],) * MEMBERS
        rows += [Setting("untied", *shape, f"L0 {l0}", plain) for l0 in SPARSITIES]
        rows += [Setting("untied", *shape, "dense", plain)]
        rows += [Setting("topk", *shape, f"k {k}", (0.0,) * MEMBERS, k=k) for k in SPARSITIES]
        rows += [Setting("tied", *shape, "trained", grid, lr=LAST_RATE * PEAK_LR)]
        rows += [Setting("tied", *shape, "dense", plain)]
    return rows + [Setting(kind, *SHAPES[0], f"k {MORE_L0}", (0.0,) * MEMBERS, k=MORE_L0) for kind in MORE]


def l1_grid(d_act: int) -> tuple[float, ...]:
    """The L1 penalty of each member, in equal ratios."""
    low, high = L1_TIMES_D
    return tuple(low * (high / low) ** (i / (MEMBERS - 1)) / d_act for i in range(MEMBERS))


@dataclass(frozen=True)
class Planted:
    """Vectors made of a few atoms of a dictionary that is known, of unit mean norm, in batches."""

    batches: tuple[Tensor, ...]


@cache
def planted(d_act: int, batch: int, count: int = BATCHES, active: int = 16, noise: float = 0.02) -> Planted:
    """x = codes @ atoms + noise: `active` of 2 * d_act atoms on average, some far oftener, codes between 0 and 1."""
    generator = torch.Generator().manual_seed(17)
    atoms = torch.nn.functional.normalize(torch.randn(2 * d_act, d_act, generator=generator), dim=1)
    often = 1 / torch.arange(1, 2 * d_act + 1).sqrt()
    often *= active / often.sum()
    batches = []
    for _ in range(count):
        on = torch.rand(batch, 2 * d_act, generator=generator) < often
        codes = on * torch.rand(batch, 2 * d_act, generator=generator)
        batches.append(codes @ atoms + noise * torch.randn(batch, d_act, generator=generator))
    mean = torch.stack([each.mean(0) for each in batches]).mean(0)
    scale = torch.stack([(each - mean).norm(dim=1).mean() for each in batches]).mean()
    return Planted(tuple((each - mean) / scale for each in batches))


def timed_batches(setting: Setting) -> tuple[Tensor, ...]:
    """The batches that the trainers see in turn; of a pair the halves of wider vectors, each of unit mean norm."""
    if setting.is_of_pair:
        wide = planted(2 * setting.d_act, setting.batch, TIMED_BATCHES).batches
        return tuple(batch * 2**0.5 for batch in wide)
    return planted(setting.d_act, setting.batch).batches[:TIMED_BATCHES]


def parameters_of(setting: Setting) -> list[Parameters]:
    """The weights of all members: trained, or random with the bias that gives the L0 that was asked for."""
    if setting.sparsity == "trained":
        return trained(replace(setting, lr=PEAK_LR))
    found = []
    for seed in range(MEMBERS):
        parameters = random_parameters(setting, torch.Generator().manual_seed(seed))
        if setting.architecture == "jumprelu":
            theta = threshold(parameters["encoder"], timed_batches(setting), setting.k / setting.n_feat)
            parameters["log_threshold"] = torch.full((setting.n_feat,), theta).log()
        if setting.sparsity.startswith("L0 "):
            share = float(setting.sparsity.removeprefix("L0 ")) / setting.n_feat
            parameters["bias"].fill_(-threshold(parameters["encoder"], timed_batches(setting), share))
        found.append(parameters)
    return found


def random_parameters(setting: Setting, generator: torch.Generator) -> Parameters:
    """Unit rows, separate ones for encoder and decoder; zero biases."""

    def rows() -> Tensor:
        drawn = torch.randn(setting.n_feat, setting.d_act, generator=generator)
        return torch.nn.functional.normalize(drawn, dim=1)

    bias = torch.zeros(setting.n_feat)
    if setting.architecture == "tied":
        return {"atoms": rows(), "bias": bias}
    made = {"encoder": rows(), "bias": bias, "decoder": rows(), "decoder_bias": torch.zeros(setting.d_act)}
    skip = torch.zeros(setting.d_act, setting.d_act)
    return made | ({"skip": skip} if methods.of(setting.architecture).skip else {})


def threshold(encoder: Tensor, batches: tuple[Tensor, ...], share: float) -> float:
    """The value that a `share` of all pre-activations of these batches exceed."""
    values = torch.cat([(batch @ encoder.T).flatten() for batch in batches])
    return float(values.kthvalue(round(len(values) * (1 - share))).values)


@torch.no_grad()
def l0_of(setting: Setting, parameters: list[Parameters]) -> list[float]:
    """The mean number of codes above zero of each member, on the first timed batch."""
    batch = timed_batches(setting)[0][:, : setting.d_act]
    found = []
    for each in parameters:
        pre = torch.addmm(each["bias"], batch - each.get("decoder_bias", 0), each.get("encoder", each.get("atoms")).T)
        above = each["log_threshold"].exp() if "log_threshold" in each else 0
        positive = (pre > above).sum(1)
        most = setting.k if setting.k and "log_threshold" not in each else setting.n_feat
        found.append(float(positive.clamp(max=most).float().mean()))
    return found


def trained(setting: Setting, threads: int = 2) -> list[Parameters]:
    """The weights of an L1 grid after TRAINED_STEPS steps of ours from random ones."""
    start = [random_parameters(setting, torch.Generator().manual_seed(seed)) for seed in range(MEMBERS)]
    grid = Ours(setting, start, warmup=TRAINED_STEPS // 20, decay=TRAINED_STEPS // 5, steps=TRAINED_STEPS)
    batches = planted(setting.d_act, setting.batch).batches
    processor.train(grid.dictionaries, (batches[step % len(batches)] for step in range(TRAINED_STEPS)), threads)
    return [dict(member.parameters) for member in grid.dictionaries]
