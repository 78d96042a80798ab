"""What interpretation by language models will cost, from params.yaml alone: before anything was made."""

from pathlib import Path

import numpy as np

from sparse_coding import grid, leaves, slices
from sparse_coding.interp.judge.forecast import forecast, resolution
from sparse_coding.interp.judge.judges import Judge, panel
from sparse_coding.interp.judge.running import Task
from sparse_coding.llm.ledger import Price
from sparse_coding.params import Params
from sparse_coding.slices import AutointerpLlmSlice

WORD = " word"  # a token of usual length
FRAGMENTS = 400


def of_params(params: Params) -> str:
    """A line a site, as if every feature were alive and nothing were answered yet."""
    lines = []
    for site in _sites(params):
        settings = slices.autointerp(params, site)
        assert isinstance(settings, AutointerpLlmSlice)
        lines.append(f"{site}: {_of_site(settings, params.dataset.fragment_tokens)}")
    return "\n".join([*lines, resolution(params.autointerp.features)])


def _sites(params: Params) -> list[str]:
    trained = grid.harvested_sites(params)
    return [*trained, *(control for site in trained if (control := grid.control_site(params, site)))]


def _of_site(settings: AutointerpLlmSlice, fragment_tokens: int) -> str:
    tokens = np.zeros((FRAGMENTS, fragment_tokens), np.int64)
    sampling = settings.sampling
    asked = panel(settings.scorer, settings.llm, Path(leaves.PROMPTS), [WORD], tokens, sampling.mode, sampling.seed)
    columns = sum(1 + scored.shuffled_null for scored in settings.members.values())
    tasks = [_usual(asked.judge, fragment_tokens)] * (columns * sampling.features)
    prices = settings.llm.connection.prices

    def price(model: str) -> Price:
        found = prices.get(model)
        return Price() if found is None else Price(found.prompt, found.completion)

    return f"{columns} samples, {forecast(asked, tasks, price, lambda request: None)}"


def _usual(judge: Judge, fragment_tokens: int) -> Task:
    """A feature that fires on a token of every second fragment."""
    activations = np.zeros((FRAGMENTS, fragment_tokens), np.float32)
    activations[::2, fragment_tokens // 2] = np.linspace(1, 2, len(activations[::2]))
    return Task("", "", judge.case(activations, 0, False))
