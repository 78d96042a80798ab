"""Which site a dictionary is of, and how its vectors were scaled: what of it fits best on some vectors of each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput
from sparse_coding.io.activations import open_activations
from sparse_coding.settings import sites

ROWS = 4096  # vectors of each site
FITS = 0.9  # FVU below which a dictionary tells something of the vectors

Scaled = Callable[[Float[Tensor, "row d_act"]], Float[Tensor, "row d_act"]]
# As libraries give vectors to their dictionaries, by what is done to them before.
SCALES: dict[str, Scaled] = {
    "as they are": lambda x: x,
    "times sqrt(d) / mean norm": lambda x: x * (x.shape[1] ** 0.5 / x.norm(dim=1).mean()),
    "divided by the mean norm": lambda x: x / x.norm(dim=1).mean(),
    "each of norm sqrt(d)": lambda x: x * (x.shape[1] ** 0.5 / x.norm(dim=1, keepdim=True)),
    "without their mean": lambda x: x - x.mean(dim=0),
    "without each one's mean over dimensions": lambda x: x - x.mean(dim=1, keepdim=True),
}


@dataclass(frozen=True)
class Fit:
    """L0 and FVU of a dictionary on vectors of a site that were scaled so; FVU is of the scaled vectors."""

    site: str
    scale: str
    l0: float
    fvu: float


def fits(dictionary: Dictionary, results: Path) -> list[Fit]:
    """How a dictionary does on the activations that lie in `results`, of each site of its width, best FVU first.

    Of those with the same FVU in hundredths, the one for which less is done to the vectors comes first. Sites with
    random weights are left out. Vectors are the first 4096 that were held out, or of the training split where none
    were. Raises BadInput for one of a pair of places, and where there are no activations of its width.
    """
    if dictionary.d_in != dictionary.d_out or dictionary.skip is not None:
        raise BadInput("inspect --fit", "a dictionary from one place to another", "one of a single place")
    found = [_fit(dictionary, site, scale, x) for site, x in _vectors(results, dictionary.d_in) for scale in SCALES]
    if not found:
        wanted = "activations of its width: `snakemake activations` makes those of the sites of params.yaml"
        raise BadInput(results / "activations", f"none of {dictionary.d_in} dimensions", wanted)
    order = list(SCALES)  # the plainer ones first: of those that are as good, less was done to the vectors
    return sorted(found, key=lambda fit: (round(fit.fvu, 2), order.index(fit.scale), fit.fvu, fit.site))


def _vectors(results: Path, width: int) -> Iterator[tuple[str, Float[Tensor, "row d_act"]]]:
    for path in sorted((results / "activations").glob("*.h5")):
        if _is_control(path.stem):
            continue
        with open_activations(path) as file:
            if file.d_act == width:
                split = file.split("held_out" if "held_out" in file.splits else "train")
                yield path.stem, split.read(0, min(ROWS, split.n_rows))


def _is_control(name: str) -> bool:
    try:
        return sites.parse(name).random_weights
    except BadInput:  # one that was imported
        return False


def _fit(dictionary: Dictionary, site: str, scale: str, x: Float[Tensor, "row d_act"]) -> Fit:
    scaled = SCALES[scale](x)
    codes = dictionary.encode(scaled)
    wide, x_hat = scaled.double(), dictionary.put_together(codes, scaled).double()
    error, variance = (wide - x_hat).square().sum(), (wide - wide.mean(dim=0)).square().sum()
    return Fit(site, scale, float((codes > 0).sum(dim=1).double().mean()), float(error / variance))
