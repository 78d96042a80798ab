"""Figures of grids that are not the default's: nothing collides, nothing is clipped, and the words say what is so."""

import io
from functools import cache

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.markers import CARETDOWN, CARETUP
from PIL import Image

from sparse_coding.figures import curves, layout, style
from sparse_coding.figures.columns import MARGIN
from sparse_coding.figures.curve_panels import line_format
from sparse_coding.figures.style import GREY
from tests.figures import odd
from tests.figures.drawing import check, check_data_inside, check_words_apart, drawn, ticks

TITLES = ("Reconstruction", "What the model keeps", "Interpretability by method", "Firing frequency of features")


@cache
def made(name: str) -> tuple[Figure, str]:
    return drawn(**odd.CASES[name]())


@pytest.fixture(params=odd.CASES)
def case(request: pytest.FixtureRequest) -> tuple[str, Figure, str]:
    return request.param, *made(request.param)


def titled(figure: Figure) -> list[str]:
    """The titles of the panels, without their letters, in the order of the letters."""
    found = sorted(text.get_text() for text in figure.texts if text.get_text().startswith("("))
    named = [text for text in found if "\n" not in text and len(text) < 60]
    assert [text[1] for text in named] == list("abcd"[: len(named)])
    return [text[4:] for text in named]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


SAID: dict[str, tuple[list[str], list[str]]] = {
    "one kind": (["Nowhere in the shared range of L0 PCA top-k has the lower FVU: tied r1"], ["TopK"]),
    "both lists": (
        ["A point is a dictionary; L1, k or L0 target varies along a line. With an L0 target one number of each "
         "dictionary, its L1 or its threshold, was set by the L0 of some held-out vectors, and by nothing else of "
         "them.",
         "Control: tied r4, L0 target 16, trained"],
        ["Missing here: the control shuffled null."],
    ),
    "one point": (["A point is a dictionary. r is"], ["varies along", "dashed line", "codes rectified", "crossing"]),
    "no baselines": (["top-k variants of the baselines in a and b"], ["PCA", "NMF", "each top-k baseline", "dashed"]),
    "one point of PCA": (
        ["Nowhere in the shared range of L0 PCA top-k has the lower FVU: tied r4 (L0 16). No shared range of L0 with "
         "PCA top-k: TopK r4."],
        ["crossing", "complete"],
    ),
    "twelve kinds": (
        ["9 of 12 scored learned dictionaries, of a kind and size the one whose L0 is nearest to 8 to 16, and of 12",
         "Nowhere in the shared range of L0 PCA top-k has the lower FVU: 8 lines."],
        ["Greyed"],
    ),
    "long names": (["Control: untied r0.333333, L1 0.000335955, trained"], ["surface", "NMF", "crossing"]),
    "everything dead": (
        ["and 12 more", "no feature could be scored",
         "No tied one of such L0 was trained: add a value below 0.0005 to `grid.l1`."],
        ["median", "scores nan", "crossing"],
    ),
    "no scores": (["no feature could be scored", "TopK r4, k 8 (100 % unscored)"], ["scores nan", "does not show"]),
    "broken": (
        ["Broken (FVU above 1, L0 below 1 or more than half of the features dead): tied r6, L1 0.002 (514 of 768 "
         "features dead); tied r6, L1 0.003 (FVU 2.1; L0 0.03).",
         "Beyond the axes, a caret at their edge: tied r6, L1 0.003 (L0 0.03, FVU 2.1); tied r6, "
         "L1 0.003 (L0 0.03, loss recovered -0.9).",
         "Greyed, because broken, or more than 20 %",
         "tied r6, L1 0.002 (broken, 67 % dead, 72 % unscored)",
         "To score one: `autointerp.members: {l1: 0.0005, k: 8}` in params.yaml."],
        [],
    ),
    "twin apart": (["3 of 9 scored learned dictionaries", "Control: tied r4, L1 0.0005"], ["evenly"]),
    "encoder with a head": (["Loss recovered (of masked tokens) is against mean ablation"], ["hidden states"]),
    "encoder without a head": (
        ["(b) No loss could be measured (no head, or no mask token): what the model's final hidden states lose with",
         "With this site at its mean it is 0.93.", "tied r4, L1 0.002 0.90, TopK r4, k 8 0.93"],
        ["Loss recovered", "nats", "Missing"],
    ),
    "encoder without any loss": (
        ["what the model keeps (no loss and no final hidden states were measured)", "(b) Scorer", "(c) How"],
        ["nats", "Gain refit", "(d)"],
    ),
    "seeds": (["A point is the mean of up to 2 seeds", "intervals, the widest of the seeds"], ["A point is a dict"]),
    "detection": (["PCA (94 % unscored)", "random directions (94 % unscored)"], ["shuffled null"]),
    "controls": (
        ["Thin dotted lines are controls: with a frozen decoder its random rows stay as they were drawn; the rows of a "
         "soft-frozen one stay within a cosine of 0.8 of these; with a frozen encoder the decoder is trained and "
         "random rows read; before training nothing was learned.",
         "PCA top-k has the lower FVU: tied r4 (L0 5 to 41), TopK r4 (L0 4 to 32)."],
        ["tied r4 frozen decoder (", "of 7 scored"],
    ),
    "every kind": (
        ["Too many lines to be drawn, in the table: gain refit, matching pursuit."],
        ["controls are", "Thin dotted", "Shown:", "Gain refit:"],
    ),
}  # fmt: skip


def test_nothing_collides_or_is_clipped_and_no_room_is_left_empty(case: tuple[str, Figure, str]) -> None:
    check(case[1])


def test_words_say_what_is_drawn_and_nothing_else(case: tuple[str, Figure, str]) -> None:
    name, figure, words = case
    said, unsaid = SAID[name]
    for part in said:
        assert part in words
    for part in unsaid:
        assert part not in words
    dashed = any(line.is_dashed() and list(line.get_ydata()) == [0, 1] for axes in figure.axes for line in axes.lines)
    assert ("dashed line: random directions" in words) == dashed
    assert ("with gain refit" in " ".join(legend(figure))) == ("Gain refit" in words)
    assert ("beyond the axes" in " ".join(legend(figure))) == ("Beyond the axes" in words)


def test_panels_are_those_that_have_something_to_show() -> None:
    whole = {name: titled(made(name)[0]) for name in ("one point", "encoder without any loss")}
    assert whole["one point"] == list(TITLES)
    assert whole["encoder without any loss"] == [TITLES[0], *TITLES[2:]]
    figure = made("encoder without a head")[0]
    assert titled(figure)[1] == "What the final hidden states lose"
    assert figure.axes[1].get_ylabel() == "FVU of the final hidden states"
    assert not figure.axes[1].child_axes  # no nats
    masked = made("encoder with a head")[0]
    assert "masked token" in masked.axes[1].child_axes[0].get_ylabel()
    alone = made("encoder without any loss")[0]
    assert alone.axes[0].get_position().height > 1.8 * figure.axes[0].get_position().height
    assert alone.axes[0].get_xlabel().startswith("L0")


def test_what_is_doubtful_is_grey_and_says_why() -> None:
    figure, _ = made("broken")
    panel = figure.axes[2]
    assert ticks(figure, 2)[0] == "tied r6, L1 0.002\nbroken, 67 % dead,\n72 % unscored"
    assert [label.get_color() for label in panel.get_yticklabels()[:2]] == ["#777777", "black"]
    grey, orange = (body.get_facecolor()[0][:3] for body in panel.collections[:2])
    assert max(abs(channel - int(GREY[1:3], 16) / 255) for channel in grey) < 0.01
    assert max(orange) - min(orange) > 0.5
    assert ticks(figure, 3)[0] == "tied r6, L1 0.002\n67 % dead"
    assert {"broken (see below)", "beyond the axes (see below)"} <= set(legend(figure))
    assert [text.get_text() for text in panel.texts].count("1.2") == 2  # its L0, and that of its null


def test_the_twin_of_the_control_stands_beside_it_where_it_is_not_put_forward() -> None:
    figure, _ = made("twin apart")
    assert ticks(figure, 2) == [
        *("tied r2, L1 0.002", "tied r4, L1 0.002", "TopK r4, k 8"),
        *(f"{what},\ntied r4, L1 0.0005" for what in ("shuffled null", "trained model", "random-weights model")),
    ]
    assert "trained model" not in " ".join(ticks(made("no baselines")[0], 2))


def test_a_dictionary_without_a_place_on_the_axis_is_drawn_at_its_edge() -> None:
    """It was left away without a word."""
    figure, words = made("everything dead")
    assert "tied r4, L1 0.0005 (L0 0, FVU 1)" in words
    left = figure.axes[0].get_xlim()[0]
    assert left == curves.LOWEST_L0
    assert any(list(line.get_xdata()) == [left] and list(line.get_ydata()) == [1] for line in figure.axes[0].lines)


def test_what_is_beyond_the_axes_has_the_digits_of_what_is_broken() -> None:
    """FVU 1.001 was broken and, in the next sentence, 1."""
    whole = odd.everything_dead()
    evaluation = whole["evaluation"].assign(fvu=1.001, broken="FVU 1.001; L0 0")
    words = drawn(**whole | {"evaluation": evaluation})[1]
    assert "tied r4, L1 0.0005 (FVU 1.001; L0 0)" in words
    assert "tied r4, L1 0.0005 (L0 0, FVU 1.001)" in words


def test_a_loss_that_rounds_to_nothing_is_not_told() -> None:
    whole = odd.one_kind()
    for ablated, is_told in ((3.04, False), (3.06, True)):
        evaluation = whole["evaluation"].assign(ce_clean=3.0, ce_mean_ablated=ablated)
        words = drawn(**whole | {"evaluation": evaluation})[1]
        assert ("So 0.9 recovered is still a loss of 0.01 nats" in words) == is_told
        assert f"(cross-entropy {ablated:.2f} nats), 1 the model as it is (3.00)." in words
        assert "0.00 nats" not in words


def test_what_collides_or_is_clipped_is_found() -> None:
    """The checks above can fail."""
    figure, _ = drawn(**odd.CASES["one point"]())
    figure.axes[0].set_ylim(0.5, 1)
    with pytest.raises(AssertionError, match="FVU"):
        check_data_inside(figure)
    figure.text(0.02, 0.98, "in the way of the title", va="top")
    with pytest.raises(AssertionError, match="Dictionaries of"):
        check_words_apart(figure)


@pytest.fixture(scope="module")
def figure_with_long_lines() -> Figure:
    return drawn(**odd.one_kind())[0]


@pytest.mark.parametrize(("dpi", "width"), [(40, 12), (50, 10), (60, 12), (60, 20), (300, 12)])
def test_the_caption_ends_at_the_margin_of_the_picture(figure_with_long_lines: Figure, dpi: int, width: int) -> None:
    """At 60 dots an inch the ends of its lines were cut."""
    figure = figure_with_long_lines
    caption = max(figure.texts, key=lambda text: len(text.get_text()))
    with Image.open(io.BytesIO(style.png(figure, width, dpi))) as picture:
        dark = np.asarray(picture.convert("L")) < 200
    high, wide = dark.shape
    band = dark[int((1 - caption.get_position()[1]) * high) :]
    inch = wide / style.DESIGN_WIDTH
    lines = np.flatnonzero(band.any(axis=0)) / inch
    assert MARGIN - 1.5 / inch <= lines[0] <= MARGIN + 0.05  # a dot and a half: letters are smoothed
    assert 0.92 * style.DESIGN_WIDTH < lines[-1] < style.DESIGN_WIDTH - MARGIN
    heights = np.flatnonzero(band.any(axis=1))
    assert heights[0] > 0
    assert heights[-1] < len(band) - 1


def test_words_are_wrapped_by_their_width() -> None:
    for text in ("iiii " * 60, "WWWW " * 60, "W" * 300, "", "one"):
        lines = layout.wrap(text, 3.0)
        assert all(layout.width(line) <= 3.02 for line in lines)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert layout.wrap_list("untied r0.333333, L1 0.000335955", 1.8) == ["untied r0.333333,", "L1 0.000335955"]


def test_controls_stand_beside_their_kind_and_never_in_its_line() -> None:
    figure, _ = made("controls")
    whole = [line for line in curves.curves(odd.CASES["controls"]()["evaluation"]) if line.control is None]
    assert [line.label for line in whole if line.is_plain] == ["tied r4", "TopK r4", "PCA top-k"]
    assert all(line.points["fvu"].max() < 0.7 for line in whole)
    names = legend(figure)
    assert names[:5] == ["tied r4", "tied r4 frozen decoder", "tied r4 soft-frozen decoder", "tied r4 before training",
                         "TopK r4"]  # fmt: skip
    rows = ticks(figure, 2)
    assert rows[:2] == ["tied r4, L1 0.002", "TopK r4, k 8"]
    assert "tied r4 frozen decoder, L1 0.002" in [row.replace("\n", " ") for row in rows]


def test_beyond_the_axes_a_control_and_a_variant_keep_their_look() -> None:
    """Open carets, of a control in its grey; those of the kind itself are full."""
    parts = odd.CASES["controls"]()
    table = parts["evaluation"]
    table.loc[table["name"].str.contains("_l1-0.003_"), ["fvu", "loss_recovered"]] = [2.0, -1.0]
    figure, _ = drawn(**parts)
    lines = {(line.control, line.variant): line for line in curves.curves(table) if line.kind == "tied"}
    for axes, wanted in ((figure.axes[0], 4), (figure.axes[1], 5)):  # the kind and three controls; in b a variant too
        carets = [each for each in axes.lines if each.get_marker() in (CARETUP, CARETDOWN)]
        full = [each.get_color() for each in carets if each.get_markerfacecolor() != "none"]
        hollow = [each.get_markeredgecolor() for each in carets if each.get_markerfacecolor() == "none"]
        own = lines[None, "plain"].look.colour
        assert full == [own]
        grey = line_format(lines["frozen_decoder", "plain"])["color"]
        assert grey != own
        assert sorted(hollow) == sorted([grey] * 3 + [own] * (wanted - 4))
