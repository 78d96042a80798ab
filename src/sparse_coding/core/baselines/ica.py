"""Independent components: directions whose codes are as far from Gaussian as can be (FastICA, Hyvarinen 1999)."""

import torch
from jaxtyping import Float
from sklearn.decomposition import FastICA
from torch import Tensor

from sparse_coding.core.baselines import original
from sparse_coding.core.baselines.contract import Fitted, Settings, Vectors, Work
from sparse_coding.core.baselines.converging import Convergence, check_varies
from sparse_coding.core.baselines.pca import principal
from sparse_coding.core.baselines.signed import signed
from sparse_coding.core.dictionary import Dictionary

USUAL_ITERATIONS = 120  # after which FastICA ended: 95 of 200 on the tiny preset, 150 on the default
NONLINEAR = 3  # passes over the sample as dear as one tanh


def build(vectors: Vectors, settings: Settings) -> Fitted:
    """On a sample of `rows`, drawn by `seed`, in at most `iterations`. The original is that of its top-k variants."""
    seed, iterations = settings["seed"], settings["iterations"]
    sample = vectors.sample(settings["rows"], seed)
    if settings.get("original"):
        dictionary, convergence = original.ica_topk(vectors.train.rows(sample), iterations=iterations, seed=seed)
    else:
        dictionary, convergence = fit(vectors.train.rows(sample), vectors.mean, iterations=iterations, seed=seed)
    return dictionary, {"seed": seed, "fit_rows": len(sample), **convergence._asdict()}


def work(rows: int, d_act: int, settings: Settings) -> Work:
    """How many iterations it takes hangs on the vectors."""
    rows, iterations = min(settings["rows"], rows), min(settings["iterations"], USUAL_ITERATIONS)
    return Work(
        products=2 * iterations * rows,
        double_products=2 * rows,
        decompositions=3 * iterations,
        tanh=NONLINEAR * iterations * rows,
    )


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


def _whitening(
    x: Float[Tensor, "row d_act"],
) -> tuple[Float[Tensor, "varying d_act"], Float[Tensor, "constant d_act"]]:
    """A map to unit covariance of the directions in which `x` varies by more than rounding; the other directions."""
    variances, directions = principal(x.double().T @ x.double() / len(x))
    varies = variances > torch.finfo(x.dtype).eps * variances[0]
    return directions[varies] / variances[varies].sqrt().unsqueeze(1), directions[~varies]
