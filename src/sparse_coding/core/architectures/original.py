"""What the weights of Cunningham et al. 2023 were in their code, where it is not what they are here: docs/paper.md."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sparse_coding.core.architectures.contract import Architecture, Form, Parameters, Penalty
from sparse_coding.core.dictionary import Dictionary

LENGTHS = "lengths"


@dataclass(frozen=True)
class Original:
    """An architecture with weights that are drawn, scaled or centred otherwise than `base`.

    xavier: encoder and decoder are drawn apart, each by the rule of Glorot & Bengio 2010, eq. 16 (uniform).
    free_lengths: rows of the decoder keep a length beside their direction (Form.lengths). centred: there is a learned
    centre, for an architecture that has one.
    """

    base: Architecture
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
        """As the base; with `lengths` [n_feat] where rows have them."""
        parameters, form = self.base.init(n_feat, d_act, generator), self.base.form
        if self.xavier:
            for name in dict.fromkeys((form.encoder, form.decoder)):
                nn.init.xavier_uniform_(parameters[name], generator=generator)
        norms = parameters[form.decoder].norm(dim=1)
        parameters[form.decoder] = parameters[form.decoder] / norms[:, None]
        return parameters | ({LENGTHS: norms} if self.free_lengths else {})

    def fold(self, parameters: Parameters, mean: Float[Tensor, " d_act"], scale: float, penalty: Penalty) -> Dictionary:
        """As the base; lengths are of the training alone."""
        return self.base.fold(parameters, mean, scale, penalty)
