"""Stage autointerp, with token rules: how well short explanations predict the features of each dictionary.

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

from sparse_coding.errors import BadInput
from sparse_coding.interp.cases import Feature, Fragments
from sparse_coding.interp.codes import chosen_codes, fragment_ids
from sparse_coding.interp.panel import Panel
from sparse_coding.interp.token_rules import panel
from sparse_coding.io import tables, told
from sparse_coding.io import tokens as token_files
from sparse_coding.io.activations import open_activations
from sparse_coding.io.tables.autointerp import AUTOINTERP
from sparse_coding.settings.slices import AutointerpSlice, Scored

PLAIN, NULL = "plain", "shuffled_null"
RULES = "token-rules"


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
    members = [row.model_copy(update=told.published(row.kind, named[row.name])) for row in settings.members.values()]
    sampling, text = settings.sampling, token_files.load(tokens)
    with open_activations(activations) as file:
        fragments = file.split("fragments")
        ids = fragment_ids(activations, fragments, text)
        rules = panel(Fragments(ids, text.vocabulary, sampling.seed), settings.rules, sampling.mode)

        def score(scored: Scored) -> str:
            path = named[scored.name]
            features, codes = chosen_codes(
                path, fragments, file.d_act, sampling.features, sampling.seed, sampling.choice
            )
            codes = codes.reshape(len(features), *ids.shape)
            for condition in [PLAIN, NULL] if scored.shuffled_null else [PLAIN]:
                rows = _rows(settings, scored, condition, rules, features, codes)
                suffix = "" if condition == PLAIN else f".{condition}"
                tables.write(output / f"{scored.name}{suffix}.parquet", rows, AUTOINTERP)
            return scored.name

        # One thread a dictionary, and one inside each: sums then do not depend on how many there are.
        torch.set_num_threads(1)
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            finished = pool.map(score, members)
            for name in tqdm(finished, desc="autointerp", unit="dictionary", total=len(named)):
                done(name)


def _named(settings: AutointerpSlice, paths: Sequence[Path]) -> dict[str, Path]:
    names = list(settings.members)
    if [path.stem for path in paths] != names:
        raise BadInput("dictionaries", ", ".join(path.stem for path in paths), f"in this order {', '.join(names)}")
    return dict(zip(names, paths, strict=True))


def _rows(
    settings: AutointerpSlice,
    scored: Scored,
    condition: str,
    rules: Panel,
    features: Int[np.ndarray, " chosen"],
    codes: Float[np.ndarray, "chosen fragment token"],
) -> list[tables.Row]:
    about = {
        "site": settings.site,
        **scored.model_dump(exclude={"shuffled_null", "tokens"}),
        "condition": condition,
        **dict.fromkeys(("scorer", "explainer", "judge"), RULES),  # where a language model would stand
        "simulator": rules.judge.simulator,
        "prompts": rules.digest,
        "mode": settings.sampling.mode,
        "choice": settings.sampling.choice,
        "wanted": len(features),
    }
    return [
        about | {"source": source} | asdict(score)
        for feature, activations in zip(features, codes, strict=True)
        for source, score in rules.computed(Feature(int(feature), activations, condition == NULL)).items()
    ]
