"""Run the stage that asks language models, against a server on this machine."""

from pathlib import Path
from typing import Any

from sparse_coding.io import judged, tables
from sparse_coding.settings.params import Connection, Llm, Sampling
from sparse_coding.settings.slices import AutointerpLlmSlice, Scored
from sparse_coding.stages import autointerp_llm
from tests.interp.site import DESCRIBED, SITE
from tests.workspace import ROOT

SEED = 6  # of the first four features the last is dead
PLENTY: dict[str, Any] = {"max_tokens": 10**9}
QUICK: dict[str, Any] = {"retry_wait": 0.01, "timeout": 20.0}


def settings(
    url: str,
    scorer: str = "simulation",
    described=DESCRIBED[:1],
    null: str | None = None,
    features: int = 4,
    partial: bool = False,
    mode: str = "nonzero",
    connection: dict[str, Any] = PLENTY,
    **llm: Any,
) -> AutointerpLlmSlice:
    """What the step is given; `connection` is about caps and the like, `llm` about what is asked."""
    reached = Connection(**{"base_url": url} | QUICK | {"cache": "unused"} | connection)
    caps = {name: getattr(reached, name) for name in ("max_cost", "max_tokens", "max_requests")}
    return AutointerpLlmSlice.model_validate(
        {
            "site": SITE,
            "members": {row.name: Scored(**row.model_dump(), shuffled_null=row.name == null) for row in described},
            "sampling": Sampling(features=features, seed=SEED, mode=mode),
            "scorer": scorer,
            "llm": Llm(**{"server": "here", "explainer": "explains", "judge": "judges", "connection": reached} | llm),
            "partial": caps if partial else None,
        }
    )


def run(inputs: Path, work: Path, asked: AutointerpLlmSlice, prompts: Path = ROOT / "prompts") -> list[dict]:
    """Score into `<work>/output`, with cache and ledger in `work`; all rows, dictionary by dictionary."""
    connection = asked.llm.connection.model_copy(update={"cache": str(work / "cache")})
    asked = asked.model_copy(update={"llm": asked.llm.model_copy(update={"connection": connection})})
    autointerp_llm.run(
        asked,
        activations=inputs / "site.h5",
        tokens=inputs / "tokens.h5",
        dictionaries=[inputs / f"{name}.safetensors" for name in asked.members],
        prompts=prompts,
        ledger=work / "ledger.sqlite",
        output=work / "output",
        threads=1,
    )
    return rows_in(work, asked)


def rows_in(work: Path, asked: AutointerpLlmSlice) -> list[dict]:
    """What a run wrote."""
    files = [
        work / "output" / f"{name}{suffix}.parquet"
        for name, scored in asked.members.items()
        for suffix in ("", *([".shuffled_null"] if scored.shuffled_null else []))
    ]
    return [row for file in files for row in tables.read(file, judged.JUDGED).to_pylist()]
