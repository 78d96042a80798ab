"""Stage autointerp: how well short explanations predict the features of each dictionary.

1. Read the interpretation fragments: token ids, the vocabulary, and the site's activations on them.
2. For each dictionary, draw a seeded sample of its features and encode every fragment.
3. Explain each feature from five of its top fragments; score the explanation on others.
4. Do it again for one dictionary with positions shuffled inside fragments: a null, whose scores must be about 0.
5. Write a table for each dictionary, and all of them gathered.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from tqdm import tqdm

from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput
from sparse_coding.interp.fragments import sample_features
from sparse_coding.interp.scores import Scorer
from sparse_coding.interp.token_rules import TokenRulesExplainer, TokenRulesSimulator
from sparse_coding.io import dictionaries as dictionary_files
from sparse_coding.io import tables
from sparse_coding.io import tokens as token_files
from sparse_coding.io.activations import Split, open_activations
from sparse_coding.slices import AutointerpSlice, Described

ENCODE_ROWS = 1024  # vectors encoded at a time: their codes stay in the cache of the processor
PLAIN, NULL = "plain", "shuffled_null"


def run(
    settings: AutointerpSlice, *, activations: Path, tokens: Path, dictionaries: list[Path], output: Path, threads: int
) -> None:
    """Score `dictionaries` (in the order of settings.dictionaries) into the folder `output`.

    Rows depend on the dictionary, the fragments and the seed alone. Raises BadInput where files do not belong together.
    """
    named = _named(settings, dictionaries)
    text = token_files.load(tokens)
    with open_activations(activations) as file:
        fragments = file.split("fragments")
        ids = _checked_ids(activations, fragments, text)
        scorer = Scorer(
            TokenRulesExplainer(text.vocabulary, settings.autointerp.rules),
            TokenRulesSimulator(text.vocabulary),
            ids,
            settings.autointerp.seed,
        )

        def score(described: Described) -> dict[str, list[tables.Row]]:
            features, codes = _sampled_codes(settings, fragments, named[described.name], file.d_act)
            codes = codes.reshape(len(features), *ids.shape)
            conditions = [PLAIN, NULL] if described.name == settings.shuffled_null else [PLAIN]
            found = {kind: _rows(settings, described, kind, scorer, features, codes) for kind in conditions}
            for condition, rows in found.items():
                suffix = "" if condition == PLAIN else f".{condition}"
                tables.write(output / f"{described.name}{suffix}.parquet", rows, tables.AUTOINTERP)
            return found

        # One thread a dictionary, and one inside each: sums then do not depend on how many there are.
        torch.set_num_threads(1)
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            scored = pool.map(score, settings.dictionaries)
            done = list(tqdm(scored, desc="autointerp", unit="dictionary", total=len(named)))
    gathered = [row for condition in (PLAIN, NULL) for found in done for row in found.get(condition, [])]
    tables.write(output / "table.parquet", gathered, tables.AUTOINTERP)


def _named(settings: AutointerpSlice, paths: Sequence[Path]) -> dict[str, Path]:
    names = [described.name for described in settings.dictionaries]
    if [path.stem for path in paths] != names:
        raise BadInput("dictionaries", ", ".join(path.stem for path in paths), f"in this order {', '.join(names)}")
    if settings.shuffled_null is not None and settings.shuffled_null not in names:
        raise BadInput("shuffled_null", settings.shuffled_null, f"one of {', '.join(names)}")
    return dict(zip(names, paths, strict=True))


def _checked_ids(path: Path, fragments: Split, text: token_files.Tokens) -> Int[np.ndarray, "fragment token"]:
    """Token ids [fragment, token] without BOS; the rows of the activations must be these, in this order."""
    ids = text.fragments[:, text.fragments.shape[1] - text.fragment_tokens :]
    if not np.array_equal(fragments.token, ids.ravel()):
        raise BadInput(f"{path}: fragments", "other tokens", "the tokens of the token file; make the activations again")
    return ids


def _sampled_codes(
    settings: AutointerpSlice, fragments: Split, path: Path, d_act: int
) -> tuple[Int[np.ndarray, " sampled"], Float[np.ndarray, "sampled row"]]:
    """The features to score, and their codes on every vector of the fragments."""
    dictionary = dictionary_files.load(path)
    if dictionary.d_act != d_act:
        raise BadInput(path, f"d_act {dictionary.d_act}", f"{d_act}, as the activations have")
    features = sample_features(dictionary.n_feat, settings.autointerp.features, settings.autointerp.seed)
    return features, _encode(dictionary, fragments, features)


def _encode(
    dictionary: Dictionary, fragments: Split, features: Int[np.ndarray, " sampled"]
) -> Float[np.ndarray, "sampled row"]:
    codes = np.empty((len(features), fragments.n_rows), np.float32)
    for start in range(0, fragments.n_rows, ENCODE_ROWS):
        stop = min(start + ENCODE_ROWS, fragments.n_rows)
        codes[:, start:stop] = dictionary.encode(fragments.read(start, stop)).numpy()[:, features].T
    return codes


def _rows(
    settings: AutointerpSlice,
    described: Described,
    condition: str,
    scorer: Scorer,
    features: Int[np.ndarray, " sampled"],
    codes: Float[np.ndarray, "sampled fragment token"],
) -> list[tables.Row]:
    about = {
        "site": settings.site,
        **described.model_dump(),
        "condition": condition,
        "scorer": settings.autointerp.scorer,
        "simulator": "rules",
        "mode": settings.autointerp.mode,
    }
    scores = [
        scorer.score(int(feature), activations, shuffled=condition == NULL)
        for feature, activations in zip(features, codes, strict=True)
    ]
    return [about | asdict(score) for score in scores]
