"""What is put forward by its measured L0, and the line that would score something near it."""

import pytest

from sparse_coding import methods
from sparse_coding.core.metrics.headline import advice, all_broken, is_near, nearest, octaves, of_each_kind


def row(
    kind: str, l0: float, strength: float = 0.002, ratio: float = 4, fvu: float | None = 0.3, d_act: int = 128
) -> dict:
    field = methods.of(kind).column
    return dict.fromkeys(methods.COLUMNS.values()) | {
        "name": f"{kind}_r{ratio:g}_{strength:g}", "kind": kind, "ratio": ratio, "l0": l0, "fvu": fvu,
        field: strength, "broken": None, "d_act": d_act, "n_feat": round(ratio * d_act),
    }  # fmt: skip


def names(*rows: dict) -> set[str]:
    return {each["name"] for each in rows}


def test_distance_is_in_octaves_from_8_to_16() -> None:
    assert [octaves(l0) for l0 in (8, 11, 16)] == [0, 0, 0]
    assert octaves(4) == octaves(32) == 1
    assert is_near(4)
    assert is_near(32)
    assert not is_near(3.9)
    assert not is_near(33)
    assert not is_near(0)


@pytest.mark.parametrize(
    ("l0s", "wanted"),
    [
        ([1.2, 9, 40], 9),
        ([8, 16], 8),
        ([7.98, 15.9], 7.98),  # a TopK of k 8 that has sometimes only 7 positive codes
        ([7, 15], 15),
        ([3, 40], 40),  # by a factor of 2.5, not of 2.7
        ([0, 0.01], 0.01),
    ],
)
def test_the_nearest_is_put_forward(l0s: list[float], wanted: float) -> None:
    for order in (l0s, l0s[::-1]):
        found = nearest(row("tied", l0) for l0 in order)
        assert found is not None
        assert found["l0"] == wanted


def test_of_each_kind_the_ratio_of_lowest_fvu() -> None:
    assert nearest([]) is None
    assert of_each_kind([]) == []
    rows = [
        row("tied", 9, ratio=1, fvu=0.5),
        row("tied", 12, ratio=4, fvu=0.3),
        row("tied", 200, ratio=8, fvu=0.01),  # lower yet, but dense
        row("topk", 8, 8, fvu=None),
        row("topk", 8, 8, ratio=2, fvu=0.4),
        row("pca", 8, fvu=0.1) | {"ratio": None},
    ]
    assert [each["name"] for each in of_each_kind(rows)] == ["tied_r4_0.002", "topk_r2_8"]


def test_nothing_is_said_where_each_kind_has_a_near_one_scored() -> None:
    rows = [row("tied", 5), row("tied", 300, 1e-4), row("topk", 8, 8)]
    assert advice(rows, names(rows[0], rows[2])) == []
    assert advice([rows[0], row("rica", 256)], names(rows[0])) == []  # none of its codes is ever 0


def test_the_line_that_would_score_a_near_one() -> None:
    tied, dense, topk = row("tied", 1.2, 0.01), row("tied", 10, 0.003), row("topk", 8, 8)
    assert advice([tied, dense, topk], names(tied, topk)) == [
        "No scored tied dictionary has an L0 of 4 to 32 (nearest: tied_r4_0.01, L0 1.2).",
        "To score one: `autointerp.members: {l1: 0.003, k: 8}` in params.yaml.",
    ]
    assert advice([tied, dense], names(tied))[1] == "To score one: `autointerp.members: {l1: 0.003}` in params.yaml."
    assert "none was scored" in advice([tied, dense, topk], names(topk))[0]


def test_what_another_kind_has_is_not_lost_by_the_line() -> None:
    """At 0.002 both kinds are near; 0.003 would be better for tied alone."""
    rows = [row("tied", 1, 0.01), row("tied", 30, 0.002), row("tied", 10, 0.003), row("untied", 9, 0.002)]
    rows += [row("untied", 1, 0.003), row("untied", 0.1, 0.01)]
    assert "{l1: 0.002}" in advice(rows, names(rows[0], rows[5]))[-1]


def test_where_no_one_value_does_all_are_to_be_scored() -> None:
    rows = [row("tied", 10, 0.002), row("tied", 1, 0.01), row("untied", 100, 0.002), row("untied", 10, 0.01)]
    assert "`autointerp.members: all`" in advice(rows, names(rows[0], rows[2]))[-1]


def test_following_the_line_ends_the_advice() -> None:
    """At 0.001 only tied is near, at 0.01 only untied: neither of the two values is to be put forward."""
    rows = [row("tied", 10, 0.001), row("tied", 1, 0.01), row("untied", 200, 0.001), row("untied", 10, 0.01)]
    for scored in (names(rows[0], rows[2]), names(rows[1], rows[3])):
        assert advice(rows, scored)[-1] == "To score one: `autointerp.members: all` in params.yaml."
    assert advice(rows, names(*rows)) == []


@pytest.mark.parametrize(
    ("l0s", "said"),
    [
        ([(0.002, 100), (0.005, 50)], "add a value above 0.005 to `grid.l1`"),
        ([(0.002, 3), (0.005, 1)], "add a value below 0.002 to `grid.l1`"),
        ([(0.002, 60), (0.005, 2)], "add a value between 0.002 and 0.005 to `grid.l1`"),
    ],
)
def test_where_none_was_trained_the_grid_has_to_grow(l0s: list[tuple[float, float]], said: str) -> None:
    rows = [row("untied", l0, l1) for l1, l0 in l0s]
    assert said in advice(rows, names(*rows))[-1]
    assert len(advice(rows, names(*rows))) == 2


def to_train(*rows: dict) -> str:
    """The last sentence of the advice, where all are scored."""
    (_, said) = advice(rows, names(*rows))
    return said


def test_the_grid_grows_by_a_range_of_each_ratio() -> None:
    """They were mixed: a value "between 0.008 and 0.001"."""
    small = [row("tied", 2, 0.002, ratio=2), row("tied", 3, 0.001, ratio=2)]
    large = [row("tied", 40, 0.004, ratio=8), row("tied", 35, 0.008, ratio=8)]
    none = "No tied one of such L0 was trained"
    assert to_train(*large, *small) == f"{none}: add a value below 0.001 (r2) or above 0.008 (r8) to `grid.l1`."
    assert (
        to_train(*small, *(each | {"ratio": 4} for each in small)) == f"{none}: add a value below 0.001 to `grid.l1`."
    )
    rising = [row("tied", 2, 0.001), row("tied", 40, 0.004), row("tied", 40, 0.006)]  # against the rule
    assert to_train(*rising) == f"{none}: add a value between 0.001 and 0.004 to `grid.l1`."
    seeds = [row("tied", 2, 0.001), row("tied", 40, 0.001) | {"name": "tied_s1"}]  # no range between
    assert "between" not in to_train(*seeds)
    assert to_train(row("tied", 2, 0.0)) == f"{none}."  # nothing is below 0


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row("topk", 64, 64)], "add 8 to `grid.k`"),
        ([row("topk", 2, 2, ratio=1, d_act=6), row("topk", 2, 2, ratio=4, d_act=6)], "add 6 to `grid.k`"),
        ([row("topk", 2, 2, ratio=1, d_act=3)], "8 in `grid.k` takes `grid.ratios` of at least 2.66667"),
        ([row("topk", 2, 6, ratio=1, d_act=6)], "8 in `grid.k` takes `grid.ratios` of at least 1.33333"),
        ([row("topk", 3, 8)], "add 16 to `grid.k`"),  # positive codes are fewer than k
    ],
)
def test_a_k_is_named_that_the_grid_may_hold(rows: list[dict], said: str) -> None:
    assert to_train(*rows) == f"No topk one of such L0 was trained: {said}."


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row("jumprelu", 70, 64)], "add 8 to `grid.l0`"),
        ([row("jumprelu", 3, 8)], "add 16 to `grid.l0`"),  # what was wished is not what came
        ([row("jumprelu", 2, 2, ratio=1, d_act=3)], "8 in `grid.l0` takes `grid.ratios` of at least 2.66667"),
    ],
)
def test_a_wished_l0_is_named_that_the_grid_may_hold(rows: list[dict], said: str) -> None:
    assert to_train(*rows) == f"No jumprelu one of such L0 was trained: {said}."


def test_the_line_names_a_wished_l0_beside_others() -> None:
    rows = [row("tied", 10, 0.003), row("topk", 8, 8), row("jumprelu", 11, 12), row("jumprelu", 90, 100)]
    assert advice(rows, names(rows[0], rows[1], rows[3])) == [
        "No scored jumprelu dictionary has an L0 of 4 to 32 (nearest: jumprelu_r4_100, L0 90).",
        "To score one: `autointerp.members: {l1: 0.003, k: 8, l0: 12}` in params.yaml.",
    ]


def test_a_sentence_names_the_kind_that_was_not_trained() -> None:
    """ "None was trained" stood behind the names of trained ones."""
    rows = [row("tied", 2, 0.01), row("topk", 64, 64)]
    assert advice(rows, names(*rows))[2:] == [
        "No tied one of such L0 was trained: add a value below 0.01 to `grid.l1`.",
        "No topk one of such L0 was trained: add 8 to `grid.k`.",
    ]


def test_what_is_broken_is_not_put_forward() -> None:
    broken, sound = row("tied", 9, fvu=2.1) | {"broken": "FVU 2.1"}, row("tied", 17, 0.001, fvu=0.2)
    assert of_each_kind([broken, sound]) == [sound]
    assert of_each_kind([broken, sound | {"ratio": 2}])[0]["l0"] == 17
    assert of_each_kind([broken]) == []
    assert all_broken([broken, sound, row("topk", 0.1, 8) | {"broken": "L0 0.1"}]) == {"topk": 1}
    assert all_broken([broken, broken]) == {"tied": 2}
