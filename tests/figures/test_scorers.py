from pathlib import Path

import pandas as pd
import pytest
from matplotlib.axes import Axes

from sparse_coding.errors import BadInput
from sparse_coding.figures import scorers
from sparse_coding.interp.judge.simulating import NO_PROBABILITIES
from tests.figures import tables
from tests.figures.drawing import check, drawn, ticks

SITE, CONTROL = tables.simulated(tables.autointerp()), tables.simulated(tables.control())
FILES = Path("site.parquet"), Path("control.parquet")
REFUSED = "refused: no"


def shared(*parts: pd.DataFrame) -> scorers.Scorer:
    return scorers.shared(dict(zip(FILES, parts, strict=False)))


def asked(table: pd.DataFrame, server: str = "here", judge: str = "mind-70b-1") -> pd.DataFrame:
    """Of a server, whose judge calls itself so; a dead feature has no answer."""
    answered = table["status"].map(lambda status: None if status == "dead" else judge)
    return table.assign(server=server, explainer_answered="gpt-9-2", judge_answered=answered)


def only(table: pd.DataFrame, *sources: str) -> pd.DataFrame:
    return table[table["source"].isin(sources)]


def upright(axes: Axes) -> set[float]:
    """Where full lines stand over the whole height."""
    return {line.get_xdata()[0] for line in axes.lines if list(line.get_ydata()) == [0, 1] and not line.is_dashed()}


@pytest.mark.parametrize(
    ("parts", "source", "why"),
    [
        ([SITE, CONTROL], "logprob_ev", "which all features have"),
        ([only(SITE, "sampled"), only(CONTROL, "sampled")], "sampled", "the only source in the tables"),
        ([SITE, only(CONTROL, "sampled")], "sampled", "because not all tables have expected values"),
        ([only(SITE, "sampled"), CONTROL], "sampled", "because not all tables have expected values"),
        (
            [SITE, tables.failing(CONTROL, 3, NO_PROBABILITIES, "logprob_ev")],
            "sampled",
            "because 3 features have no expected values from token probabilities",
        ),
        (
            [SITE, tables.failing(CONTROL, 3, "in other words", "logprob_ev")],
            "sampled",
            "because 3 features have no expected values from token probabilities",
        ),
        ([tables.failing(SITE, 3, REFUSED)], "logprob_ev", "which all features have"),
        ([SITE.query("source == 'sampled' or name != 'pca'")], "sampled", "because not all tables have"),
        ([tables.simulated(tables.control(), ["echo"])], "echo", "the only source in the tables"),
    ],
)
def test_one_source_is_taken_that_all_features_have(parts: list[pd.DataFrame], source: str, why: str) -> None:
    scorer = shared(*parts)
    assert scorer.source == source
    assert scorer.why.startswith(why)


@pytest.mark.parametrize("column", ["scorer", "explainer", "judge", "simulator", "mode", "choice", "prompts"])
def test_tables_that_differ_in_who_scored_or_how_are_refused(column: str) -> None:
    with pytest.raises(BadInput, match=rf"site.parquet, control.parquet: found {column} .* and zzz; wanted one"):
        shared(SITE, CONTROL.assign(**{column: "zzz"}))
    mixed = SITE.assign(**{column: SITE[column].where(SITE["name"] != "pca", "zzz")})
    with pytest.raises(BadInput, match=rf"site.parquet: found {column} .* and zzz; wanted one"):
        shared(mixed)


def test_answers_of_two_models_or_servers_are_refused() -> None:
    assert shared(asked(SITE), asked(CONTROL)).server == "here"
    with pytest.raises(BadInput, match=r"found server here and there; wanted one .*server"):
        shared(asked(SITE), asked(CONTROL, server="there"))
    with pytest.raises(BadInput, match=r"judge: answers of mind-70b-1 and of mind-70b-2; wanted answers of one"):
        shared(asked(SITE), asked(CONTROL, judge="mind-70b-2"))
    assert "Asked: here." in drawn(autointerp=asked(SITE), control=asked(CONTROL))[1]


@pytest.mark.parametrize(
    ("site", "control"),
    [(only(SITE, "sampled"), only(CONTROL, "logprob_ev")), (SITE, only(CONTROL, "sampled").assign(source="echo"))],
)
def test_tables_without_a_common_source_are_refused(site: pd.DataFrame, control: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match=r"sampled in site.parquet and source \w+ in control.parquet; wanted a source"):
        shared(site, control)


def test_the_figure_of_a_simulation() -> None:
    figure, words = drawn(autointerp=SITE, control=CONTROL)
    check(figure)
    panel = figure.axes[2]
    assert panel.get_xlabel() == "simulation score (judge mind-70b):\ntop-and-random correlation"
    assert upright(panel) == {0}
    title = " ".join(text.get_text() for text in figure.texts[:3])
    assert "scorer: simulation  ·  explainer: gpt-9  ·  judge: mind-70b" in title
    for part in (
        "(c) Scorer: simulation. For a uniform sample of features, the correlation of true and predicted activation;",
        "gpt-9 explained each feature in words, mind-70b judged: by the words alone it had to predict the activation",
        "Source of the scores: expected values from token probabilities, which all features have; prompts "
        "0123456789ab+cdef01234567, mode nonzero.",
        "Not comparable with token-rules scores, with another judge, or with published scores of other simulators.",
        "0 with constant activation, 0 without a usable answer; a constant prediction counts as 0 (11).",
        "does not show that the model learned anything",
    ):
        assert part in words
    for part in ("surface repeatability", "Warning", "spending cap", "Missing"):
        assert part not in words


@pytest.mark.parametrize(
    ("scorer", "told_apart"), [("detection", "texts in which it does not, equally many"), ("fuzzing", "are marked")]
)
def test_the_figure_of_a_classifier(scorer: str, told_apart: str) -> None:
    site, control = tables.classified(tables.autointerp(), scorer), tables.classified(tables.control(), scorer)
    figure, words = drawn(autointerp=site, control=control)
    check(figure)
    panel = figure.axes[2]
    assert panel.get_xlabel() == f"{scorer} score (judge mind-70b):\nbalanced accuracy (chance 0.5)"
    assert upright(panel) == {0.5}
    assert any("shuffled null" in label for label in ticks(figure, 2)) == (scorer == "fuzzing")
    for part in (
        "balanced accuracy of the judge's answers",
        "chance, the full line, is 0.5",
        "yes-no answers",
        told_apart,
    ):
        assert part in words
    assert "with too few fragments of a kind" in words
    assert "one and the same answer to all counts as 0.5 (11)." in words
    assert "nonzero" not in words  # fragments of classifiers are not drawn in a mode
    assert "Missing" not in words
    plain = site[site["condition"] == "plain"]
    missing = drawn(autointerp=plain)[1].split("Missing here: ")[1]
    assert ("shuffled null" in missing) == (scorer == "fuzzing")


@pytest.mark.parametrize(
    ("scorer", "label", "chance", "said"),
    [
        (
            "intruder",
            "intruders found (chance 0.2)",
            0.2,
            "mind-70b was shown five texts (one of five)",
        ),
        ("embedding", "AUC (chance 0.5)", 0.5, "mind-70b embedded words and texts (cosine, nearest negatives)"),
    ],
)
def test_each_scorer_has_its_own_axis(scorer: str, label: str, chance: float, said: str) -> None:
    site, control = (tables.judged(table, scorer) for table in (tables.autointerp(), tables.control()))
    figure, words = drawn(autointerp=site, control=control)
    check(figure)
    assert figure.axes[2].get_xlabel() == f"{scorer} score (judge mind-70b):\n{label}"
    assert upright(figure.axes[2]) == {chance}
    assert any("shuffled null" in text for text in ticks(figure, 2)) == (scorer == "intruder")
    for part in (said, f"chance, the full line, is {chance}", f"counts as {chance}"):
        assert part in words
    assert ("shown to the explainer: 5 of the top 20" in words) == (scorer != "intruder")
    assert "hardly ever silent" not in words
    title = " ".join(text.get_text() for text in figure.texts[:3])
    assert ("explainer: gpt-9" in title) == (scorer != "intruder")
    with pytest.raises(BadInput, match="found scorer"):
        shared(site, tables.classified(tables.control()))


def test_the_caption_says_whose_weakest_texts_stood_for_silent_ones() -> None:
    words = drawn(autointerp=tables.judged(tables.autointerp(), "detection", weakest=7))[1]
    assert "told from the weakest, which is another question; so many of those scored: PCA (7 of 98)." in words


def test_tables_whose_explainer_saw_something_else_are_refused() -> None:
    site, control = (tables.judged(table, "detection") for table in (tables.autointerp(), tables.control()))
    with pytest.raises(BadInput, match="found shown 40 in 10 quantiles and 5 of the top 20"):
        shared(site, control.assign(shown="40 in 10 quantiles"))
    with pytest.raises(BadInput, match="shown 5 of the top 20 and none"):
        shared(site, control.drop(columns="shown"))


def test_long_names_of_models_stay_inside_the_figure() -> None:
    name = "/models/of/some/server/Qwen2.5-72B-Instruct-Q4_K_M-00001-of-00002.gguf"
    site = SITE.assign(explainer=name, judge=name)
    figure, words = drawn(autointerp=site)
    check(figure)
    assert "-of-00002.gguf):" in figure.axes[2].get_xlabel()
    assert f"{name} judged: by" in words


def test_partial_tables_say_how_many_features() -> None:
    def first(table: pd.DataFrame, n: int) -> pd.DataFrame:
        return table[table["feature"] < n]

    _, words = drawn(autointerp=first(SITE, 40), control=first(CONTROL, 40))
    why = "stopped at a spending cap, or unanswered by a server."
    assert f" 40 of 100 chosen features of each dictionary: {why} Left out" in words
    figure, words = drawn(autointerp=first(SITE, 40), control=CONTROL)
    assert "40 of 100 chosen features of each dictionary on the trained model: stopped" in words
    assert "on the model with random weights: stopped" not in words
    assert "38 / 40" in [text.get_text() for text in figure.axes[2].texts]
    _, words = drawn(autointerp=SITE, control=first(CONTROL, 60))
    assert "60 of 100 chosen features of each dictionary on the model with random weights: stopped" in words
    assert "on the trained model: stopped" not in words
    small = SITE.assign(wanted=SITE["wanted"].where(SITE["name"] != "nmf", 64))
    _, words = drawn(autointerp=first(small, 40))
    assert "40 of 64 or 40 of 100 chosen features of each dictionary: stopped" in words


@pytest.mark.parametrize(("n", "warned"), [(5, False), (6, True)])
def test_failed_features_are_counted_and_many_bring_bounds(n: int, warned: bool) -> None:
    site = tables.failing(SITE, n, REFUSED)
    _, words = drawn(autointerp=site)
    assert f"{n} without a usable answer;" in words
    mine = only(site, "logprob_ev").query("name == 'tied_r4_l1-0.002_s0'")["top_and_random"].dropna()
    low, high = mine.sum() / (len(mine) + n), (mine.sum() + n) / (len(mine) + n)
    warning = f"means if those scored 0 and 1: tied r4, L1 0.002 ({n} of 100) {low:.3f} and {high:.3f}."
    assert (warning in words) == warned
    assert ("Warning" in words) == warned


def test_where_all_features_failed_the_mean_may_be_anything() -> None:
    _, words = drawn(autointerp=tables.failing(SITE, 100, REFUSED))
    assert "tied r4, L1 0.002 (100 of 100) 0.000 and 1.000." in words
