"""Stage evaluation: what each dictionary of a site keeps of the activations, on held-out data.

1. Fit what variants of a dictionary are asked for (gain refit, ...) on training vectors.
2. Pass the held-out vectors through each variant: L0, FVU, MSE, cosine, dead and alive features.
3. Splice each reconstruction into the language model, on held-out blocks: cross-entropy, KL, loss recovered; of a
   model without predictions, what its final hidden states lose.
4. Write the rows, firing frequencies and what was fitted of each dictionary.
"""

import math
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from sparse_coding.core import variants as recodings
from sparse_coding.core.cut import Cut
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.core.metrics.ratios import clusters
from sparse_coding.core.metrics.reconstruction import Reconstruction
from sparse_coding.core.metrics.soundness import broken, verdict
from sparse_coding.core.threads import one_thread
from sparse_coding.core.variants.contract import Fitted, Recoding
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries as dictionary_files
from sparse_coding.io import fitted as fitted_files
from sparse_coding.io import tables
from sparse_coding.io import tokens as token_file
from sparse_coding.io.activations import SideBySide, SiteVectors, Split, open_site
from sparse_coding.io.tables.evaluation import EVALUATION
from sparse_coding.io.tables.frequency import FREQUENCY
from sparse_coding.io.told import columns as told_columns
from sparse_coding.lm import losses
from sparse_coding.lm.model import LanguageModel
from sparse_coding.portions.measuring import AT_A_TIME, MEASURE_ROWS
from sparse_coding.settings import sites
from sparse_coding.settings.params import Evaluation
from sparse_coding.settings.slices import Described, EvaluationSlice
from sparse_coding.variants import PLAIN, Variant

RUN_ROWS = 256  # a fit reads runs of this many vectors from all over the training split


@dataclass(frozen=True, eq=False)
class Evaluated:
    """A dictionary in one variant, and what came of it on held-out vectors."""

    described: Described
    path: Path
    variant: Variant | None  # None: as it is
    dictionary: Dictionary
    fitted: Fitted
    reconstruction: Reconstruction
    told: dict[str, Any]  # by its file, of how it was made

    @property
    def called(self) -> str:
        """Its variant, as tables name it."""
        return PLAIN if self.variant is None else self.variant.name


def run(
    settings: EvaluationSlice,
    *,
    activations: Path,
    dictionaries: list[Path],
    output: Path,
    threads: int,
    tokens: Path | None = None,
    targets: Path | None = None,
    done: Callable[[str], object] = lambda name: None,
) -> None:
    """Evaluate `dictionaries`, in the order of settings.members; write what was measured into `output`.

    `tokens` are the blocks that reconstructions are spliced into; imported activations have none. targets: of a pair of
    places, the vectors that are put together. `done` hears the
    name of each dictionary whose files are written. Raises BadInput for a control site, and where activations,
    dictionaries and settings do not belong together.
    """
    with one_thread(), open_site(activations, targets) as file:
        _check(settings, file, dictionaries)
        pairs = list(zip(settings.members.values(), dictionaries, strict=True))
        held_out = HeldOut.of(file.split("held_out"), settings.evaluation.batch_rows, file.cut)
        spliced = _splicer(settings, file, tokens, threads)
        for first in range(0, len(pairs), AT_A_TIME):
            found = _reconstruct(settings, file, held_out, pairs[first : first + AT_A_TIME], threads)
            rows = [_row(settings, evaluated, result) for evaluated, result in zip(found, spliced(found), strict=True)]
            for described, _ in pairs[first : first + AT_A_TIME]:
                _write(output, settings.site, described.name, found, rows)
                done(described.name)


def _check(settings: EvaluationSlice, file: SiteVectors, dictionaries: list[Path]) -> None:
    if settings.model is not None and sites.parse(settings.site).random_weights:
        raise BadInput("site", settings.site, "a site of the trained model: its control is only interpreted")
    if file.places != sites.places(settings.site):
        raise BadInput(file.path, f"activations of {' and '.join(file.places)}", f"activations of {settings.site}")
    if len(dictionaries) != len(settings.members):
        raise BadInput("--dictionaries", f"{len(dictionaries)} files", f"{len(settings.members)}, as in settings")


def _reconstruct(
    settings: EvaluationSlice,
    file: SiteVectors,
    held_out: "HeldOut",
    pairs: list[tuple[Described, Path]],
    threads: int,
) -> list[Evaluated]:
    """Steps 1 and 2: the variants of some dictionaries, in order; a dictionary a thread."""
    measure = partial(_variants, settings.evaluation, file, held_out)
    found: list[Evaluated] = []
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        measured = pool.map(measure, *zip(*pairs, strict=True))
        label = f"evaluation {settings.site}: reconstruction"
        for variants in tqdm(measured, total=len(pairs), desc=label, unit="dictionary"):
            found += variants
    return found


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The held-out vectors, with their mean [d_act] and the cluster of each [row]: its document.

    cut: where those of two places are side by side.
    """

    split: Split | SideBySide
    batch_rows: int
    mean: Tensor
    cluster: Tensor
    cut: Cut

    @staticmethod
    def of(split: Split | SideBySide, batch_rows: int, cut: Cut) -> "HeldOut":
        """Find the mean, in float64, and the clusters of `split`."""
        total = sum(x.sum(dim=0, dtype=torch.float64) for x in _batches(split, 0, split.n_rows, batch_rows))
        cluster = torch.from_numpy(clusters(split.document))
        return HeldOut(split, batch_rows, torch.as_tensor(total) / split.n_rows, cluster, cut)

    def measure(self, dictionary: Dictionary, made: list[tuple[Recoding, Fitted]]) -> list[Reconstruction]:
        """Pass all vectors through `dictionary`, once, and its codes through each variant of `made`; it comes first."""
        mean, n_clusters = self.cut.target(self.mean), int(self.cluster[-1]) + 1
        results = [Reconstruction(mean, dictionary.n_feat, n_clusters) for _ in range(1 + len(made))]
        rows = min(self.batch_rows, MEASURE_ROWS)
        batches = _batches(self.split, 0, self.split.n_rows, rows)
        for z, cluster in zip(batches, self.cluster.split(rows), strict=True):
            x, y = self.cut.source(z), self.cut.target(z)
            plain = dictionary.encode(x)
            found = (plain, *(recoding.codes(dictionary, fitted, x, plain) for recoding, fitted in made))
            for codes, result in zip(found, results, strict=True):
                result.add(y, codes, dictionary.put_together(codes, x), cluster)
        return results


def _variants(
    settings: Evaluation, file: SiteVectors, held_out: HeldOut, described: Described, path: Path
) -> list[Evaluated]:
    dictionary, told = dictionary_files.load_with_settings(path)
    own, wanted = (dictionary.d_in, dictionary.d_out), (file.d_in, file.d_out)
    if own != wanted:
        atoms, vectors = (" to ".join(map(str, dict.fromkeys(widths))) for widths in (own, wanted))
        raise BadInput(path, f"atoms of {atoms} dimensions", f"{vectors}, as in {' and '.join(map(str, file.paths))}")
    read = partial(spread, file.split("train"), settings.gain_refit_rows or 0, settings.batch_rows)
    asked = settings.variants_of(described.kind, described.k)
    described = described.model_copy(update=told_columns(described.kind, described.l0_target, told))
    made = [(recoding, recoding.fit(dictionary, read)) for recoding in (recodings.build(row.name) for row in asked)]
    first, *others = held_out.measure(dictionary, made)
    found = [Evaluated(described, path, None, dictionary, {}, first, told)]
    for variant, (recoding, fitted), measured in zip(asked, made, others, strict=True):
        recoded = recoding.dictionary(dictionary, fitted)
        found.append(Evaluated(described, path, variant, recoded, fitted, measured, told))
    return found


def spread(split: Split | SideBySide, rows: int, batch_rows: int) -> Iterator[Tensor]:
    """About `rows` vectors of the split, all of it if it has fewer, in runs with equal gaps; the same for any batch."""
    runs = np.arange(0, split.n_rows, RUN_ROWS)
    chosen = runs[np.linspace(0, len(runs) - 1, min(-(-rows // RUN_ROWS), len(runs))).astype(int)]
    at_a_time = max(batch_rows // RUN_ROWS, 1)
    for first in range(0, len(chosen), at_a_time):
        starts = chosen[first : first + at_a_time]
        yield torch.cat([split.read(start, min(start + RUN_ROWS, split.n_rows)) for start in starts.tolist()])


def _batches(split: Split | SideBySide, start: int, stop: int, rows: int) -> Iterator[Tensor]:
    for first in range(start, stop, rows):
        yield split.read(first, min(first + rows, stop))


def _splicer(
    settings: EvaluationSlice, file: SiteVectors, tokens: Path | None, threads: int
) -> Callable[[list[Evaluated]], list[dict[str, Any]]]:
    """Step 3: what gives the columns of what the model loses with each; none where there is no model."""
    if settings.model is None:
        return lambda found: [{} for _ in found]
    if tokens is None:
        raise BadInput("--tokens", "none", "the token file that the activations were made from")
    corpus, model = token_file.load(tokens), LanguageModel.load(settings.model)
    site = sites.parse(settings.site)
    mean, cut = file.mean, file.cut
    if (width := model.widths([site])[site]) != len(mean):
        raise BadInput(f"model {model.name}", f"{width} dimensions", f"{len(mean)}, as in the activations")
    columns = losses.measured(model, site, corpus, mean, settings.evaluation, threads)
    return lambda found: columns([partial(cut.rebuilt, evaluated.dictionary) for evaluated in found])


def _row(settings: EvaluationSlice, evaluated: Evaluated, spliced: dict[str, Any]) -> dict[str, Any]:
    """A row of the evaluation table; where it says that the dictionary is broken, so does a line on stderr.

    What was not measured is None. Raises BadInput for a column that the table does not have.
    """
    found, dictionary, share = evaluated.reconstruction, evaluated.dictionary, settings.evaluation.alive_share
    row = {
        **evaluated.described.model_dump(),
        "site": settings.site,
        "variant": evaluated.called,
        "path": evaluated.path.as_posix(),
        "steps_taken": evaluated.told.get("steps_taken"),
        "n_feat": dictionary.n_feat,
        "d_act": dictionary.d_act,
        **found.l0.columns("l0"),
        **found.fvu.columns("fvu"),
        "mean_error": found.mean_error,
        "mse": found.mse,
        "cosine": found.cosine,
        "dead": found.dead,
        "alive": found.alive(share),
        "alive_share": share,
        "n_vectors": found.n_vectors,
        **spliced,
    }
    if wrong := broken(row):
        row["broken"] = "; ".join(wrong)
        named = f"{settings.site}: {row['name']} ({evaluated.called})"
        print(f"warning: {named} {verdict(row['kind'])}: {row['broken']}", file=sys.stderr)
    # Such as the loss of a token to which the model gives no probability at all.
    without = [name for name, value in row.items() if isinstance(value, float) and not math.isfinite(value)]
    if without:
        print(f"evaluation {settings.site}: {row['name']}: no finite {', '.join(without)}: left empty", file=sys.stderr)
    whole = dict.fromkeys(EVALUATION.names) | row | dict.fromkeys(without)
    tables.check(f"evaluation {settings.site}: {row['name']} ({evaluated.called})", whole, EVALUATION)
    return whole


def _write(output: Path, site: str, name: str, found: list[Evaluated], rows: list[dict[str, Any]]) -> None:
    """Step 4, for one dictionary: its rows, the firing frequencies of it as it is, what was fitted."""
    for evaluated in found:
        if evaluated.described.name != name:
            continue
        if evaluated.variant is not None and evaluated.variant.folder is not None:
            file = output / evaluated.variant.folder / f"{name}.safetensors"
            fitted_files.save(file, evaluated.variant.name, evaluated.fitted, evaluated.path)
        elif evaluated.variant is None:
            frequencies = [
                {"site": site, "name": name, "feature": feature, "frequency": frequency}
                for feature, frequency in enumerate(evaluated.reconstruction.frequency.tolist())
            ]
            tables.write(output / "rows" / f"{name}.frequency.parquet", frequencies, FREQUENCY)
    tables.write_json(output / "rows" / f"{name}.json", [row for row in rows if row["name"] == name])
