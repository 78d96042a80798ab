"""A kind of which figures have never heard, with a row in `methods`, is drawn and spoken of as the others are."""

import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from sparse_coding import methods
from sparse_coding.errors import BadInput
from sparse_coding.figures import curves, style
from sparse_coding.methods import Method, Strength
from tests.figures import odd, tables
from tests.figures.drawing import check, drawn, ticks

L0 = ((4, 4.4, 0.3, 0.85), (16, 15, 0.2, 0.9), (64, 60, 0.03, 0.96))  # wished, measured, FVU, loss recovered
L1 = ((5e-4, 60, 0.03, 0.96), (2e-3, 15, 0.2, 0.9), (3e-3, 4.4, 0.3, 0.85))
K = tuple((k, k, fvu, recovered) for (k, _, fvu, recovered) in L0)
POINTS: dict[Strength, tuple] = {"l1": L1, "k": K, "l0": L0}
WORDS = {"l1": "L1 0.002", "k": "k 16", "l0": "L0 target 16"}


def add(monkeypatch: pytest.MonkeyPatch, strength: Strength) -> str:
    """A made-up kind, whose name has a `_` in it."""
    kind = "made_up"
    row = Method(kind, "Made Up", strength, 2, "#123456", "h", "nobody")
    monkeypatch.setitem(methods.BY_KIND, kind, row)
    monkeypatch.setattr(methods, "LEARNED", (*methods.LEARNED, kind))
    return kind


def named(figure: Figure, panel: int) -> list[str]:
    return [" ".join(tick.split()) for tick in ticks(figure, panel)]


@pytest.mark.parametrize("strength", methods.STRENGTHS)
def test_a_made_up_kind_is_drawn_and_spoken_of(strength: Strength, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = add(monkeypatch, strength)
    evaluation = odd.evaluated({(kind, 4): POINTS[strength], ("pca", None): odd.PCA}, plain=["pca", "random"])
    name = evaluation.loc[evaluation["kind"] == kind, "name"].iloc[2 if strength == "l1" else 1]
    scored = odd.interpreted(evaluation, [name, "pca", "random"])
    frequency = tables.frequency(evaluated=evaluation)
    figure, words = drawn(evaluation, scored, odd.control(evaluation, name), frequency)
    check(figure)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["Made Up r4", "PCA top-k", *(["with gain refit (b)"] if strength == "l1" else [])]
    assert named(figure, 2)[0] == named(figure, 3)[0] == f"Made Up r4, {WORDS[strength]}"
    along = dict.fromkeys((methods.STRENGTHS[strength], "k"))
    in_order = [each for each in methods.STRENGTHS.values() if each in along]
    for part in (
        f"A point is a dictionary; {' or '.join(in_order)} varies along a line.",
        "Nowhere in the shared range of L0 PCA top-k has the lower FVU: Made Up r4 (L0 4 to 6",
        f"Control: Made Up r4, {WORDS[strength]}, trained in the same way",
    ):
        assert part in words
    assert "Missing here: the control shuffled null." in words
    assert {line.look.colour for line in curves.curves(evaluation) if line.kind == kind} == {to_rgb("#123456")}


def test_three_strengths_are_named_in_one_list() -> None:
    lines = {("tied", 4): L1, ("topk", 4): K, ("jumprelu", 4): L0}
    evaluation = odd.evaluated(lines)
    names = evaluation[evaluation["variant"] == "plain"].groupby("kind")["name"].nth(1)
    figure, words = drawn(
        evaluation, odd.interpreted(evaluation, list(names)), frequency=tables.frequency(evaluated=evaluation)
    )
    check(figure)
    assert "A point is a dictionary; L1, k or L0 target varies along a line." in words
    assert named(figure, 2)[:3] == ["tied r4, L1 0.002", "TopK r4, k 16", "JumpReLU r4, L0 target 16"]


def test_what_lies_beyond_the_axes_is_named_by_its_wish() -> None:
    evaluation = odd.evaluated({("jumprelu", 4): ((16, 15, 3.0, 0.9), *L0[::2])})
    drawn_lines = curves.shown(curves.curves(evaluation), None)
    assert list(curves.outside(drawn_lines)) == ["JumpReLU r4, L0 target 16 (L0 15, FVU 3)"]


def test_a_kind_without_a_row_has_no_look() -> None:
    with pytest.raises(BadInput, match="kind of dictionary: found kind 'made_up'"):
        style.look("made_up", None, [])
