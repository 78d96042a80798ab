"""What the weights of Cunningham et al. 2023 were in their code, where it is not what they are here: docs/paper.md."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sparse_coding.core.architectures.contract import Architecture, Form, Parameters, Penalty, Settings, State
from sparse_coding.core.architectures.licensed import Licensed
from sparse_coding.core.dictionary import Dictionary

LENGTHS = "lengths"


@dataclass(frozen=True)
class Original(Licensed):
    """An architecture with weights that are drawn, scaled or centred otherwise than `base`.

    xavier: encoder and decoder are drawn apart, each by the rule of Glorot & Bengio 2010, eq. 16 (uniform).
    free_lengths: rows of the decoder keep a length beside their direction (Form.lengths). centred: there is a learned
    centre, for an architecture that has one.
    """

    base: Licensed
    xavier: bool
    free_lengths: bool
    centred: bool

    @property
    def form(self) -> Form:
        """That of the base, with lengths and without a centre where that is wanted."""
        own = self.base.form
        lengths, centre = (LENGTHS if self.free_lengths else None), (own.centre if self.centred else None)
        return replace(own, lengths=lengths, centre=centre)

    def init(self, n_feat: int, d_act: int, generator: torch.Generator) -> Parameters:
        """As the base, or drawn anew; rows of the decoder as long as they were drawn. Without a centre, none."""
        parameters, form = self.base.init(n_feat, d_act, generator), self.base.form
        if self.xavier:
            for name in dict.fromkeys((form.encoder, form.decoder)):
                nn.init.xavier_uniform_(parameters[name], generator=generator)
        if form.centre and not self.centred:
            del parameters[form.centre]
        return parameters

    def state(self, parameters: Parameters) -> State:
        """The lengths of the rows, which are made unit; [n_feat]."""
        rows = parameters[self.form.decoder]
        norms = rows.norm(dim=1)
        parameters[self.form.decoder] = rows / norms[:, None]
        return {LENGTHS: norms} if self.free_lengths else {}

    def fold(
        self, parameters: Parameters, state: State, mean: Float[Tensor, " d_act"], scale: float, penalty: Penalty
    ) -> Dictionary:
        """As the base; lengths are of the training alone."""
        own = self.base.form
        centre = {} if own.centre is None or self.centred else {own.centre: torch.zeros_like(mean)}
        return self.base.fold({**parameters, **centre}, state, mean, scale, penalty)


def wanted(base: Licensed, settings: Settings) -> Architecture:
    """The base, or with the original's weights where its section has `initial_weights: xavier`, `free_lengths: true` or
    `learned_centre: false`."""
    xavier, free = settings.get("initial_weights") == "xavier", bool(settings.get("free_lengths"))
    centred = bool(settings.get("learned_centre", True))
    return base if centred and not xavier and not free else Original(base, xavier, free, centred)
