"""What the offline scorer costs on one core, and its parts: `python -m benchmarks.scorer`.

150 features of one dictionary (d_act 512, 2,048 features) on 10,000 fragments of 64 tokens, by the functions of stage
autointerp. Vectors and dictionary are made up: some features fire on one token of the vocabulary, others after one,
and the rest at random. Then the same for 100 features on 4,000 fragments in the sizes of the default, 128 and 512.
Rows go into benchmarks/results.json.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import results
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.interp import fragments as choosing
from sparse_coding.interp.cases import Feature, Fragments
from sparse_coding.interp.codes import _encode
from sparse_coding.interp.explainers import Records
from sparse_coding.interp.panel import Panel
from sparse_coding.interp.scores import correlation
from sparse_coding.interp.simulation import Simulation
from sparse_coding.interp.token_rules import TokenRulesExplainer, TokenRulesSimulator
from sparse_coding.io.activations import ActivationsWriter, Header, Split, open_activations

RUNS, VOCABULARY, TOKENS, SEED = 3, 4096, 64, 0


@dataclass(frozen=True)
class Size:
    """A case: dimensions, features of the dictionary, fragments, features that are scored."""

    name: str
    d_act: int
    n_feat: int
    n_fragments: int
    sampled: int


CASES = (Size("d 512, n 2048", 512, 2048, 10_000, 150), Size("like the default", 128, 512, 4_000, 100))


def vocabulary() -> list[str]:
    """Made-up words, digits, punctuation and capitals, with and without a space before them."""
    stems = [f"{a}{b}{c}" for a in "bcdfghklmnprst" for b in "aeiou" for c in ("", "n", "r", "st", "ng", "lo", "mi")]
    forms = [form for stem in stems for form in (stem, f" {stem}", f" {stem.capitalize()}", f" {stem.upper()}")]
    texts = [*(str(number) for number in range(100)), *".,;:()[]{}+-*/=\n", *forms]
    texts += [*(f" {stem}{stem}" for stem in stems), *(f"w{number}" for number in range(VOCABULARY))]
    return list(dict.fromkeys(texts))[:VOCABULARY]


def made_up(size: Size) -> tuple[np.ndarray, Callable[[int, int], torch.Tensor], dict[str, Dictionary]]:
    """Token ids [fragment, token]; the vectors of some rows; dictionaries by name of their activation.

    A vector is the atom of its token, half the atom of the token before it, and noise.
    """
    draws = np.random.default_rng(SEED)
    frequencies = 1 / np.arange(1, VOCABULARY + 1)
    ids = draws.choice(VOCABULARY, (size.n_fragments, TOKENS), p=frequencies / frequencies.sum())
    generator = torch.Generator().manual_seed(SEED)
    atoms = torch.nn.functional.normalize(torch.randn(size.n_feat, size.d_act, generator=generator), dim=1)
    now = ids.ravel() % size.n_feat
    before = (np.concatenate([[0], ids.ravel()[:-1]]) * 31) % size.n_feat

    def vectors(start: int, stop: int) -> torch.Tensor:
        noise = torch.randn(stop - start, size.d_act, generator=torch.Generator().manual_seed(start))
        return atoms[now[start:stop]] + atoms[before[start:stop]] / 2 + noise / size.d_act**0.5

    ones, zeros = torch.ones(size.n_feat), torch.zeros(size.d_act)
    parts = (atoms, -0.25 * ones, atoms, zeros, ones)
    return ids, vectors, {"relu": Dictionary(*parts), "topk": Dictionary(*parts, activation="topk", k=32)}


def written(path: Path, size: Size, ids: np.ndarray, vectors: Callable[[int, int], torch.Tensor]) -> None:
    """An activations file with the fragments, and as few other vectors as the format allows."""
    header = Header("layer0_residual", "made up", "made up", "float16", size.d_act, block_rows=4096)
    token = ids.ravel().astype(np.int32)
    rows = {"train": 4096, "held_out": 4096, "fragments": len(token)}
    with ActivationsWriter(path, header, rows) as writer:  # type: ignore[arg-type]
        for split, n_rows in rows.items():
            for start in range(0, n_rows, 4096):
                part = token[start : min(start + 4096, n_rows)]
                place = np.arange(start, start + len(part), dtype=np.int32)
                writer.append(split, vectors(start, start + len(part)), part, place // TOKENS, place % TOKENS)  # type: ignore[arg-type]


class Clock:
    """Processor seconds by part, of several runs: other work on the machine does not count."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    def call(self, part: str, function: Callable[[], Any]) -> Any:
        """What `function` returns; its time counts for `part`."""
        began = time.process_time()
        result = function()
        self.seconds.setdefault(part, []).append(time.process_time() - began)
        return result


def run(clock: Clock, dictionary: Dictionary, split: Split, size: Size, text: Fragments) -> None:
    """One dictionary: whole, by the functions of the stage; then what scoring consists of, part by part."""
    explainer, simulator = TokenRulesExplainer(text.vocabulary, 3), TokenRulesSimulator(text.vocabulary)
    rules = Panel(explainer, Simulation(text, simulator))
    features = choosing.choose_features(dictionary.n_feat, size.sampled, SEED)
    began = time.process_time()
    codes = clock.call("encoding", lambda: _encode(dictionary, split, features)).reshape(
        size.sampled, *text.tokens.shape
    )
    pairs = list(zip(features.tolist(), codes, strict=True))
    scores = [score for pair in pairs for score in rules.computed(Feature(*pair)).values()]
    clock.seconds.setdefault("all", []).append(time.process_time() - began)
    assert {"ok"} <= {score.status for score in scores}, "no feature could be scored"

    selections = clock.call("selection", lambda: [choosing.select(x.max(axis=1), f, SEED) for f, x in pairs])
    records = [
        (Records(text.tokens[c.train], x[c.train]), np.concatenate([c.top, c.random]), x)
        for c, (_, x) in zip(selections, pairs, strict=True)
        if c is not None
    ]
    found = clock.call("explaining", lambda: [explainer.explained(shown) for shown, _, _ in records])
    tested = [(rules, text.tokens[used], x[used]) for rules, (_, used, x) in zip(found, records, strict=True)]
    predicted = clock.call("simulating", lambda: [simulator.levels(found, ids) for found, ids, _ in tested])
    clock.call("scoring", lambda: [correlation(x, p) for (_, _, x), p in zip(tested, predicted, strict=True)])


def rows_of(size: Size, activation: str, clock: Clock) -> list[dict[str, Any]]:
    """Rows for benchmarks/results.json: the median of the runs, with the least and the most."""
    about = f"{size.sampled} features, {size.n_fragments} fragments of {TOKENS} tokens, processor time of one core"
    return [
        {
            "what": f"{size.name}, {activation}: {part}",
            "value": round(statistics.median(seconds), 3),
            "unit": "s",
            "least": round(min(seconds), 3),
            "most": round(max(seconds), 3),
            "note": about,
        }
        for part, seconds in clock.seconds.items()
    ]


def main() -> None:
    """Measure on one core, print, and write the rows."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    words, found = vocabulary(), []
    for size in CASES:
        ids, vectors, dictionaries = made_up(size)
        text = Fragments(ids, words, SEED)
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "layer0_residual.h5"
            written(path, size, ids, vectors)
            with open_activations(path) as file:
                for activation, dictionary in dictionaries.items():
                    clock = Clock()
                    for _ in range(RUNS):
                        run(clock, dictionary, file.split("fragments"), size, text)
                    found += rows_of(size, activation, clock)
    for row in found:
        print(f"{row['what']:40} {row['value']:8.3f} {row['unit']}  ({row['least']:.3f} to {row['most']:.3f})")
    results.merge("scorer", found)


if __name__ == "__main__":
    main()
