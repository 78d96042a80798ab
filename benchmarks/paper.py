"""What each deviation of the original does to results: `python -m benchmarks.paper`, after `make plot`.

Dictionaries (tied or untied, 4 features a dimension) are trained on the default's activations of layer 2 with the
default's settings and one deviation, for some L1 and three seeds. FVU and the share of dead features are on held-out
vectors at an L0 of 10, interpolated between neighbouring L1 (FVU and log L0), and the token-rules score is that of the
dictionary whose L0 is nearest to 10. Then the original's baselines and its choice of features and fragments. Rows go
into benchmarks/results.json; docs/paper.md has them.
"""

import itertools
import math
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import results
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.core.metrics.reconstruction import Reconstruction
from sparse_coding.errors import BadInput
from sparse_coding.interp.cases import Feature, Fragments
from sparse_coding.interp.codes import _encode, fragment_ids
from sparse_coding.interp.fragments import Choice, Mode, choose_features
from sparse_coding.interp.token_rules import panel
from sparse_coding.io import dictionaries as files
from sparse_coding.io import tokens as token_files
from sparse_coding.io.activations import Split, open_activations
from sparse_coding.settings import grid, params_file, slices
from sparse_coding.settings.params import Params
from sparse_coding.stages import baselines, dictionaries

SITE = "layer2_residual"
ACTIVATIONS, TOKENS = Path(f"results/activations/{SITE}.h5"), Path("results/dataset/tokens.h5")
L0, SEEDS, FEATURES, BATCH = 10.0, (0, 1, 2), 100, 8192
L1 = (0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.008)
NO_SCHEDULE = {"warmup_share": 0.0, "decay_share": 0.0, "l1_warmup_share": 0.0}
WEIGHTS = {"initial_weights": "xavier", "free_lengths": True}
ORIGINAL = {
    "legacy_adam": True,
    "initial_density": None,
    **WEIGHTS,
    **NO_SCHEDULE,
    "lr": 1e-3,
}
TRAINING: dict[str, tuple[str, dict[str, Any]]] = {
    "ours": ("tied", {}),
    "legacy_adam": ("tied", {"legacy_adam": True}),
    "initial_weights: xavier": ("tied", {"initial_weights": "xavier"}),
    "free_lengths": ("tied", {"free_lengths": True}),
    "xavier and free_lengths": ("tied", WEIGHTS),
    "no warm-up, no decay": ("tied", NO_SCHEDULE),
    "initial_density: null": ("tied", {"initial_density": None}),
    "normalise: false": ("tied", {"normalise": False}),
    "all but normalise, lr 0.001": ("tied", ORIGINAL),
    "the same, Adam as it should be": ("tied", ORIGINAL | {"legacy_adam": False}),
    "untied, ours": ("untied", {}),
    "untied, learned_centre: false": ("untied", {"learned_centre": False}),
    "untied, initial_weights: xavier": ("untied", {"initial_weights": "xavier"}),
    "untied, all but normalise, lr 0.001": ("untied", ORIGINAL | {"learned_centre": False}),
}
LONG = {"steps": 8192}
LONG_TRAINING: dict[str, tuple[str, dict[str, Any]]] = {
    "8,192 steps, all but normalise, lr 0.001": ("tied", ORIGINAL | LONG),
    "8,192 steps, Adam as it should be": ("tied", ORIGINAL | LONG | {"legacy_adam": False}),
    "8,192 steps, ours": ("tied", LONG),
}


@dataclass(frozen=True)
class Quality:
    """One dictionary on held-out vectors, and its mean token-rules score."""

    l0: float
    fvu: float
    dead: float


def quality(dictionary: Dictionary, split: Split, mean: torch.Tensor) -> Quality:
    """FVU, L0 and the share of dead features on a split."""
    found = Reconstruction(mean, dictionary.n_feat, n_clusters=1)
    for start in range(0, split.n_rows, BATCH):
        x = split.read(start, min(start + BATCH, split.n_rows))
        codes = dictionary.encode(x)
        found.add(x, codes, dictionary.decode(codes), torch.zeros(len(x), dtype=torch.long))
    return Quality(found.l0.value or 0.0, found.fvu.value or math.nan, found.dead / dictionary.n_feat)


def at_l0(qualities: list[Quality], wanted: float) -> Quality | None:
    """FVU and dead share at an L0 between two dictionaries, linear in log L0; None where it is outside of all."""
    ordered = sorted(qualities, key=lambda each: each.l0)
    for low, high in itertools.pairwise(ordered):
        if low.l0 <= wanted <= high.l0:
            share = math.log(wanted / low.l0) / math.log(high.l0 / low.l0) if high.l0 > low.l0 else 0.0
            return Quality(wanted, low.fvu + share * (high.fvu - low.fvu), low.dead + share * (high.dead - low.dead))
    return None


class Bench:
    """The default's activations of one site, and what is measured on them."""

    def __init__(self, file: Any, params: Params) -> None:
        text = token_files.load(TOKENS)
        self.params, self.file, self.fragments = params, file, file.split("fragments")
        self.ids = fragment_ids(ACTIVATIONS, self.fragments, text)
        self.words = text.vocabulary
        held_out = file.split("held_out")
        self.held_out, self.mean = held_out, held_out.read(0, held_out.n_rows).double().mean(0)

    def train(self, architecture: str, changes: dict[str, Any], seed: int, folder: Path) -> list[Dictionary]:
        """A dictionary for each L1. On vectors that are not scaled, an L1 means the same times their mean norm."""
        scale = self.file.mean_norm if changes.get("normalise") is False else 1.0
        raw = self.params.model_dump(mode="json")
        raw["grid"] |= {"sites": [SITE], "architectures": [architecture], "ratios": [4], "seeds": [seed], "only": []}
        raw["grid"]["l1"] = [value * scale for value in L1]
        own = raw["dictionaries"][architecture]
        raw["dictionaries"] |= {key: value for key, value in changes.items() if key not in own}
        own |= {key: value for key, value in changes.items() if key in own}
        cell = grid.cells(params := Params.model_validate(raw), SITE)[0]
        settings = slices.dictionaries(params, cell)
        dictionaries.run(settings, activations=ACTIVATIONS, output=folder, threads=1)
        return [files.load(folder / f"{name}.safetensors") for name in cell.member_names]

    def score(self, dictionary: Dictionary, choice: Choice = "sample", mode: Mode = "nonzero") -> float:
        """The mean token-rules score of 100 features."""
        scorer = panel(Fragments(self.ids, self.words, 0), 3, mode)
        features = choose_features(dictionary.n_feat, FEATURES, 0, choice)
        codes = _encode(dictionary, self.fragments, features).reshape(len(features), *self.ids.shape)
        pairs = zip(features, codes, strict=True)
        scores = [score for pair in pairs for score in scorer.computed(Feature(*pair)).values()]
        return float(np.mean([each.top_and_random for each in scores if each.top_and_random is not None]))


def row(what: str, values: list[float], unit: str, note: str = "") -> dict[str, Any]:
    """The mean of seeds with the least and the most."""
    spread = {"value": statistics.fmean(values), "least": min(values), "most": max(values)}
    return {"what": what, **{key: round(value, 4) for key, value in spread.items()}, "unit": unit, "note": note}


def training_rows(
    bench: Bench, name: str, architecture: str, changes: dict[str, Any], seeds: tuple[int, ...] = SEEDS
) -> list[dict[str, Any]]:
    """FVU and dead share at L0 10, and the score of the dictionary nearest to it."""
    measured, scores = [], []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            try:
                made = bench.train(architecture, changes, seed, Path(folder))
            except ArithmeticError as error:
                return [{"what": name, "value": math.nan, "unit": "", "note": str(error)}]
        found = [quality(dictionary, bench.held_out, bench.mean) for dictionary in made]
        there = at_l0(found, L0)
        if there is None:
            note = ", ".join(
                f"L1 {l1:g}: L0 {each.l0:.1f}, FVU {each.fvu:.3f}" for l1, each in zip(L1, found, strict=True)
            )
            return [
                {
                    "what": f"{name}: no L0 of 10",
                    "value": min(each.l0 for each in found),
                    "unit": "least L0",
                    "note": note,
                }
            ]
        measured.append(there)
        nearest = min(range(len(made)), key=lambda index: abs(math.log(max(found[index].l0, 1e-9) / L0)))
        scores.append(bench.score(made[nearest]))
    return [
        row(f"{name}: FVU at L0 10", [each.fvu for each in measured], "share"),
        row(f"{name}: dead at L0 10", [each.dead for each in measured], "share"),
        row(f"{name}: token-rules score", scores, "correlation"),
    ]


def baseline_rows(bench: Bench) -> list[dict[str, Any]]:
    """Each baseline as ours and as the original's: FVU at k = 8, and the score of the dense one."""
    rows: list[dict[str, Any]] = []
    for original in (False, True):
        changed = bench.params.baselines.model_copy(update={"original": original, "topk": (8,)})
        settings = slices.baselines(bench.params.model_copy(update={"baselines": changed}), SITE)
        with tempfile.TemporaryDirectory() as folder:
            kept = {name: member for name, member in settings.members.items() if name != "nmf"}
            wanted = settings.model_copy(update={"members": kept})
            baselines.run(wanted, activations=ACTIVATIONS, output=Path(folder), threads=1)
            made = {name: files.load(Path(folder) / f"{name}.safetensors") for name in kept}
        whose = "the original's" if original else "ours"
        for name, dictionary in made.items():
            fvu = quality(dictionary, bench.held_out, bench.mean).fvu
            rows.append(row(f"{name}, {whose}: FVU", [fvu], "share"))
            if name in bench.params.baselines.methods:
                rows.append(row(f"{name}, {whose}: token-rules score", [bench.score(dictionary)], "correlation"))
    return rows


def scoring_rows(bench: Bench) -> list[dict[str, Any]]:
    """The default's dictionaries under each choice of features and fragments; and FVU on what they were trained on."""
    paths = {
        "tied r4, L1 0.002": Path(f"results/dictionaries/{SITE}/tied_r4_l1-0.002_s0.safetensors"),
        **{name: Path(f"results/baselines/{SITE}/{name}.safetensors") for name in ("pca", "ica", "random")},
    }
    rows: list[dict[str, Any]] = []
    for name, path in paths.items():
        dictionary = files.load(path)
        asked: tuple[tuple[str, Choice, Mode], ...] = (
            ("a sample, nonzero", "sample", "nonzero"),
            ("the first, nonzero", "first", "nonzero"),
            ("a sample, original", "sample", "original"),
            ("the first, original", "first", "original"),
        )
        for label, choice, mode in asked:
            rows.append(row(f"{name}: score, {label}", [bench.score(dictionary, choice, mode)], "correlation"))
    learned = files.load(paths["tied r4, L1 0.002"])
    train = bench.file.split("train")
    mean = torch.stack(
        [train.read(i, min(i + BATCH, train.n_rows)).double().sum(0) for i in range(0, train.n_rows, BATCH)]
    )
    for label, split, centre in (
        ("held-out", bench.held_out, bench.mean),
        ("training", train, mean.sum(0) / train.n_rows),
    ):
        rows.append(row(f"tied r4, L1 0.002: FVU on {label} vectors", [quality(learned, split, centre).fvu], "share"))
    return rows


def main(said: Callable[[str], object] = print) -> None:
    """Measure on one thread, print, and write the rows."""
    if not ACTIVATIONS.exists():
        raise BadInput(ACTIVATIONS, "nothing", "the default's activations: `make plot` first")
    torch.set_num_threads(1)
    with open_activations(ACTIVATIONS) as file:
        bench, found = Bench(file, params_file.load(Path("params.yaml"))), []
        parts: list[Callable[[], list[dict[str, Any]]]] = [
            *(lambda name=name, of=of: training_rows(bench, name, *of) for name, of in TRAINING.items()),
            *(
                lambda name=name, of=of: training_rows(bench, name, *of, seeds=(0,))
                for name, of in LONG_TRAINING.items()
            ),
            lambda: baseline_rows(bench),
            lambda: scoring_rows(bench),
        ]
        for part in parts:
            for each in (rows := part()):
                spread = f"{each.get('least', '')} {each.get('most', '')}"
                said(f"{each['what']:60} {each['value']:8.4f} {spread} {each['note']}")
            found += rows
    results.merge("paper", {"machine": results.machine(("torch", "numpy", "scikit-learn")), "rows": found, "notes": []})


if __name__ == "__main__":
    main()
