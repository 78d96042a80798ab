"""Independent components: directions whose codes are as far from Gaussian as can be (FastICA, Hyvarinen 1999)."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from sklearn.decomposition import FastICA
from torch import Tensor

from sparse_coding.core.baselines.pca import principal
from sparse_coding.core.baselines.signed import signed
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput


class Convergence(NamedTuple):
    """Iterations run, and whether FastICA's own test ended them before the last one allowed."""

    iterations: int
    converged: bool


def fit(
    sample: Float[Tensor, "row d_act"], centre: Float[Tensor, " d_act"], *, iterations: int, seed: int
) -> tuple[Dictionary, Convergence]:
    """The independent components of `sample`, +d and -d around `centre`.

    All components at once ("parallel") with the log-cosh contrast, which suits heavy and light tails alike. The
    sample is whitened, so the scale of a dimension does not matter. Directions in which it does not vary stay as they
    are: whitening would divide by their variance. In float32 if the sample is: a quarter of the time. sklearn warns
    (ConvergenceWarning) where `iterations` do not suffice; the result says so too. Raises BadInput for a sample that
    does not vary at all.
    """
    check_varies(sample)
    centred = sample - centre
    scale = centred.square().mean().sqrt()
    whitening, constant = _whitening(centred / scale)
    # Whitened here: sklearn multiplies each principal direction by the sign of its first entry, also where that is 0.
    solver = FastICA(algorithm="parallel", fun="logcosh", whiten=False, max_iter=iterations, random_state=seed).fit(
        (centred / scale @ whitening.T.to(centred.dtype)).numpy()
    )
    components = torch.from_numpy(solver.components_).double()
    readout = torch.cat([components @ whitening, constant]) / scale
    # Inverted here, in float64: else the linear reconstruction is exact to float32's rounding times the condition.
    directions = torch.linalg.pinv(readout).T
    dictionary = signed(directions.to(centre.dtype), readout.to(centre.dtype), centre)
    return dictionary, Convergence(solver.n_iter_, solver.n_iter_ < iterations)


def check_varies(sample: Float[Tensor, "row d_act"]) -> None:
    """Raise BadInput unless `sample` has two rows that differ: there is nothing to tell components from."""
    if bool((sample == sample[:1]).all()):
        found = f"{len(sample)} vector(s), all the same"
        raise BadInput("ICA", found, "vectors that differ from each other")


def _whitening(
    x: Float[Tensor, "row d_act"],
) -> tuple[Float[Tensor, "varying d_act"], Float[Tensor, "constant d_act"]]:
    """A map to unit covariance of the directions in which `x` varies by more than rounding; the other directions."""
    variances, directions = principal(x.double().T @ x.double() / len(x))
    varies = variances > torch.finfo(x.dtype).eps * variances[0]
    return directions[varies] / variances[varies].sqrt().unsqueeze(1), directions[~varies]
