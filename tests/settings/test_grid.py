"""Which dictionaries there are, and names that stay when the grid grows."""

import math
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_coding import methods
from sparse_coding.settings import grid, slices
from sparse_coding.settings.params import Baselines, Grid, Params

SITE, OTHER = "layer2_residual", "layer4_residual"
ARCHITECTURES = tuple(kind for kind in methods.LEARNED if not methods.of(kind).pairs)
# Settings as a person writes them: a few digits.
NUMBERS = st.integers(1, 9999).map(lambda n: n / 10_000)


def lists(values, most=4):
    return st.lists(values, min_size=1, max_size=most, unique=True)


GRIDS = st.fixed_dictionaries(
    {
        "architectures": lists(st.sampled_from(ARCHITECTURES)),
        "ratios": lists(st.sampled_from([0.5, 1, 2, 4, 8, 16])),
        "l1": lists(NUMBERS),
        "k": lists(st.integers(1, 200)),
        "l0": lists(NUMBERS.map(lambda number: 1000 * number)),
        "seeds": lists(st.integers(0, 99), most=3),
    }
)


def a_grid(**lists_of_values) -> Params:
    return Params.model_validate({"grid": {"sites": [SITE]} | lists_of_values})


def names(params: Params, site: str = SITE) -> list[str]:
    return [name for cell in grid.cells(params, site) for name in cell.member_names]


def settings_of(params: Params) -> dict[str, tuple]:
    """Everything that makes a member what it is, by name."""
    return {
        name: (cell.architecture, cell.ratio, member)
        for cell in grid.cells(params, SITE)
        for name, member in zip(cell.member_names, cell.members, strict=True)
    }


@given(GRIDS)
def test_a_name_means_one_member(values):
    found = names(a_grid(**values))
    assert len(set(found)) == len(found)
    # Of RICA no code is ever 0: there is no L0 to wish for.
    lists = [{methods.of(kind).strength, *(["l0"] if kind != "rica" else [])} for kind in values["architectures"]]
    n = sum(len(values[name]) for own in lists for name in own)
    assert len(found) == n * len(values["ratios"]) * len(values["seeds"])


@given(GRIDS, GRIDS)
def test_names_stay_when_the_grid_grows(values, more):
    grown = {key: list(dict.fromkeys([*more[key], *values[key]])) for key in values}
    before, after = settings_of(a_grid(**values)), settings_of(a_grid(**grown))
    assert before.items() <= after.items()


@given(GRIDS, st.randoms())
def test_names_do_not_depend_on_the_order_of_lists(values, random):
    shuffled = {key: random.sample(value, len(value)) for key, value in values.items()}
    assert settings_of(a_grid(**values)) == settings_of(a_grid(**shuffled))


def test_names_read_as_the_readme_says():
    params = a_grid(ratios=[0.5, 4], l1=[0.002], k=[8], seeds=[3])
    assert names(params) == [
        "tied_r0.5_l1-0.002_s3",
        "tied_r4_l1-0.002_s3",
        "untied_r0.5_l1-0.002_s3",
        "untied_r4_l1-0.002_s3",
        "topk_r0.5_k8_s3",
        "topk_r4_k8_s3",
    ]
    assert names(a_grid(architectures=["jumprelu"], ratios=[4], l0=[16, 2.5], seeds=[0])) == [
        "jumprelu_r4_l0-16_s0",
        "jumprelu_r4_l0-2.5_s0",
    ]


def test_a_wished_l0_makes_members_beside_those_of_a_kinds_own_list():
    params = a_grid(architectures=["tied", "topk", "jumprelu"], ratios=[4], l1=[0.002], k=[8], l0=[16, 3])
    assert names(params) == [
        "tied_r4_l1-0.002_s0", "tied_r4_l0-16_s0", "tied_r4_l0-3_s0",
        "topk_r4_k8_s0", "topk_r4_l0-16_s0", "topk_r4_l0-3_s0",
        "jumprelu_r4_l0-16_s0", "jumprelu_r4_l0-3_s0",
    ]  # fmt: skip
    rows = slices.evaluation(params, SITE).members
    assert [rows[f"{kind}_r4_l0-16_s0"].l0_target for kind in ("tied", "topk")] == [16, 16]
    assert rows["topk_r4_l0-16_s0"].k == 16


def test_vectors_are_counted_for_a_wish_alone_and_not_where_codes_are():
    """So that no key of another member has the setting."""
    params = a_grid(architectures=["tied", "topk", "batchtopk"], ratios=[4], l1=[0.002], k=[8], l0=[16])
    rows = {name: member.l0_rows for name, (_, _, member) in settings_of(params).items()}
    counting = {"tied_r4_l0-16_s0", "batchtopk_r4_l0-16_s0"}
    assert {name for name, own in rows.items() if own is not None} == counting
    (cell, *_) = grid.cells(params, SITE)
    deciding, _ = slices.split(slices.dictionaries(params, cell))
    assert deciding["members"]["tied_r4_l1-0.002_s0"] == {"seed": 0, "l1": 0.002}
    assert deciding["members"]["tied_r4_l0-16_s0"] == {"seed": 0, "l0": 16, "l0_rows": 4096}


@given(GRIDS, st.lists(st.sampled_from(sorted(methods.STRENGTHS)), min_size=1, unique=True))
def test_only_takes_lists_away_and_nothing_else(values, strengths):
    whole, part = a_grid(**values), a_grid(**values, only=[{"strengths": strengths}])
    wanted = {name: each for name, each in settings_of(whole).items() if each[2].strength in strengths}
    assert settings_of(part) == wanted
    assert all(cell.members for cell in grid.cells(part, SITE))


def test_jumprelu_by_its_wish_and_tied_by_its_l1():
    only = [{"architectures": ["jumprelu"]}, {"architectures": ["tied"], "strengths": ["l1"]}]
    params = a_grid(architectures=["tied", "jumprelu"], ratios=[4], l1=[0.002], l0=[16], only=only)
    assert names(params) == ["tied_r4_l1-0.002_s0", "jumprelu_r4_l0-16_s0"]


def test_of_each_list_the_nearest_is_scored():
    values = {"architectures": ["tied"], "ratios": [4], "l1": [0.001, 0.002], "l0": [7, 15]}
    params = Params.model_validate({"grid": {"sites": [SITE]} | values, "autointerp": {"members": {"l1": 0.002}}})
    (cell,) = [grid.scored(params, cell) for cell in grid.cells(params, SITE)]
    assert cell.member_names == ["tied_r4_l1-0.002_s0", "tied_r4_l0-7_s0"]
    assert control_names(values | {"l0": [16]}) == ["tied_r4_l1-0.002_s0"]  # both are what is asked for


@pytest.mark.parametrize(
    "only", [[], [{"architectures": ["tied"]}, {"architectures": ["topk"], "ratios": [4]}], [{"sites": [OTHER]}]]
)
def test_only_narrows_the_product(only):
    params = Params.model_validate({"grid": {"sites": [SITE, OTHER], "ratios": [1, 4], "only": only}})
    for site in (SITE, OTHER):
        expected = {
            (architecture, ratio)
            for architecture, ratio in product(params.grid.architectures, (1, 4))
            if not only
            or any(
                site in part.get("sites", [site])
                and architecture in part.get("architectures", [architecture])
                and ratio in part.get("ratios", [ratio])
                for part in only
            )
        }
        cells = grid.cells(params, site)
        assert {(cell.architecture, cell.ratio) for cell in cells} == expected
        assert len(cells) == len(expected)


def test_a_control_has_one_member_and_no_baselines():
    params = a_grid()
    control = grid.control_site(params, SITE)
    assert control == "random_layer2_residual"
    assert names(params, control) == ["tied_r4_l1-0.002_s0"]
    assert [row.kind for row in slices.autointerp(params, control).members.values()] == ["tied"]
    without = params.model_copy(update={"autointerp": params.autointerp.model_copy(update={"random_weights": None})})
    assert grid.control_site(without, SITE) is None
    assert grid.cells(without, control) == []


def control_names(grid_values, **random_weights) -> list[str]:
    params = Params.model_validate(
        {"grid": {"sites": [SITE]} | grid_values, "autointerp": {"members": "all", "random_weights": random_weights}}
    )
    return names(params, "random_layer2_residual")


@pytest.mark.parametrize(
    ("values", "control", "name"),
    [
        ({"ratios": [1, 2]}, {}, "tied_r2_l1-0.002_s0"),  # no ratio 4
        ({"l1": [0.0005, 0.01]}, {}, "tied_r4_l1-0.0005_s0"),  # a quarter, not five times as much
        ({"architectures": ["topk", "untied"]}, {}, "untied_r4_l1-0.002_s0"),
        ({"architectures": ["topk"], "k": [16, 64]}, {}, "topk_r4_k16_s0"),
        ({"architectures": ["jumprelu"], "l0": [4, 30]}, {}, "jumprelu_r4_l0-30_s0"),
        (
            {"architectures": ["jumprelu", "tied"], "l0": [4, 30]},
            {"architecture": "jumprelu", "l0": 5},
            "jumprelu_r4_l0-4_s0",
        ),
        ({"seeds": [1, 5]}, {"seed": 4}, "tied_r4_l1-0.002_s5"),
        ({"l1": [0, 0.001]}, {"l1": 0}, "tied_r4_l1-0_s0"),
        ({"ratios": [8, 2]}, {}, "tied_r2_l1-0.002_s0"),  # both as near
    ],
)
def test_the_control_has_the_settings_of_the_nearest_scored_member(values, control, name):
    assert control_names(values, **control) == [name]


def test_the_control_of_the_default_is_what_its_settings_say():
    params = Params()
    wanted = grid.Cell("random_layer2_residual", "tied", 4, (grid.Member(0, l1=0.002),))
    assert grid.cells(params, "random_layer2_residual") == [wanted]
    assert slices.dictionaries(params, wanted).own == params.dictionaries.tied


def test_the_control_is_among_the_scored_members_only():
    values = {"grid": {"sites": [SITE], "l1": [0.001, 0.002]}, "autointerp": {"members": {"l1": 0.001}}}
    assert names(Params.model_validate(values), "random_layer2_residual") == ["tied_r4_l1-0.001_s0"]


@given(GRIDS, st.randoms(), lists(NUMBERS, most=1), st.sampled_from(["all", {"l1": 0.01, "k": 9, "l0": 3}]))
def test_the_control_is_scored_on_the_trained_model_too_whatever_the_order(values, random, l1, members):
    control = {"autointerp": {"random_weights": {"l1": l1[0]}, "members": members}}
    shuffled = {key: random.sample(value, len(value)) for key, value in values.items()}
    found = set()
    for lists_of_values in (values, shuffled):
        params = Params.model_validate({"grid": {"sites": [SITE]} | lists_of_values} | control)
        scored = slices.autointerp(params, SITE).members
        (name,) = names(params, "random_layer2_residual")
        mine = slices.autointerp(params, "random_layer2_residual").members[name]
        assert mine == scored[name].model_copy(update={"shuffled_null": False})
        assert scored[name].shuffled_null
        found.add(name)
    assert len(found) == 1


def test_imported_sites_have_no_control_and_are_not_harvested():
    params = Params.model_validate(
        {"grid": {"sites": ["mine", SITE]}, "activations": {"imported": {"mine": "vectors"}}}
    )
    assert grid.control_site(params, "mine") is None
    assert grid.harvested_sites(params) == [SITE]
    assert grid.harvested_sites(params.model_copy(update={"grid": Grid(sites=("mine",))})) == []
    assert slices.evaluation(params, "mine").model is None


def test_baselines_are_named_by_method_and_k():
    baselines = Baselines(methods=("pca", "nmf"), topk=(4, 8), topk_methods=("pca",))
    assert grid.baseline_names(baselines, SITE) == ["pca", "nmf", "pca_top4", "pca_top8"]
    names = ["linear_map", "mean", "linear_map_rank4", "linear_map_rank8"]
    assert grid.baseline_names(baselines, "layer2_mlpin_to_mlpout") == names


@given(lists(NUMBERS, most=6), NUMBERS)
def test_the_scored_member_is_the_nearest_on_a_log_scale(l1, wanted):
    params = Params.model_validate(
        {"grid": {"sites": [SITE], "architectures": ["tied"], "ratios": [1], "l1": l1},
         "autointerp": {"members": {"l1": wanted}}}
    )  # fmt: skip
    (cell,) = grid.cells(params, SITE)
    nearest = min(abs(math.log(value / wanted)) for value in l1)
    chosen = [value for value in l1 if abs(math.log(value / wanted)) == nearest]
    assert grid.scored(params, cell).member_names == [f"tied_r1_l1-{value:g}_s0" for value in chosen]


def test_all_members_are_scored_where_all_are_asked_for():
    params = Params.model_validate({"grid": {"sites": [SITE]}, "autointerp": {"members": "all"}})
    for cell in grid.cells(params, SITE):
        assert grid.scored(params, cell).member_names == cell.member_names


CONTROLLED = {"architectures": ["tied", "untied"], "ratios": [4], "l1": [0.002], "controls": list(methods.CONTROLS)}


def test_controls_are_cells_beside_those_of_their_architecture():
    found = [cell.name for cell in grid.cells(a_grid(**CONTROLLED), SITE)]
    of_tied = ["tied_r4", *(f"tied_r4_{control}" for control in methods.CONTROLS if control != "frozen_encoder")]
    assert found == [*of_tied, "untied_r4", *(f"untied_r4_{control}" for control in methods.CONTROLS)]
    assert "tied_r4_frozen_decoder_l1-0.002_s0" in names(a_grid(**CONTROLLED))


@given(GRIDS, st.lists(st.sampled_from(list(methods.CONTROLS)), unique=True))
def test_controls_change_no_name_of_others_and_each_is_one_member(values, controls):
    plain, held = settings_of(a_grid(**values)), names(a_grid(**values, controls=controls))
    assert len(set(held)) == len(held)
    assert plain.keys() <= set(held)
    wanted = {
        f"{cell.name}_{control}"
        for cell in grid.cells(a_grid(**values), SITE)
        for control in controls
        if not (control == "frozen_encoder" and methods.of(cell.architecture).matrices == 1)
    }
    assert {cell.name for cell in grid.cells(a_grid(**values, controls=controls), SITE) if cell.control} == wanted


def test_only_narrows_controls_and_leaves_what_they_control():
    def found(*only):
        return [cell.name for cell in grid.cells(a_grid(**CONTROLLED, only=list(only)), SITE)]

    assert found({"architectures": ["tied"], "controls": ["step0"]}) == ["tied_r4", "tied_r4_step0"]
    assert found({"controls": []}) == ["tied_r4", "untied_r4"]
    assert len(found({"architectures": ["untied"]})) == 5


def test_no_control_has_a_twin_on_random_weights_nor_is_it_the_null():
    params = Params.model_validate(
        {
            "grid": CONTROLLED | {"sites": [SITE], "architectures": ["untied"], "l1": [0.001, 0.002]},
            "autointerp": {"members": {"l1": 0.002}, "random_weights": {"architecture": "untied", "ratio": 4}},
        }
    )
    cell, member = grid.control_twin(params, SITE)
    assert (cell.control, member.l1) == (None, 0.002)
    assert [cell.name for cell in grid.cells(params, f"random_{SITE}")] == ["untied_r4"]
    scored = slices.autointerp(params, SITE).members
    assert {row.control for row in scored.values()} == {None, *methods.CONTROLS}
    assert [row.name for row in scored.values() if row.shuffled_null] == ["untied_r4_l1-0.002_s0"]


def test_a_cell_without_a_control_says_nothing_of_it():
    """So that nothing is stale by there being controls."""
    plain, held = (
        {cell.name: slices.split(slices.dictionaries(params, cell))[0] for cell in grid.cells(params, SITE)}
        for params in (a_grid(**CONTROLLED | {"controls": []}), a_grid(**CONTROLLED))
    )
    assert {name: held[name] for name in plain} == plain
    assert "control" not in plain["tied_r4"]
    assert held["tied_r4_step0"]["control"] == "step0"
