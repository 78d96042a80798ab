"""Stage autointerp: how well short explanations predict the features of each dictionary.

1. Read the interpretation fragments: token ids, the vocabulary, and the site's activations on them.
2. For each dictionary, draw a seeded sample of its features and encode every fragment.
3. Explain each feature from five of its top fragments; score the explanation on others.
4. Do it again for one dictionary with positions shuffled inside fragments: a null, whose scores must be about 0.
5. Write a table for each dictionary.
"""

from collections.abc import Callable, Sequence
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
from sparse_coding.slices import AutointerpSlice, Scored

ENCODE_ROWS = 4096  # vectors encoded at a time
PLAIN, NULL = "plain", "shuffled_null"


def run(
    settings: AutointerpSlice,
    *,
    activations: Path,
    tokens: Path,
    dictionaries: list[Path],
    output: Path,
    threads: int,
    done: Callable[[str], object] = lambda name: None,
) -> None:
    """Score `dictionaries` (in the order of settings.members) into the folder `output`; `done` hears of each.

    Rows depend on the dictionary, the fragments and the seed alone. Raises BadInput where files do not belong together.
    """
    named = _named(settings, dictionaries)
    text = token_files.load(tokens)
    with open_activations(activations) as file:
        fragments = file.split("fragments")
        ids = _checked_ids(activations, fragments, text)
        scorer = Scorer(
            TokenRulesExplainer(text.vocabulary, settings.scoring.rules),
            TokenRulesSimulator(text.vocabulary),
            ids,
            settings.scoring.seed,
        )

        def score(scored: Scored) -> str:
            features, codes = _sampled_codes(settings, fragments, named[scored.name], file.d_act)
            codes = codes.reshape(len(features), *ids.shape)
            for condition in [PLAIN, NULL] if scored.shuffled_null else [PLAIN]:
                rows = _rows(settings, scored, condition, scorer, features, codes)
                suffix = "" if condition == PLAIN else f".{condition}"
                tables.write(output / f"{scored.name}{suffix}.parquet", rows, tables.AUTOINTERP)
            return scored.name

        # One thread a dictionary, and one inside each: sums then do not depend on how many there are.
        torch.set_num_threads(1)
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            finished = pool.map(score, settings.members.values())
            for name in tqdm(finished, desc="autointerp", unit="dictionary", total=len(named)):
                done(name)


def _named(settings: AutointerpSlice, paths: Sequence[Path]) -> dict[str, Path]:
    names = list(settings.members)
    if [path.stem for path in paths] != names:
        raise BadInput("dictionaries", ", ".join(path.stem for path in paths), f"in this order {', '.join(names)}")
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
    features = sample_features(dictionary.n_feat, settings.scoring.features, settings.scoring.seed)
    return features, _encode(dictionary, fragments, features)


def _encode(
    dictionary: Dictionary, fragments: Split, features: Int[np.ndarray, " sampled"]
) -> Float[np.ndarray, "sampled row"]:
    codes, chosen = np.empty((len(features), fragments.n_rows), np.float32), torch.from_numpy(features)
    for start in range(0, fragments.n_rows, ENCODE_ROWS):
        stop = min(start + ENCODE_ROWS, fragments.n_rows)
        codes[:, start:stop] = dictionary.encode_features(fragments.read(start, stop), chosen).numpy().T
    return codes


def _rows(
    settings: AutointerpSlice,
    scored: Scored,
    condition: str,
    scorer: Scorer,
    features: Int[np.ndarray, " sampled"],
    codes: Float[np.ndarray, "sampled fragment token"],
) -> list[tables.Row]:
    about = {
        "site": settings.site,
        **scored.model_dump(exclude={"shuffled_null"}),
        "condition": condition,
        "scorer": settings.scoring.scorer,
        "simulator": "rules",
        "mode": settings.scoring.mode,
    }
    scores = [
        scorer.score(int(feature), activations, shuffled=condition == NULL)
        for feature, activations in zip(features, codes, strict=True)
    ]
    return [about | asdict(score) for score in scores]
