"""Stage baselines: the dictionaries of a site that are not learned by gradient descent.

1. Refuse a top-k with more codes than a basis has directions.
2. Fit each method once: PCA on all training vectors, ICA and NMF on a seeded sample of them.
3. Write each dictionary, and for the top-k variants the same one with its k.
"""

import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits
from torch import Tensor
from tqdm import tqdm

from sparse_coding.core.baselines import ica, neuron_basis, nmf, pca, random
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput
from sparse_coding.grid import topk_name
from sparse_coding.io import dictionaries
from sparse_coding.io.activations import ActivationsFile, Split, open_activations
from sparse_coding.params import Baseline, Baselines
from sparse_coding.slices import BaselinesSlice

READ_ROWS = 8192


def run(settings: BaselinesSlice, *, activations: Path, output: Path, threads: int) -> None:
    """Write `<output>/<name>.safetensors` for each name of grid.baseline_names.

    Raises BadInput where baselines.topk asks for more codes than there are dimensions. Up to `threads` methods
    run side by side, each on one core: the files do not depend on `threads`.
    """
    baselines = settings.baselines
    # A method may be wanted for its top-k variants alone.
    methods = list(dict.fromkeys((*baselines.methods, *baselines.topk_methods)))
    with open_activations(activations) as file, warnings.catch_warnings(), threadpool_limits(1):
        _check_topk(baselines, file)
        warnings.simplefilter("ignore", ConvergenceWarning)  # the files say whether ICA converged
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            fits = [pool.submit(_fit, method, baselines, file) for method in methods]
            for method, fit in zip(methods, tqdm(fits, desc=f"baselines {settings.site}", unit="method"), strict=True):
                _write(method, *fit.result(), settings, output)


def _check_topk(baselines: Baselines, file: ActivationsFile) -> None:
    for k in baselines.topk if baselines.topk_methods else ():
        if k > file.d_act:
            raise BadInput("baselines.topk", str(k), f"at most {file.d_act}, the dimensions of {file.site}")


def _fit(method: Baseline, baselines: Baselines, file: ActivationsFile) -> tuple[Dictionary, dict[str, Any]]:
    """The dictionary of a method, and how it was made: what its file says beside name and site."""
    train, seed = file.split("train"), baselines.seed
    if method == "pca":
        return pca.fit(_blocks(train), file.mean), {"fit_rows": train.n_rows}
    if method == "neuron_basis":
        return neuron_basis.make(file.mean), {}
    if method == "random":
        return random.make(file.mean, seed=seed), {"seed": seed}
    if method == "ica":
        sample = _sample(train, baselines.ica_rows, seed)
        dictionary, convergence = ica.fit(sample, file.mean, iterations=baselines.ica_iterations, seed=seed)
        return dictionary, {"seed": seed, "fit_rows": len(sample), **convergence._asdict()}
    sample = _sample(train, baselines.nmf_rows, seed)
    dictionary = nmf.fit(
        sample, iterations=baselines.nmf_iterations, encode_iterations=baselines.nmf_encode_iterations, seed=seed
    )
    return dictionary, {"seed": seed, "fit_rows": len(sample), "iterations": baselines.nmf_iterations}


def _blocks(split: Split) -> Iterator[Tensor]:
    for start in range(0, split.n_rows, READ_ROWS):
        yield split.read(start, min(start + READ_ROWS, split.n_rows))


def _sample(split: Split, n_rows: int, seed: int) -> Tensor:
    """`n_rows` rows drawn without replacement, in the order of the file; all of them where there are no more."""
    order = torch.randperm(split.n_rows, generator=torch.Generator().manual_seed(seed))
    chosen = torch.zeros(split.n_rows, dtype=torch.bool)
    chosen[order[:n_rows]] = True
    masks = chosen.split(READ_ROWS)
    return torch.cat([block[mask] for block, mask in zip(_blocks(split), masks, strict=True)])


def _write(
    method: Baseline, dictionary: Dictionary, made: dict[str, Any], settings: BaselinesSlice, output: Path
) -> None:
    baselines = settings.baselines
    described = {"site": settings.site, "method": method, "k": None} | made
    if method in baselines.methods:
        dictionaries.save(output / f"{method}.safetensors", dictionary, described)
    for k in baselines.topk if method in baselines.topk_methods else ():
        variant = replace(dictionary, activation="topk", k=k)
        dictionaries.save(output / f"{topk_name(method, k)}.safetensors", variant, described | {"k": k})
