"""This project, through the interface that its own stage uses."""

from functools import partial

from torch import Tensor

from benchmarks.training.contract import BETAS, EPS, Parameters, Setting
from sparse_coding.core.architectures import build
from sparse_coding.core.architectures.contract import Penalty
from sparse_coding.core.training.optimisers.adam import Adam
from sparse_coding.core.training.trainee import Schedule, Trainee
from sparse_coding.settings.params import Dictionaries

NOTE = "`Member.train`, one member after the other"
ARCHITECTURES = (
    "tied", "untied", "topk", "jumprelu", "batchtopk", "topk_aux", "matryoshka", "transcoder", "skip_transcoder"
)  # fmt: skip
FOREVER = 10**9


class Ours:
    """All members, each trained whole."""

    def __init__(
        self, setting: Setting, parameters: list[Parameters], warmup: int = 0, decay: int = 0, steps: int = FOREVER
    ) -> None:
        """The schedule is constant unless `steps` of it are asked for."""
        self.setting, self.start = setting, parameters
        self.members = len(parameters)
        schedule = Schedule(steps, setting.lr, warmup, decay, warmup)
        adam = partial(Adam, beta1=BETAS[0], beta2=BETAS[1], eps=EPS)
        own = Dictionaries().of(setting.architecture).model_dump(mode="json")
        d_in, width = (setting.d_act, 2 * setting.d_act) if setting.is_of_pair else (None, setting.d_act)
        architecture, shape = build(setting.architecture, own, d_in), (setting.n_feat, width)
        self.dictionaries = []
        for index, given in enumerate(parameters):
            penalty = Penalty(setting.l1[index], setting.k, float(setting.k))
            member = Trainee(str(index), architecture, shape, penalty, index, schedule, adam, FOREVER)
            for name, tensor in member.parameters.items():
                tensor.copy_(given[name])
            self.dictionaries.append(member)

    def step(self, batch: Tensor) -> None:
        """One step of every member."""
        for member in self.dictionaries:
            member.train([batch])

    def loss(self, batch: Tensor) -> list[float]:
        """From the log of the first step of members made anew; of JumpReLU the error alone."""
        fresh = Ours(self.setting, self.start)
        fresh.step(batch)
        part = "mse" if self.setting.architecture == "jumprelu" else "loss"
        return [member.log[0][part] for member in fresh.dictionaries]


def make(setting: Setting, parameters: list[Parameters]) -> Ours:
    """All members."""
    return Ours(setting, parameters)
