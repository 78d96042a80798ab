"""Pairs of places as sites: their names, what is harvested for them, which architectures fit, what is refused."""

from pathlib import Path

import pytest

from sparse_coding.errors import BadInput
from sparse_coding.settings import declared, grid, jobs, params_file, sites
from sparse_coding.settings.params import Params
from tests.workspace import write_params

PAIR = "layer2_mlpin_to_mlpout"
GRID = {
    "sites": [PAIR, "layer2_mlpout", "layer1_residual"], "architectures": ["topk", "transcoder"], "ratios": [2],
    "k": [4],
}  # fmt: skip


def params(**sections) -> Params:
    return Params.model_validate({"grid": GRID} | sections)


def test_a_name_is_read_back_and_so_is_its_control():
    site = sites.parse(PAIR)
    assert (site.name, site.control.name, site.control.trained) == (PAIR, f"random_{PAIR}", site)
    assert [place.name for place in site.control.places] == ["random_layer2_mlpin", "random_layer2_mlpout"]
    assert sites.places("layer2_mlpout") == ("layer2_mlpout",)


def test_each_place_is_harvested_once_and_a_pair_reads_both():
    (_, _, trained), (_, _, control) = grid.passes(params(autointerp={"random_weights": {}}))
    assert trained == ["layer2_mlpin", "layer2_mlpout", "layer1_residual"]
    assert control == [f"random_{place}" for place in trained]
    assert declared.vectors_of(PAIR) == {
        "activations": "results/activations/layer2_mlpin.h5", "targets": "results/activations/layer2_mlpout.h5"
    }  # fmt: skip
    apart = params(activations={"sites_per_pass": 1})
    assert jobs.harvests_of(apart, PAIR) == ("activations_model_0", "activations_model_1")
    assert jobs.harvests_of(apart, "layer2_mlpout") == ("activations_model_1",)


def test_architectures_stand_where_they_fit():
    cells = {site: [cell.name for cell in grid.cells(params(), site)] for site in GRID["sites"]}
    assert cells == {PAIR: ["transcoder_r2"], "layer2_mlpout": ["topk_r2"], "layer1_residual": ["topk_r2"]}


@pytest.mark.parametrize(
    ("changes", "imported", "message"),
    [
        ({"sites": ["layer2_mlpin_to_layer3_mlpout"]}, [], "'layer2_mlpin_to_layer3_mlpout'; wanted two places"),
        ({"sites": ["layer2_mlpin_to_random_layer2_mlpout"]}, [], "wanted two places of one layer of one model"),
        ({"sites": ["random_layer2_mlpin_to_layer2_mlpout"]}, [], "wanted two places of one layer of one model"),
        ({"sites": [f"random_{PAIR}"]}, [], f"wanted {PAIR}: its control comes with autointerp.random_weights"),
        ({"sites": ["layer2_mlpout_to_mlpin"]}, [], "wanted two places of one layer of one model"),
        ({"sites": ["mine_to_layer2_mlpout"]}, ["mine"], "'mine_to_layer2_mlpout', a pair of imported vectors; wanted"),
        ({}, [PAIR], f"activations.imported: found '{PAIR}', as a pair is called"),
        ({"sites": [PAIR, "layer2_mlpout"]}, ["layer2_mlpout"], "whose file would be that of a place of a pair"),
        ({"sites": ["layer2_mlpout"]}, [], "transcoder, which fits none of grid.sites; wanted a site layerN_mlpin_to"),
        ({"architectures": ["topk"]}, [], f"{PAIR}, which none of grid.architectures fits; wanted one of transcoder"),
        (
            {"only": [{"sites": [PAIR], "architectures": ["topk"]}, {"sites": GRID["sites"]}]}, [],
            f"grid.only.0: found topk at {PAIR}, which they do not fit",
        ),
    ],
)  # fmt: skip
def test_what_is_no_pair_or_fits_nothing_is_refused(tmp_path: Path, changes, imported, message):
    folders = {"imported": dict.fromkeys(imported, "vectors")}
    write_params(tmp_path, {"grid": GRID | changes, "activations": folders})
    with pytest.raises(BadInput) as error:
        params_file.load(tmp_path / "params.yaml")
    assert message in str(error.value)
