"""How scores hang on what the explainer sees: counts and quantiles, with the known model of the tests as all models.

Needs the default's activations of layer2_residual and its dictionaries (`dvc pull`). Prints a Markdown table.

    .venv/bin/snakemake --cores 2 results/activations/layer2_residual.h5
    .venv/bin/python -m benchmarks.shown
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from tests.model_mind import Mind

from sparse_coding.interp.cases import Feature, Fragments
from sparse_coding.interp.codes import chosen_codes, fragment_ids
from sparse_coding.interp.judge.forecast import BYTES_PER_TOKEN
from sparse_coding.interp.judge.judges import panel
from sparse_coding.interp.judge.questions import together
from sparse_coding.interp.measures import BY_SCORER, SCORED
from sparse_coding.interp.panel import Panel
from sparse_coding.interp.scores import FeatureScore
from sparse_coding.io import tokens as token_files
from sparse_coding.io.activations import open_activations
from sparse_coding.llm.request import Request
from sparse_coding.settings.params import Llm

SITE, TOKENS = Path("results/activations/layer2_residual.h5"), Path("results/dataset/tokens.h5")
NAMES = ("tied_r4_l1-0.002_s0", "topk_r4_k8_s0", "pca", "random")
FEATURES, SEED = 60, 0
SHOWN = ((5, None), (10, None), (20, None), (5, 5), (10, 5), (10, 10), (20, 10), (40, 10))
SCORERS = ("simulation", "detection", "fuzzing")


class Known:
    """Stands for a client: the model is asked at once, and nothing is kept. prompts: bytes of the explainer's."""

    def __init__(self) -> None:
        self.mind, self.prompts = Mind(), []
        self.reach = SimpleNamespace(in_flight=1)

    async def ask(self, request: Request) -> dict[str, Any]:
        """The answer to it."""
        if request.model == "explains":
            self.prompts.append(len(str(request.body["messages"]).encode()))
        return {"choices": [self.mind.chat(dict(request.body))]}

    def known(self, request: Request) -> None:
        """Nothing is kept."""


async def scored(asked: Panel, client: Any, codes: np.ndarray, features: np.ndarray) -> list[FeatureScore]:
    """The rows of the features of one dictionary, by the last source, which every answer has."""
    rows = []
    for feature, activations in zip(features, codes, strict=True):
        case = asked.judge.case(Feature(int(feature), activations))
        if isinstance(case, FeatureScore):
            rows.append(case)
        elif asked.explainer is not None:
            words = await together(client, asked.explainer.questions(case.train))
            said = asked.explainer.explained(case.train, words)
            answers = await together(client, asked.judge.questions(said, case))
            rows.append(asked.scores(said, case, answers)[asked.judge.sources[-1]])
    return rows


def measured() -> Iterator[list[str]]:
    """A line for each choice and scorer: means over features, how many were scored, tokens of a prompt."""
    text = token_files.load(TOKENS)
    with open_activations(SITE) as file:
        fragments = file.split("fragments")
        ids = fragment_ids(SITE, fragments, text)
        found = {}
        for name in NAMES:
            folder = "dictionaries" if "_" in name else "baselines"
            path = next(Path("results", folder, SITE.stem).rglob(f"{name}.safetensors"))
            features, codes = chosen_codes(path, fragments, file.d_act, FEATURES, SEED)
            found[name] = features, codes.reshape(len(features), *ids.shape)
    for n, quantiles in SHOWN:
        for scorer in SCORERS:
            llm = Llm(explainer="explains", judge="judges", shown=n, quantiles=quantiles)
            asked = panel(scorer, llm, Path("prompts"), Fragments(ids, text.vocabulary, SEED), "nonzero")
            client, cells = Known(), []
            for features, codes in found.values():
                rows = asyncio.run(scored(asked, client, codes, features))
                values = [getattr(row, BY_SCORER[scorer].column) for row in rows if row.status in SCORED]
                cells.append(f"{np.mean(values):.3f} ({len(values)})")
            tokens = f"{np.mean(client.prompts) / BYTES_PER_TOKEN:,.0f}"
            yield [str(n), str(quantiles or "top"), scorer, *cells, tokens]


def main() -> None:
    """Print the table."""
    print("| " + " | ".join(["shown", "quantiles", "scorer", *NAMES, "prompt tokens"]) + " |")
    print("|---" * (len(NAMES) + 4) + "|")
    for line in measured():
        print("| " + " | ".join(line) + " |", flush=True)


if __name__ == "__main__":
    main()
