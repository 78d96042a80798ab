"""Stage plots: the figure that compares all dictionaries of a site, and its caption as text.

1. Read the tables of evaluation and autointerp, and of the random-weights control where there is one.
2. Refuse what cannot stand on one axis: other sites, two scorers, nothing at all. Of several sources take one.
3. Take lines, scores with their bootstrap intervals, and firing frequencies from them.
4. Draw, and write the figure and its caption; what the figure greys or lacks is said in the log too.
"""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow as pa

from sparse_coding import roles, variants
from sparse_coding.atomic import whole_file, write_text
from sparse_coding.core.metrics import headline, soundness
from sparse_coding.errors import BadInput
from sparse_coding.figures import caption as captions
from sparse_coding.figures import comparison, curves, frequencies, scorers, scores, style
from sparse_coding.figures.records import records
from sparse_coding.figures.scorers import Scorer
from sparse_coding.figures.scores import Scores
from sparse_coding.figures.subject import Subject, kept
from sparse_coding.interp.statistics import mean_interval
from sparse_coding.io import judged, tables
from sparse_coding.io.tables.evaluation import EVALUATION
from sparse_coding.io.tables.frequency import FREQUENCY
from sparse_coding.settings import sites
from sparse_coding.settings.slices import PlotsSlice

BOOTSTRAP_SEED = 0  # intervals are the same on every run


def run(
    settings: PlotsSlice,
    *,
    evaluation: Path,
    frequency: Path,
    autointerp: Path,
    output: Path,
    control: Path | None = None,
    environments: Sequence[dict[str, str]] = (),
) -> None:
    """Draw the figure of one site into `<output>/<site>.png` and write its caption beside it, `<site>.txt`.

    environments: libraries and processors that the numbers come from; the caption says where they differ. Raises
    BadInput for a table that is damaged, empty or of another site, and for scores that cannot stand on one axis.
    """
    evaluated = _read(evaluation, EVALUATION, settings.site)
    evaluated = evaluated[evaluated["tokens"].isna()]  # snapshots are not beside those of the end
    fired = _read(frequency, FREQUENCY, settings.site)
    by_file = {autointerp: _read(autointerp, judged.schema_of(autointerp), settings.site)}
    if control is not None:
        by_file[control] = _read(control, judged.schema_of(control), sites.parse(settings.site).control.name)
    scorer = scorers.shared(by_file)
    scored, *controls = (table[table["source"] == scorer.source] for table in by_file.values())

    interval = partial(mean_interval, resamples=settings.bootstrap, seed=BOOTSTRAP_SEED)
    lines = curves.curves(evaluated)
    score_rows = scores.rows(scored, next(iter(controls), None), evaluated, scorer.measure.column, interval)
    trained = [row.name for row in score_rows if row.group in ("learned", "published")]
    frequency_rows = frequencies.rows(fired, evaluated, trained)
    subject = _subject(settings, evaluated, scorer, scored)
    words = captions.text(subject, evaluated, lines, score_rows, frequency_rows, environments)
    _warn(subject, evaluated, score_rows)

    drawn = comparison.figure(subject, lines, score_rows, frequency_rows, words)
    picture = style.png(drawn, settings.plots.width, settings.plots.dpi)
    write_text(output / f"{settings.site}.txt", words + "\n")
    with whole_file(output / f"{settings.site}.png") as temporary:
        temporary.write_bytes(picture)


def _read(path: Path, schema: pa.Schema, site: str) -> pd.DataFrame:
    table = tables.read(path, schema).to_pandas()
    if not len(table):
        raise BadInput(path, "a table without rows", f"the rows of {site}")
    others = sorted(set(table["site"]) - {site})
    if others:
        raise BadInput(f"{path}: site", ", ".join(others), site)
    return table


def _subject(settings: PlotsSlice, evaluated: pd.DataFrame, scorer: Scorer, scored: pd.DataFrame) -> Subject:
    plain = evaluated[evaluated["variant"] == variants.PLAIN]
    whole = plain.loc[(plain["kind"] == roles.MAP) & plain["k"].isna(), "fvu"].dropna()
    return Subject(
        site=settings.site,
        model=settings.model,
        corpus=settings.corpus,
        train_tokens=settings.train_tokens,
        held_out=int(evaluated["n_vectors"].max()),
        d_act=int(evaluated["d_act"].iloc[0]),
        scorer=scorer,
        kept=kept(evaluated),
        n_learned=scores.n_learned(scored),
        advice=tuple(headline.advice(records(plain), set(scored["name"]))),
        map_fvu=float(whole.iloc[0]) if len(whole) else None,
    )


def _warn(subject: Subject, evaluated: pd.DataFrame, rows: list[Scores]) -> None:
    """On stderr, so in the log: dictionaries that are broken, means that tell little, and what is not scored."""
    said = [
        f"{row['name']} ({row['variant']}) {soundness.verdict(row['kind'])}: {row['broken']}"
        for _, row in evaluated[evaluated["broken"].notna()].iterrows()
    ]
    said += [f"{' '.join(row.label.split())} is greyed: {row.doubt}" for row in rows if row.doubt]
    for line in [*said, *subject.advice]:
        print(f"warning: {subject.site}: {line}", file=sys.stderr)
