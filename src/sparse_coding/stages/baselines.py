"""Stage baselines: the dictionaries of a site that are not learned by gradient descent.

1. Refuse a top-k with more codes than a basis has directions.
2. Fit each method once: PCA on all training vectors, ICA and NMF on a seeded sample of them.
3. Write each dictionary, and for the top-k variants the same one with its k.
"""

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits
from torch import Tensor
from tqdm import tqdm

from sparse_coding.core.baselines import ica, neuron_basis, nmf, original, pca, random
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries
from sparse_coding.io.activations import ActivationsFile, Split, open_activations
from sparse_coding.portions.baselines import READ_ROWS, nmf_rows
from sparse_coding.settings.params import Baseline
from sparse_coding.settings.slices import BaselineMember, BaselinesSlice

Fitted = tuple[Dictionary, dict[str, Any]]  # and how it was made: what its file says beside name and site


def run(
    settings: BaselinesSlice,
    *,
    activations: Path,
    output: Path,
    threads: int,
    done: Callable[[str], object] = lambda name: None,
) -> None:
    """Write `<output>/<name>.safetensors` for each member; `done` hears its name.

    Raises BadInput where baselines.topk asks for more codes than there are dimensions. Up to `threads` methods
    run side by side, each on one core: the files do not depend on `threads`.
    """
    fits = _by_fit(settings)
    with open_activations(activations) as file, warnings.catch_warnings(), threadpool_limits(1):
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


def _check_topk(settings: BaselinesSlice, file: ActivationsFile) -> None:
    for member in settings.members.values():
        if member.k is not None and member.k > file.d_act:
            raise BadInput("baselines.topk", str(member.k), f"at most {file.d_act}, the dimensions of {file.site}")


def _fit(member: BaselineMember, file: ActivationsFile) -> Fitted:
    """By its method, or as the original code did."""
    fitted = _FITS[member.method](member, file)
    return (fitted[0], {"original": True} | fitted[1]) if member.original else fitted


def _pca(member: BaselineMember, file: ActivationsFile) -> Fitted:
    train = file.split("train")
    fitted = pca.fit(_blocks(train), file.mean)
    return original.around_zero(fitted) if member.original else fitted, {"fit_rows": train.n_rows}


def _neuron_basis(member: BaselineMember, file: ActivationsFile) -> Fitted:
    return original.identity_relu(file.d_act) if member.original else neuron_basis.make(file.mean), {}


def _random(member: BaselineMember, file: ActivationsFile) -> Fitted:
    seed = member.seed or 0
    if member.original:
        return original.random(file.d_act, seed=seed), {"seed": seed}
    return random.make(file.mean, seed=seed), {"seed": seed}


def _ica(member: BaselineMember, file: ActivationsFile) -> Fitted:
    """The original is that of its top-k variants."""
    train, seed, iterations = file.split("train"), member.seed or 0, member.iterations or 1
    sample = _sample(train.n_rows, member.rows or train.n_rows, seed)
    if member.original:
        dictionary, convergence = original.ica_topk(train.rows(sample), iterations=iterations, seed=seed)
    else:
        dictionary, convergence = ica.fit(train.rows(sample), file.mean, iterations=iterations, seed=seed)
    return dictionary, {"seed": seed, "fit_rows": len(sample), **convergence._asdict()}


def _nmf(member: BaselineMember, file: ActivationsFile) -> Fitted:
    train, seed, iterations = file.split("train"), member.seed or 0, member.iterations or 1
    sample = _sample(train.n_rows, member.rows or train.n_rows, seed)
    blocks = partial(_mixed_blocks, train, sample, nmf_rows(file.d_act), seed)
    dictionary = nmf.fit(blocks, iterations=iterations, encode_iterations=member.encode_iterations or 1)
    return dictionary, {"seed": seed, "fit_rows": len(sample), "iterations": iterations}


_FITS: dict[Baseline, Callable[[BaselineMember, ActivationsFile], Fitted]] = {
    "pca": _pca,
    "ica": _ica,
    "nmf": _nmf,
    "neuron_basis": _neuron_basis,
    "random": _random,
}


def _blocks(split: Split) -> Iterator[Tensor]:
    for start in range(0, split.n_rows, READ_ROWS):
        yield split.read(start, min(start + READ_ROWS, split.n_rows))


def _sample(n_rows: int, wanted: int, seed: int) -> Tensor:
    """Indices of `wanted` rows of `n_rows`, without replacement, ascending; of all where there are no more."""
    order = torch.randperm(n_rows, generator=torch.Generator().manual_seed(seed))
    return order[:wanted].sort().values


def _mixed_blocks(split: Split, sample: Tensor, rows: int, seed: int) -> Iterator[Tensor]:
    """The rows of the sample in random order, in blocks of `rows` or somewhat more; one is in memory at a time."""
    order = torch.randperm(len(sample), generator=torch.Generator().manual_seed(seed))
    for part in sample[order].tensor_split(max(1, len(sample) // rows)):
        yield split.rows(part)


def _write(
    path: Path, site: str, method: Baseline, k: int | None, dictionary: Dictionary, made: dict[str, Any]
) -> None:
    variant = dictionary if k is None else replace(dictionary, activation="topk", k=k)
    dictionaries.save(path, variant, {"site": site, "method": method, "k": k} | made)
