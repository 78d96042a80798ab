"""Stage autointerp, with language models: explain features, and let a judge test the explanations.

1. For each dictionary, draw a seeded sample of its features and encode every fragment; keep what is asked about.
2. Ask a few of the questions first: can this server answer them at all? Then say what the run will ask for and cost,
   and what it can resolve.
3. Go through the features, one of each dictionary in turn, so that a cap leaves equally many of each.
4. Write a table for each dictionary; nothing at a cap or where the server left something unanswered, unless partial
   tables are wanted.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from sparse_coding.errors import BadInput
from sparse_coding.interp.cases import Feature, Fragments
from sparse_coding.interp.codes import chosen_codes, fragment_ids
from sparse_coding.interp.judge.checking import check
from sparse_coding.interp.judge.choosing import Shown
from sparse_coding.interp.judge.embedding import Embed
from sparse_coding.interp.judge.forecast import forecast, resolution
from sparse_coding.interp.judge.judged import cells
from sparse_coding.interp.judge.judges import panel
from sparse_coding.interp.judge.neighbours import near
from sparse_coding.interp.judge.publishing import Column, publishable
from sparse_coding.interp.judge.running import Answered, Outcome, Running, Task
from sparse_coding.interp.one_model import SEPARATOR
from sparse_coding.interp.panel import Panel
from sparse_coding.io import judged, tables, told
from sparse_coding.io import tokens as token_files
from sparse_coding.io.activations import open_activations
from sparse_coding.llm.cache import Cache
from sparse_coding.llm.client import Client, Reach
from sparse_coding.llm.ledger import Ledger
from sparse_coding.llm.reaching import ledger_of, listed, reach_of
from sparse_coding.settings.slices import AutointerpLlmSlice, Scored

PLAIN, NULL = "plain", "shuffled_null"
NOBODY = "nobody"  # explained


def run(
    settings: AutointerpLlmSlice,
    *,
    activations: Path,
    tokens: Path,
    dictionaries: list[Path],
    prompts: Path,
    ledger: Path,
    output: Path,
    threads: int,
    done: Callable[[str], object] = lambda name: None,
) -> None:
    """Score `dictionaries` (in the order of settings.members) into the folder `output`; `done` hears of each.

    prompts: the folder of their files; ledger: the database of all that was spent. Answers come from the cache where
    they are, so a run that was stopped goes on. Raises BadInput where files do not belong together or a server is of
    no use; Paused at a cap and Unanswered where answers are missing, both of them BadInput.
    """
    reach = reach_of(settings.llm)
    if [path.stem for path in dictionaries] != list(settings.members):
        raise BadInput("dictionaries", ", ".join(path.stem for path in dictionaries), ", ".join(settings.members))
    files = zip(settings.members.items(), dictionaries, strict=True)
    read = {name: row.model_copy(update=told.published(row.kind, path)) for (name, row), path in files}
    settings = settings.model_copy(update={"members": read})
    asked, columns = _prepared(settings, activations, tokens, dictionaries, prompts, threads)
    tasks = [task for row in zip_longest(*columns) for task in row if task is not None]
    connection = settings.llm.connection
    book = ledger_of(connection, ledger)
    is_partial = settings.partial is not None
    outcome = asyncio.run(_asked(reach, Cache(Path(connection.cache)), book, asked, tasks, is_partial))
    published = publishable(columns, tasks, outcome, is_partial, settings.llm.most_failed)
    if any(len(kept) < len(column) for kept, column in zip(published, columns, strict=True)):
        print(f"autointerp: tables of {max(map(len, published))} of {settings.sampling.features} features "
              f"({outcome.stopped})", flush=True)  # fmt: skip
    places = {id(task): place for place, task in enumerate(tasks)}
    for kept, column in zip(published, columns, strict=True):
        _write(settings, asked, [(places[id(task)], task) for task in kept], outcome, output, wanted=len(column))
    for name in settings.members:
        done(name)


def _prepared(
    settings: AutointerpLlmSlice, activations: Path, tokens: Path, dictionaries: list[Path], prompts: Path, threads: int
) -> tuple[Panel, list[Column]]:
    """Who asks, and what about: the cases of all features, without the codes that they were taken from."""
    sampling, text = settings.sampling, token_files.load(tokens)
    with open_activations(activations) as file:
        fragments = file.split("fragments")
        ids = fragment_ids(activations, fragments, text)
        of_site = Fragments(ids, text.vocabulary, sampling.seed)
        asked = panel(settings.scorer, settings.llm, prompts, of_site, sampling.mode, *_embedder(settings))

        case = asked.judge.case

        def columns_of(scored: Scored, path: Path) -> list[Column]:
            features, codes = chosen_codes(
                path, fragments, file.d_act, sampling.features, sampling.seed, sampling.choice
            )
            codes = codes.reshape(len(features), *ids.shape)
            others: list[Any] = [None] * len(features)
            if settings.llm.negatives == "nearest":
                others = list(near(path, fragments, features, ids.shape[1]))
            return [
                [
                    Task(scored.name, condition, case(Feature(int(feature), activation, condition == NULL, beside)))
                    for feature, activation, beside in zip(features, codes, others, strict=True)
                ]
                for condition in ([PLAIN, NULL] if scored.shuffled_null else [PLAIN])
            ]

        torch.set_num_threads(1)  # one inside each: sums then do not depend on how many there are
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            found = pool.map(columns_of, settings.members.values(), dictionaries)
            return asked, [column for columns in found for column in columns]


def _embedder(settings: AutointerpLlmSlice) -> tuple[Embed | None, str]:
    """What embeds texts, and its digest. Raises BadInput for a folder without such a model."""
    if settings.scorer != "embedding" or settings.llm.embedder is None:
        return None, ""
    from sparse_coding.lm.embedding import Embedder  # transformers takes seconds to import

    embedder = Embedder(Path(settings.llm.embedder).expanduser())
    return embedder, embedder.digest


async def _asked(
    reach: Reach, cache: Cache, ledger: Ledger, asked: Panel, tasks: Sequence[Task], is_partial: bool
) -> Outcome:
    """Check, forecast, then ask, with a bar that shows what was spent."""
    async with Client(reach, cache, ledger) as client:
        n = sum((task.dictionary, task.condition) == (tasks[0].dictionary, tasks[0].condition) for task in tasks)
        found = await check(client, asked, tasks, is_partial)
        coming = forecast(asked, tasks, ledger.price, found.known_before, found.bytes_per_token)
        if coming.known < coming.calls and not found.fresh:
            await listed(client)  # what is kept tells nothing of a server that is gone
        print(
            f"\nautointerp: {found}\nautointerp: {coming}\n{resolution(n)}\nSpent so far: {ledger.spent()}", flush=True
        )
        with tqdm(total=len(tasks), desc="autointerp", unit="feature") as bar:
            shown = 0.0

            def told() -> None:
                nonlocal shown
                if time.monotonic() - shown > 1:
                    shown = time.monotonic()
                    bar.set_postfix_str(str(ledger.spent()), refresh=False)
                bar.update()

            outcome = await Running(client, asked, tasks, told).all()
        print(f"Spent, all in all: {ledger.spent()}", flush=True)
        return outcome


def _write(
    settings: AutointerpLlmSlice,
    asked: Panel,
    column: list[tuple[int, Task]],
    outcome: Outcome,
    output: Path,
    wanted: int,
) -> None:
    """A file of one dictionary under one condition. column: its tasks, with their places in the run."""
    scored, condition = settings.members[column[0][1].dictionary], column[0][1].condition
    about = _about(settings, scored, condition, asked, wanted)
    rows = [
        {**about, **_by(outcome.answered.get(place)), "source": source, **cells(outcome.scores[place][source])}
        for source in asked.judge.sources
        for place, _ in column
    ]
    suffix = "" if condition == PLAIN else f".{condition}"
    tables.write(output / f"{scored.name}{suffix}.parquet", rows, judged.JUDGED)


def _by(answered: Answered | None) -> dict[str, str | None]:
    explained, judged = (SEPARATOR.join(sorted(names)) or None for names in answered or (set(), set()))
    return {"explainer_answered": explained, "judge_answered": judged}


def _about(settings: AutointerpLlmSlice, scored: Scored, condition: str, asked: Panel, wanted: int) -> dict[str, Any]:
    return {
        "site": settings.site,
        **scored.model_dump(exclude={"shuffled_null", "tokens"}),
        "condition": condition,
        "scorer": settings.scorer,
        "explainer": settings.llm.explainer if asked.explainer else NOBODY,
        "judge": settings.llm.embedder if settings.scorer == "embedding" else settings.llm.judge,
        "server": settings.llm.served_by,
        "shown": str(Shown(settings.llm.shown, settings.llm.quantiles)) if asked.explainer else "nothing",
        "simulator": asked.judge.simulator,
        "mode": settings.sampling.mode,
        "choice": settings.sampling.choice,
        "prompts": asked.digest,
        "wanted": wanted,
    }
