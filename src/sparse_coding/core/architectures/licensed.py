"""What architectures with a licence for the fast steps have in common: the loss of their form, for autograd."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from sparse_coding.core.architectures import reviving
from sparse_coding.core.architectures.contract import Architecture, Form, Parameters, Penalty, State, Terms
from sparse_coding.core.products import linear


class Licensed(Architecture):
    """By its form: see contract.Form for the formula."""

    @property
    def form(self) -> Form:
        """The licence."""
        raise NotImplementedError

    def density(self, penalty: Penalty, n_feat: int) -> float | None:
        """TopK has no more than k codes."""
        return min(penalty.k / n_feat, 1.0) if self.form.keeps_largest else None

    def begin(self, parameters: Parameters, batch: Float[Tensor, "batch d_act"], density: float) -> None:
        """One bias for all features, with which a share `density` of the codes of `batch` is positive.

        With a bias of 0 half of them are, and the first steps, dense and slow, go into making them fewer. TopK keeps
        its biases of 0: it has few codes as it is.
        """
        if self.form.keeps_largest:
            return
        pre = linear(batch, parameters[self.form.encoder]).flatten()  # before the first step the centre is 0
        others = len(pre) - max(round(density * len(pre)), 1)
        if others:
            ordered = pre.numpy()
            ordered.partition(others - 1)  # in place: a batch of codes is large
            parameters[self.form.bias].fill_(-float(ordered[others - 1]))

    def before(self, parameters: Parameters, state: State) -> None:
        """With lengths, rows are as long as they are while they are trained."""
        if self.form.lengths:
            parameters[self.form.decoder].mul_(state[self.form.lengths].unsqueeze(1))

    def loss(self, parameters: Parameters, state: State, z: Float[Tensor, "batch d_act"], penalty: Penalty) -> Terms:
        """That of the form, divided by the lengths of the decoder's rows."""
        form = self.form
        atoms = functional.normalize(parameters[form.decoder], dim=1)
        x = z - parameters[form.centre] if form.centre else z
        codes = torch.relu(x @ (atoms if form.tied else parameters[form.encoder]).T + parameters[form.bias])
        if form.keeps_largest:
            codes = form.kept(codes, penalty.k)
        mse = (codes @ atoms - x).square().mean()
        return Terms(mse if form.keeps_largest else mse + penalty.l1 * codes.sum() / len(z), mse, codes)

    def after(self, parameters: Parameters, state: State, terms: Terms) -> None:
        """Rows of the decoder are made unit; with lengths, these are kept."""
        rows = parameters[self.form.decoder]
        norms = rows.norm(dim=1, keepdim=True)
        rows.div_(norms)
        if self.form.lengths:
            state[self.form.lengths].copy_(norms.squeeze(1))

    def revive(self, parameters: Parameters, state: State, dead: Tensor, z: Float[Tensor, "dead d_act"]) -> list[str]:
        """By the form. A matrix that decodes too has no short rows: there the bias leaves a vector as small a code."""
        form = self.form
        x = z.to(parameters[form.bias].device)
        x = x - parameters[form.centre] if form.centre else x
        bias = (reviving.SMALL - 1) * x.norm(dim=1) if form.tied else 0.0
        if not form.tied:
            reviving.set_encoder(parameters[form.encoder], dead, x)
        reviving.set_rows(parameters, (form.decoder,), dead, reviving.directions(x))
        reviving.set_rows(parameters, (form.bias,), dead, bias)
        if form.lengths:
            state[form.lengths][dead] = 1.0
        return list(dict.fromkeys((form.encoder, form.bias, form.decoder)))
