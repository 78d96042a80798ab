from pathlib import Path
from typing import get_args

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from sparse_coding import methods
from sparse_coding.figures import comparison, crossings, curve_panels, curves, scorers, scores, style
from sparse_coding.figures.curves import Curve
from sparse_coding.figures.subject import Kept, Subject
from sparse_coding.settings.params import Architecture, Baseline
from tests.figures import tables
from tests.figures.drawing import check, drawn, interval, ticks


@pytest.fixture(scope="module")
def whole() -> tuple[Figure, str]:
    return drawn(control=tables.control())


def test_four_panels_name_their_quantity_and_unit(whole: tuple[Figure, str]) -> None:
    a, b, c, d = whole[0].axes
    assert "FVU (fraction of variance" in a.get_ylabel()
    assert "against mean ablation" in b.get_ylabel()
    assert "L0" in b.get_xlabel()
    assert "log scale" in b.get_xlabel()
    assert a.get_xscale() == b.get_xscale() == "log"
    assert a.get_xlim() == b.get_xlim()
    assert "token-rules (no LLM)" in c.get_xlabel()
    assert "top-and-random correlation" in c.get_xlabel()
    assert "share of held-out tokens" in d.get_xlabel()
    assert "nats" in b.child_axes[0].get_ylabel()


def test_every_method_is_named(whole: tuple[Figure, str]) -> None:
    (legend,) = whole[0].legends
    assert [text.get_text() for text in legend.get_texts()] == [
        *("tied r1", "tied r2", "tied r4", "untied r4", "TopK r4"),
        *("PCA top-k", "ICA top-k", "neuron basis top-k", "with gain refit (b)"),
    ]
    assert ticks(whole[0], 2) == [
        *("tied r1, L1 0.002", "tied r2, L1 0.002", "tied r4, L1 0.002", "untied r4, L1 0.002", "TopK r4, k 8"),
        *("ICA", "PCA", "NMF", "neuron basis"),
        *("random directions", "shuffled null,\ntied r1, L1 0.002", "random-weights model,\ntied r4, L1 0.002"),
    ]
    assert ticks(whole[0], 3)[5:] == ["PCA top-8", "ICA top-8", "neuron basis top-8"]


def test_each_variant_has_dashes_and_words_of_its_own() -> None:
    table = tables.evaluation()
    refits, others = table[table["variant"] == "gain_refit"], []
    for variant in ("threshold_refit", "matching_pursuit"):
        made = refits.assign(variant=variant, l0=refits["l0"] * 0.5, fvu=refits["fvu"] * 1.1)
        made = made.assign(l0_low=0.49 * refits["l0"], l0_high=0.51 * refits["l0"])
        others.append(made[made["kind"] != "topk"] if variant == "threshold_refit" else made)
    lines = curves.curves(pd.concat([table, *others]))
    assert [(line.label, line.variant) for line in lines if line.kind in ("untied", "topk")] == [
        *(("untied r4", variant) for variant in ("plain", "gain_refit", "threshold_refit", "matching_pursuit")),
        *(("TopK r4", variant) for variant in ("plain", "matching_pursuit")),
    ]
    assert {line.variant for line, measure in curves.shown(lines, "loss_recovered") if measure == "fvu"} == {"plain"}
    figure, words = drawn(pd.concat([table, *others]), control=tables.control())
    check(figure)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[-3:] == ["with gain refit (b)", "with threshold refit (b)", "with matching pursuit (b)"]
    dashes = {str(curve_panels.line_format(line)["linestyle"]) for line in lines if line.kind == "untied"}
    assert len(dashes) == 4
    for start in ("Gain refit: one", "Threshold refit: the larger half", "Matching pursuit: codes are found"):
        assert start in words


def test_title_says_what_and_how_much(whole: tuple[Figure, str]) -> None:
    words = " ".join(text.get_text() for text in whole[0].texts)
    for fact in ("layer2_residual", "pydocs-6l", "corpus pydocs", "1,000,000 tokens", "65,024", "token-rules (no LLM)"):
        assert fact in words


def test_nothing_overlaps_or_is_clipped(whole: tuple[Figure, str]) -> None:
    check(whole[0])


def test_caption_states_the_caveats_with_their_numbers(whole: tuple[Figure, str]) -> None:
    words = whole[1]
    random = tables.control()["top_and_random"].dropna().mean()
    for part in (
        *("mean ablation: 0 is", "8.28 nats", "surface repeatability", "+d and −d", "rectified", "random directions"),
        f"Control: tied r4, L1 0.002, trained in the same way on the model with random weights, scores {random:.3f}",
        *("with the same settings on the trained model", "does not show that the model learned anything"),
        *("tied r4: L0 37", "d_act = 128", "Nowhere in the shared range of L0", "TopK r4 (L0 4 to 32)"),
        "So 0.9 recovered is still a loss of 0.53 nats",
        "11 dead, 11 firing in too few fragments, 0 with constant activation; a constant prediction counts as 0 (11)",
    ):
        assert part in words
    for part in ("Missing", "Greyed", "Broken", "Beyond", "Several", "To score one"):
        assert part not in words


HERE = {"python": "3.11.9", "torch": "2.7.1", "cpu": "Xeon"}


@pytest.mark.parametrize(
    ("environments", "words"),
    [
        ([], ""),
        ([HERE], ""),
        ([HERE, dict(reversed(HERE.items()))], ""),
        ([HERE, HERE | {"cpu": "EPYC"}], "Mixed: the numbers were made with more than one cpu (Xeon, EPYC)."),
        (
            [HERE, HERE | {"cpu": "EPYC", "torch": "2.8.0"}, HERE],
            "Mixed: the numbers were made with more than one torch (2.7.1, 2.8.0) and cpu (Xeon, EPYC).",
        ),
        (
            [HERE, HERE | {"scipy": "1.16"}],
            "Mixed: the numbers were made with more than one scipy (none, 1.16).",
        ),
    ],
)
def test_caption_says_where_environments_differ(environments, words: str, whole: tuple[Figure, str]) -> None:
    _, found = drawn(control=tables.control(), environments=environments)
    assert found == "\n".join([whole[1], words] if words else [whole[1]])


def test_bytes_are_the_same_and_nothing_global_changes() -> None:
    mpl.get_backend()  # chosen when first asked for
    before, figures = mpl.rcParams.copy(), plt.get_fignums()
    first, second = (style.png(drawn(control=tables.control())[0], 12, 40) for _ in range(2))
    assert first == second
    assert plt.get_fignums() == figures
    assert mpl.rcParams == before


def test_figure_without_control_null_and_topk_variants() -> None:
    autointerp = tables.autointerp()
    evaluation = tables.evaluation()
    figure, words = drawn(
        evaluation[evaluation["k"].isna() | (evaluation["kind"] == "topk")],
        autointerp[autointerp["condition"] == "plain"],
    )
    style.png(figure, 12, 40)
    assert words.endswith(
        "Missing here: top-k variants of the baselines in a and b; the control shuffled null; the control "
        "random-weights model."
    )
    assert "crossing" not in words
    assert ticks(figure, 2)[-1] == "random directions"


def test_imported_vectors_have_no_panel_of_what_a_model_keeps() -> None:
    figure, words = drawn(tables.imported(), model=None)
    check(figure)
    assert "Missing here: what the model keeps (imported activations, no model" in words
    assert "mean ablation" not in words
    assert len(figure.axes) == 3


def test_a_model_that_loses_nothing_by_mean_ablation_has_no_panel_b() -> None:
    """So of random weights: loss recovered has no value."""
    evaluation = tables.imported()
    evaluation[["ce_clean", "ce_mean_ablated"]] = 10.96, 10.92
    figure, words = drawn(evaluation)
    check(figure)
    assert len(figure.axes) == 3
    said = "with this site at its mean the model loses no more: 10.92 against 10.96 nats a token"
    assert f"Missing here: what the model keeps ({said})" in words
    assert "Loss recovered" not in words


def test_a_large_grid_is_cut_to_rows_that_can_be_read() -> None:
    part = tables.autointerp(features=10)
    plain = part[part["name"] == "tied_r4_l1-0.002_s0"]
    many = [
        plain.assign(kind=kind, ratio=ratio, name=f"{kind}_r{ratio:g}_l1-{l1:g}_s{seed}", l1=l1, seed=seed)
        for kind in ("tied", "untied")
        for ratio in (0.5, 1, 2, 4, 8, 16, 32)
        for l1 in (1e-3, 2e-3, 3e-3)
        for seed in (0, 1)
    ]
    table = pd.concat(many)
    l0 = {name: 0.02 / l1 for name, l1 in zip(table["name"], table["l1"], strict=True)}  # 20, 10 and 6.7
    names = scores.chosen(table, l0)
    assert len(names) == scores.MOST_LEARNED
    assert all(name.endswith("_l1-0.002_s0") for name in names)
    assert scores.chosen(table, {name: 2 * value for name, value in l0.items()})[0].endswith("_l1-0.003_s0")
    assert (names[0], names[-1]) == ("tied_r0.5_l1-0.002_s0", "untied_r32_l1-0.002_s0")
    figure, words = drawn(autointerp=pd.concat([*many, part[part["kind"] == "pca"]]))
    assert "Shown: 9 of 84 scored learned dictionaries" in words
    assert "and of 14 such evenly spaced ones" in words
    assert len(ticks(figure, 2)) == scores.MOST_LEARNED + 1


def test_scores_follow_the_status() -> None:
    table = pd.DataFrame(
        {
            "status": ["ok", "ok", "pred_constant", "dead", "too_few", "truth_constant", "failed"],
            "balanced_accuracy": [0.6, 0.7, 0.5, 0.9, 0.9, 0.9, 0.9],  # only the status may decide
        }
    ).assign(name="pca", kind="pca", condition="plain", ratio=None, l1=None, k=None, seed=0, control=None, wanted=9)
    (row,) = scores.rows(table, None, tables.evaluation(), "balanced_accuracy", interval)
    assert list(row.values) == [0.6, 0.7, 0.5]
    assert row.mean == pytest.approx(0.6)
    assert (row.sampled, row.wanted, row.group) == (7, 9, "baselines")


def test_a_dictionary_without_scores_is_still_a_row() -> None:
    autointerp = tables.autointerp()
    dead = autointerp["name"] == "pca"
    autointerp.loc[dead, "status"] = "dead"
    autointerp.loc[dead, "top_and_random"] = None
    figure, _ = drawn(autointerp=autointerp)
    style.png(figure, 12, 40)
    assert "PCA\n100 % unscored" in ticks(figure, 2)
    assert "none scored" in [text.get_text() for text in figure.axes[2].texts]


def line(l0: list[float], fvu: list[float], kind: str = "tied") -> Curve:
    points = pd.DataFrame({"l0": l0, "fvu": fvu, "loss_recovered": 0.5})
    return Curve(kind, None, False, 1, points, style.look(kind, None, []))


def test_against_pca_there_are_five_cases() -> None:
    falling, flat = line([1, 100], [1.0, 0.0], "pca"), line([1, 100], [0.25, 0.25])

    def against(l0: list[float], fvu: list[float]) -> tuple[str, float, float]:
        found = crossings.compare(line(l0, fvu), falling)
        return found.case, pytest.approx(found.low, nan_ok=True), pytest.approx(found.high, nan_ok=True)

    met = crossings.compare(flat, falling)
    assert met.case == "crossing"
    assert met.place == pytest.approx(100**0.75)  # a quarter is left three quarters of the way
    assert crossings.compare(falling, flat).case == "partly"  # lower at first, not at the end
    assert against([2, 50], [1.0, 1.0]) == ("always", 2, 50)
    assert against([2, 50], [0.01, 0.01]) == ("never", 2, 50)
    assert against([200, 300], [0.1, 0.1])[0] == "apart"
    last = crossings.compare(line([1, 4, 16, 100], [0.9, 0.9, 0.1, 0.3]), falling)
    assert (last.case, last.place > 16) == ("crossing", True)  # the last of three counts


def test_one_point_is_no_crossing() -> None:
    one = line([10], [0.5], "pca")
    worse = crossings.compare(line([5, 20], [0.9, 0.8]), one)
    assert (worse.case, worse.low, worse.high) == ("always", pytest.approx(10), pytest.approx(10))
    assert crossings.compare(line([5, 20], [0.1, 0.1]), one).case == "never"
    assert crossings.compare(line([20], [0.1]), one).case == "apart"
    assert crossings.of_l1([line([5, 20], [0.9, 0.8]), one]) == []


def test_many_crossings_are_counted_not_named() -> None:
    evaluation = tables.evaluation()
    tied = evaluation[(evaluation["kind"] == "tied") & (evaluation["ratio"] == 4)]
    _, words = drawn(pd.concat([evaluation, *(tied.assign(ratio=ratio) for ratio in (8, 16, 32))]))
    assert "7 lines: L0 26 to 37; 0.20 to 0.29 of d_act" in words


def test_seeds_are_averaged() -> None:
    one = tables.evaluation()
    two = one.assign(seed=1, fvu=one["fvu"] + 0.1)
    first = curves.curves(one)[0]
    mean = curves.curves(pd.concat([one, two]))[0]
    assert mean.seeds == 2
    np.testing.assert_allclose(mean.points["fvu"], first.points["fvu"] + 0.05)


def test_every_architecture_and_baseline_has_a_look() -> None:
    looks = [style.look(kind, None, []) for kind in (*get_args(Architecture), *get_args(Baseline))]
    assert len({look.marker for look in looks}) == len(looks)
    assert set(get_args(Architecture)) <= set(methods.LEARNED)
    assert set(get_args(Baseline)) == set(methods.BASELINES)


def test_larger_ratios_are_darker_in_grey() -> None:
    greys = [np.dot(to_rgb(style.look("tied", ratio, [4, 1, 2]).colour), [0.299, 0.587, 0.114]) for ratio in (1, 2, 4)]
    assert greys == sorted(greys, reverse=True)


def test_interval_columns_may_be_empty() -> None:
    evaluation = tables.evaluation()
    evaluation[[name for name in evaluation if name.endswith(("_low", "_high"))]] = None
    style.png(drawn(evaluation)[0], 12, 40)


def test_points_outside_the_axes_are_named_and_marked_at_the_edge() -> None:
    evaluation = tables.evaluation()
    evaluation.loc[evaluation["name"] == "pca_top4", ["fvu", "loss_recovered"]] = [3.0, -2.0]
    figure, words = drawn(evaluation)
    assert "a caret at their edge: PCA top-k, k 4 (L0 4, FVU 3); PCA top-k, k 4 (L0 4, loss recovered -2)." in words
    assert "beyond the axes (see below)" in [text.get_text() for text in figure.legends[0].get_texts()]
    assert curves.BOUNDS["fvu"][1] < figure.axes[0].get_ylim()[1] < 1.2
    check(figure)


def test_missing_rows_in_one_panel_do_not_stop_the_others() -> None:
    scorer = scorers.shared({Path("site"): tables.autointerp(features=4)})
    subject = Subject("features", None, None, None, 10, 128, scorer, Kept(), (0, 0))
    figure = comparison.figure(subject, [], [], [], "nothing")
    assert not figure.axes
    assert style.png(figure, 12, 40)
