"""What interpretation by language models will cost, from params.yaml alone: before anything was made.

With `--ask` the server is asked a few such questions, about a made-up feature: can it answer at all, and how many
tokens does its model make of a question?
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sparse_coding.errors import BadInput
from sparse_coding.interp.cases import Feature, Fragments
from sparse_coding.interp.judge.checking import Found, check
from sparse_coding.interp.judge.forecast import forecast, resolution
from sparse_coding.interp.judge.judges import panel
from sparse_coding.interp.judge.running import Task
from sparse_coding.interp.panel import Judge, Panel
from sparse_coding.llm.cache import Cache
from sparse_coding.llm.client import Client
from sparse_coding.llm.ledger import Price
from sparse_coding.llm.reaching import ledger_of, reach_of
from sparse_coding.settings import grid, outside, slices
from sparse_coding.settings.params import Params
from sparse_coding.settings.slices import AutointerpLlmSlice

WORD = " word"  # a token of usual length
FRAGMENTS = 400


def of_params(params: Params, bytes_per_token: Mapping[str, float] | None = None) -> str:
    """A line a site, as if every feature were alive and nothing were answered yet, at the full price of what is read.

    bytes_per_token: of models, where it was seen.
    """
    lines = [
        f"{site}: {_of_site(_settings(params, site), params.dataset.fragment_tokens, bytes_per_token or {})}"
        for site in _sites(params)
    ]
    return "\n".join([*lines, resolution(params.autointerp.features)])


def asked(params: Params) -> str:
    """The same once the server was asked. Raises BadInput where it cannot answer, or there is nothing to ask it."""
    sites = _sites(params)
    if not sites:
        raise BadInput("--ask", "no site that is interpreted", "a site in grid.sites")
    found = asyncio.run(_checked(_settings(params, sites[0]), params.dataset.fragment_tokens))
    return f"{found}\n{of_params(params, found.bytes_per_token)}"


async def _checked(settings: AutointerpLlmSlice, fragment_tokens: int) -> Found:
    """Ask within the caps of the settings and out of their cache, as a run does."""
    connection, who = settings.llm.connection, _panel(settings, fragment_tokens)
    book = ledger_of(connection, Path(outside.LEDGER))
    async with Client(reach_of(settings.llm), Cache(Path(connection.cache)), book) as client:
        return await check(client, who, [_usual(who.judge, fragment_tokens)])


def _settings(params: Params, site: str) -> AutointerpLlmSlice:
    settings = slices.autointerp(params, site)
    assert isinstance(settings, AutointerpLlmSlice)
    return settings


def _sites(params: Params) -> list[str]:
    trained = grid.harvested_sites(params)
    return [*trained, *(control for site in trained if (control := grid.control_site(params, site)))]


def _panel(settings: AutointerpLlmSlice, fragment_tokens: int) -> Panel:
    """As if all text were one word."""
    text = Fragments(np.zeros((FRAGMENTS, fragment_tokens), np.int64), [WORD], settings.sampling.seed)
    return panel(settings.scorer, settings.llm, Path(outside.PROMPTS), text, settings.sampling.mode)


def _of_site(settings: AutointerpLlmSlice, fragment_tokens: int, bytes_per_token: Mapping[str, float]) -> str:
    who = _panel(settings, fragment_tokens)
    columns = sum(1 + scored.shuffled_null for scored in settings.members.values())
    tasks = [_usual(who.judge, fragment_tokens)] * (columns * settings.sampling.features)
    prices = settings.llm.connection.prices

    def price(model: str) -> Price:
        found = prices.get(model)
        return Price() if found is None else Price(found.prompt, found.completion)

    return f"{columns} samples, {forecast(who, tasks, price, lambda request: None, bytes_per_token)}"


def _usual(judge: Judge, fragment_tokens: int) -> Task:
    """A feature that fires on a token of every second fragment."""
    activations = np.zeros((FRAGMENTS, fragment_tokens), np.float32)
    activations[::2, fragment_tokens // 2] = np.linspace(1, 2, len(activations[::2]))
    return Task("", "", judge.case(Feature(0, activations)))
