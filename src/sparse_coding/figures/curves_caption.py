"""What the caption says about panels a and b: what a point is, where PCA takes over, what lies beyond the axes."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from sparse_coding import methods, roles, variants
from sparse_coding.core.metrics import headline, soundness
from sparse_coding.figures import crossings, curves, panels
from sparse_coding.figures.crossings import Against
from sparse_coding.figures.curves import Curve
from sparse_coding.figures.records import records
from sparse_coding.figures.scores import described
from sparse_coding.figures.subject import Subject
from sparse_coding.figures.variant_looks import LOOKS, is_drawn

HELD = {  # what each control is, in words
    "frozen_decoder": "with a frozen decoder its random rows stay as they were drawn",
    "soft_frozen_decoder": "the rows of a soft-frozen one stay within a cosine of 0.8 of these",  # core.controls
    "frozen_encoder": "with a frozen encoder the decoder is trained and random rows read",
    "step0": "before training nothing was learned",
}
MOST_NAMED = 6  # more lines than this are counted, not named


def sentences(subject: Subject, evaluation: pd.DataFrame, lines: list[Curve], there: Mapping[str, str]) -> str:
    """The paragraph for a and b; `there`: the letter of each panel."""
    letters = [there[name] for name in (panels.RECONSTRUCTION, panels.KEPT) if name in there]
    if not letters:
        return ""
    measure = subject.kept.measure if panels.KEPT in there else None
    drawn = curves.shown(lines, measure)
    plain = [line for line in lines if line.is_plain]
    found = [f"({', '.join(letters)}) {subject.held_out:,} held-out vectors.", *_points(plain), *_wished(plain)]
    found += _pair(subject, evaluation, there)
    if any(line.ratio is not None for line in plain):
        found.append("r is the number of features per activation dimension.")
    if any(line.known(each)[f"{each}_low"].notna().any() for line, each in drawn):
        widest = ", the widest of the seeds" if any(line.seeds > 1 for line in lines) else ""
        found.append(f"Thin bars are 95 % intervals{widest}.")
    found += [
        *_held(plain),
        *_elsewhere(plain),
        *_crossings(subject, plain),
        *_unsigned(evaluation, there),
        *_broken(evaluation),
        *_beyond(drawn),
    ]
    if measure is not None:
        found += _kept(subject, evaluation, lines, there[panels.KEPT])
    return " ".join(found)


def _points(lines: Sequence[Curve]) -> list[str]:
    seeds = max((line.seeds for line in lines), default=1)
    point = "A point is a dictionary" if seeds == 1 else f"A point is the mean of up to {seeds} seeds"
    long = [line for line in lines if len(line.points) > 1]
    *others, last = [words for words in methods.STRENGTHS.values() if any(words in line.along for line in long)] or [""]
    along = f"{', '.join(others)} or {last}" if others else last
    return [f"{point}; {along} varies along a line." if along else f"{point}."]


def _wished(lines: Sequence[Curve]) -> list[str]:
    if not any(line.wished and not methods.of(line.kind).whole for line in lines):
        return []
    return [
        "With an L0 target one number of each dictionary, its L1 or its threshold, was set by the L0 of some held-out "
        "vectors, and by nothing else of them."
    ]


def _held(lines: Sequence[Curve]) -> list[str]:
    """What the lines of controls are."""
    there = [words for control, words in HELD.items() if any(line.control == control for line in lines)]
    return [f"Thin dotted lines are controls: {'; '.join(there)}."] if there else []


def _elsewhere(lines: Sequence[Curve]) -> list[str]:
    """What a yellow point is."""
    if not any(line.name is not None for line in lines):
        return []
    return [
        "Yellow: dictionaries that were trained elsewhere, by name, on vectors that are not known here; their "
        "certificates have what their files say."
    ]


def _crossings(subject: Subject, lines: list[Curve]) -> list[str]:
    found = crossings.with_pca(lines)

    def of(case: str) -> dict[str, Against]:
        return {label: against for label, against in found.items() if against.case == case}

    said = []
    if crossing := of("crossing"):
        places = [against.place for against in crossing.values()]
        named = ", ".join(f"{label}: L0 {against.place:.0f}" for label, against in crossing.items())
        where = named if len(crossing) <= MOST_NAMED else f"{len(crossing)} lines: L0 {_range(places, '.0f')}"
        share = _range([place / subject.d_act for place in places], ".2f")
        said.append(
            f"PCA top-k has the lower FVU above a crossing ({where}; {share} of d_act = {subject.d_act}, the L0 at "
            "which PCA is exact)."
        )
    cases = (
        ("always", "Everywhere in the shared range of L0 PCA top-k has the lower FVU"),
        ("never", "Nowhere in the shared range of L0 PCA top-k has the lower FVU"),
        ("partly", "In a part of the shared range of L0, but not at its end, PCA top-k has the lower FVU"),
    )
    for case, words in cases:
        if mine := of(case):
            spans = {label: f"L0 {_range([each.low, each.high], '.0f')}" for label, each in mine.items()}
            said.append(f"{words}: {_named(spans)}.")
    if apart := of("apart"):
        said.append(f"No shared range of L0 with PCA top-k: {_named(dict.fromkeys(apart, ''))}.")
    return said


def _named(spans: Mapping[str, str]) -> str:
    if len(spans) > MOST_NAMED:
        return f"{len(spans)} lines"
    return ", ".join(f"{label} ({span})" if span else label for label, span in spans.items())


def _range(values: Sequence[float], form: str) -> str:
    first, last = format(min(values), form), format(max(values), form)
    return first if first == last else f"{first} to {last}"


def _unsigned(evaluation: pd.DataFrame, there: Mapping[str, str]) -> list[str]:
    plain: Any = evaluation[evaluation["variant"] == variants.PLAIN].drop_duplicates("kind").set_index("kind")
    where = f"stands in {there[panels.SCORES]} only" if panels.SCORES in there else "is not drawn"
    words = "{} has no top-k variant (L0 {:.0f}, FVU {:.2f}) and {}."
    return [
        words.format(methods.of(kind).label, plain.loc[kind, "l0"], plain.loc[kind, "fvu"], where)
        for kind in methods.BASELINES
        if kind in plain.index and not methods.of(kind).signed and not methods.of(kind).constant
    ]


def _pair(subject: Subject, evaluation: pd.DataFrame, there: Mapping[str, str]) -> list[str]:
    """What is encoded and what is put together, and what its baselines are."""
    if subject.pair is None:
        return []
    source, target = subject.pair
    kept = f", and in ({there[panels.KEPT]}) it stands in its place in the model" if panels.KEPT in there else ""
    found = [f"Encoded is {source}; FVU is of {target}, which is put together from it{kept}."]
    means = [row for row in records(evaluation) if methods.of(row["kind"]).constant]
    if subject.map_fvu is not None:
        label = methods.of(roles.MAP).label
        found.append(
            f"The {label} (ridge) of rank k has k directions, so its L0 is k; whole, its FVU is {subject.map_fvu:.3f}."
        )
    found += [
        f"The {methods.of(row['kind']).label} of {target}, without features: FVU {row['fvu']:.2f}." for row in means
    ]
    return found


def _broken(evaluation: pd.DataFrame) -> list[str]:
    wrong = evaluation[evaluation["broken"].notna()]
    elsewhere = wrong["kind"].map(methods.is_published).astype(bool)
    found = _named_broken(wrong[wrong["kind"].isin(methods.LEARNED)], "Broken", soundness.SAID)
    return found + _named_broken(wrong[elsewhere], "Trained elsewhere and not of this site", soundness.SAID_ELSEWHERE)


def _named_broken(broken: pd.DataFrame, what: str, when: str) -> list[str]:
    plain = broken[broken["variant"] == variants.PLAIN]
    others = broken[(broken["variant"] != variants.PLAIN) & ~broken["name"].isin(plain["name"])]
    words = [f"{described(plain, row['name'])} ({row['broken']})" for _, row in plain.iterrows()]
    words += [
        f"{described(others, row['name'])} with {LOOKS[row['variant']].label} ({row['broken']})"
        for _, row in others.iterrows()
    ]
    if not words:
        return []
    more = f" and {len(words) - MOST_NAMED} more" if len(words) > MOST_NAMED else ""
    return [f"{what} ({when}): {'; '.join(words[:MOST_NAMED])}{more}."]


def _beyond(drawn: Sequence[tuple[Curve, str]]) -> list[str]:
    words = list(curves.outside(drawn))
    if not words:
        return []
    more = f" and {len(words) - MOST_NAMED} more" if len(words) > MOST_NAMED else ""
    return [f"Beyond the axes, a caret at their edge: {'; '.join(words[:MOST_NAMED])}{more}."]


def _kept(subject: Subject, evaluation: pd.DataFrame, lines: list[Curve], letter: str) -> list[str]:
    found = _loss(subject, letter) if subject.kept.measure == "loss_recovered" else _final(subject, evaluation, letter)
    there = {line.variant for line in lines}
    return found + [look.said for name, look in LOOKS.items() if name in there] + _undrawn(evaluation, there)


def _undrawn(evaluation: pd.DataFrame, there: set[str]) -> list[str]:
    """Variants that were measured, where none is drawn: their lines would be too many."""
    whole = evaluation[evaluation["control"].isna() & (evaluation["variant"] != variants.PLAIN)]
    could = {row["variant"] for row in records(whole) if is_drawn(row["variant"], row["kind"])}
    if not could or there != {variants.PLAIN}:
        return []
    names = ", ".join(look.label for name, look in LOOKS.items() if name in could)
    return [f"Too many lines to be drawn, in the table: {names}."]


def _loss(subject: Subject, letter: str) -> list[str]:
    clean, ablated = subject.kept.ce_clean or 0.0, subject.kept.ce_ablated or 0.0
    of = " (of masked tokens)" if subject.kept.is_masked else ""
    found = [
        f"({letter}) Loss recovered{of} is against mean ablation: 0 is the model with {subject.replaced} at its mean "
        f"(cross-entropy {ablated:.2f} nats), 1 the model as it is ({clean:.2f})."
    ]
    tenth = f"{0.1 * (ablated - clean):.2f}"
    if float(tenth):
        found.append(f"So 0.9 recovered is still a loss of {tenth} nats: read the right axis too.")
    return found


def _final(subject: Subject, evaluation: pd.DataFrame, letter: str) -> list[str]:
    found = [
        f"({letter}) No loss could be measured (no head, or no mask token): what the model's final hidden states lose "
        "with the reconstruction in place, as FVU."
    ]
    if subject.kept.final_ablated is not None:
        found.append(f"With {subject.replaced} at its mean it is {subject.kept.final_ablated:.2f}.")
    rows = evaluation[(evaluation["variant"] == variants.PLAIN) & evaluation["final_cosine"].notna()]
    cosines = [
        f"{described(rows, row['name'])} {row['final_cosine']:.2f}" for row in headline.of_each_kind(records(rows))
    ]
    return found + ([f"Their mean cosine with those of the model as it is: {', '.join(cosines)}."] if cosines else [])
