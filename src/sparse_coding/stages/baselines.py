"""Stage baselines: the dictionaries of a site that are not learned by gradient descent.

1. Refuse a top-k with more codes than a basis has directions.
2. Fit each method once: PCA on all training vectors, ICA and NMF on a seeded sample of them.
3. Write each dictionary, and for the top-k variants the same one with its k.
"""

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from sparse_coding.core.baselines import build, variant
from sparse_coding.core.baselines.contract import Fitted, Vectors
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries
from sparse_coding.io.activations import SiteVectors, open_site
from sparse_coding.settings.params import Baseline
from sparse_coding.settings.slices import BaselineMember, BaselinesSlice


def run(
    settings: BaselinesSlice,
    *,
    activations: Path,
    output: Path,
    threads: int,
    targets: Path | None = None,
    done: Callable[[str], object] = lambda name: None,
) -> None:
    """Write `<output>/<name>.safetensors` for each member; `done` hears its name. targets: of a pair of places, the
    vectors that are to be put together.

    Raises BadInput where baselines.topk asks for more codes than there are dimensions. Up to `threads` methods
    run side by side, each on one core: the files do not depend on `threads`.
    """
    fits = _by_fit(settings)
    with open_site(activations, targets) as file, warnings.catch_warnings(), threadpool_limits(1):
        _check_topk(settings, file)
        warnings.simplefilter("ignore", ConvergenceWarning)  # the files say whether ICA converged
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            running = [pool.submit(_fit, fit, file) for fit in fits]
            bar = tqdm(running, desc=f"baselines {settings.site}", unit="method")
            for (fit, variants), fitted in zip(fits.items(), bar, strict=True):
                for name, k in variants.items():
                    _write(output / f"{name}.safetensors", settings.site, fit.method, k, *fitted.result())
                    done(name)


def _by_fit(settings: BaselinesSlice) -> dict[BaselineMember, dict[str, int | None]]:
    """What has to be fitted, each once, with the names and k of the members that come from it."""
    fits: dict[BaselineMember, dict[str, int | None]] = {}
    for name, member in settings.members.items():
        fits.setdefault(member.model_copy(update={"k": None}), {})[name] = member.k
    return fits


def _check_topk(settings: BaselinesSlice, file: SiteVectors) -> None:
    for member in settings.members.values():
        if member.k is not None and member.k > file.d_in:
            raise BadInput("baselines.topk", str(member.k), f"at most {file.d_in}, the dimensions of {file.places[0]}")


def _fit(member: BaselineMember, file: SiteVectors) -> Fitted:
    """By its method, or as the original code did."""
    settings = member.reads | ({"original": True} if member.original else {})
    dictionary, made = build(member.method, Vectors(file.split("train"), file.mean, file.cut.d_in), settings)
    return dictionary, ({"original": True} | made if member.original else made)


def _write(
    path: Path, site: str, method: Baseline, k: int | None, dictionary: Dictionary, made: dict[str, Any]
) -> None:
    saved = dictionary if k is None else variant(method, dictionary, k)
    dictionaries.save(path, saved, {"site": site, "method": method, "k": k} | made)
