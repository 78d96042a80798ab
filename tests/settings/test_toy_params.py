"""The section toy: what it refuses, which cells it has, and what each of their members sees."""

import pytest

from sparse_coding.errors import BadInput
from sparse_coding.settings import params_file
from sparse_coding.settings.params import Params
from sparse_coding.settings.slices import split, toy
from sparse_coding.settings.slices.toy import ToySlice
from tests.workspace import ROOT, write_params


@pytest.mark.parametrize(
    ("toy", "message"),
    [
        ({"l1": []}, r"toy\.l1: found \[\]; wanted at least one value"),
        ({"seeds": [1, 1]}, r"toy\.seeds: found \[1, 1\]; wanted each value once"),
        ({"l1": [-1]}, r"toy\.l1\.0: found -1; wanted greater than or equal to 0"),
        ({"conditions": ["both"]}, r"toy\.conditions\.0: found 'both'; wanted 'independent' or 'correlated'"),
        ({"l1_scaling": "mean"}, r"toy\.l1_scaling: found 'mean'; wanted 'per_feature' or 'sum'"),
        ({"d_act": 1}, r"toy\.d_act: found 1; wanted greater than or equal to 2"),
        ({"ratios": [1, 0.001]}, r"toy\.ratios: found .*; wanted at least 0\.0078125: one feature for 128 true ones"),
        ({"ratios": [1, 2, 1.001]}, r"wanted ratios further apart: 1 and 1\.001 are both 128 features"),
        (
            {"decay": 0.5, "true_features": 10},
            r"toy\.decay: found 0\.5; wanted a slower decay, a smaller mean_active than 5 .* with probability 2\.5",
        ),
        ({"true_features": 4}, r"toy\.decay: found 0\.99; wanted .* more true_features than 4: .* probability 1\.27"),
        ({"epochs": 1}, r"toy\.epochs: found an unknown key \(value 1\); wanted one of steps, batch, "),
    ],
)
def test_a_mistake_is_named_with_its_field_and_value(tmp_path, toy, message):
    write_params(tmp_path, {"toy": toy})
    with pytest.raises(BadInput, match=message) as caught:
        params_file.load(tmp_path / "params.yaml")
    assert "\n" not in str(caught.value)


def cells(**given) -> dict[str, ToySlice]:
    return {cell.name: cell for cell in toy.cells(Params.model_validate({"toy": given}).toy)}


def test_a_cell_is_a_size_condition_and_seed_and_a_member_is_named_by_its_own_settings():
    found = cells(ratios=[2, 0.5], l1=[0.3, 0.1], seeds=[0, 3], architecture="tied")
    assert list(found) == [
        f"{condition}_r{ratio}_s{seed}"
        for condition in ("independent", "correlated")
        for seed in (0, 3)
        for ratio in ("0.5", "2")
    ]
    assert found["correlated_r0.5_s3"].members == {"tied_r0.5_l1-0.3_s3": 0.3, "tied_r0.5_l1-0.1_s3": 0.1}


def test_what_a_member_sees_does_not_depend_on_the_rest_of_the_grid():
    def seen(cell):
        deciding, free = split(cell)
        assert free == {}
        return deciding | {"members": {name: deciding["members"][name] for name in ["untied_r2_l1-0.3_s0"]}}

    few = cells(ratios=[2], l1=[0.3])["independent_r2_s0"]
    many = cells(ratios=[1, 2, 4], l1=[0.1, 0.3], seeds=[1, 0], conditions=["independent"])["independent_r2_s0"]
    assert seen(few) == seen(many)
    assert seen(few) != seen(cells(ratios=[2], l1=[0.3], steps=7)["independent_r2_s0"])


def test_the_preset_has_the_published_ranges():
    published = params_file.load(ROOT / "presets" / "toy.yaml").toy
    assert published.l1 == pytest.approx([10 ** (exponent / 4) for exponent in range(-8, 9)], rel=1e-4)
    assert list(published.ratios) == [2.0**exponent for exponent in range(-2, 6)]
    assert (published.true_features, published.d_act, published.mean_active, published.decay) == (512, 256, 5, 0.99)
    assert (published.batch, published.l1_scaling) == (4096, "per_feature")


def test_the_preset_changes_nothing_but_the_toy():
    shipped, preset = (params_file.load(ROOT / name) for name in ("params.yaml", "presets/toy.yaml"))
    assert preset.model_copy(update={"toy": shipped.toy}) == shipped
