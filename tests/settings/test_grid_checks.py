"""No dictionary and no step vanishes behind another one of the same name, and `only` does not narrow to nothing."""

import re

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from sparse_coding.errors import BadInput
from sparse_coding.settings import grid as grids
from sparse_coding.settings import grid_checks, jobs, params_file
from sparse_coding.settings.params import Params
from tests.workspace import make_workspace, snakemake, write_params

L2, L4 = "layer2_residual", "layer4_residual"


@pytest.fixture
def load(tmp_path):
    def of_sections(sections: dict) -> Params:
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(sections))
        return params_file.load(tmp_path / "params.yaml")

    return of_sections


def imported(*names: str) -> dict:
    return {"grid": {"sites": list(names)}, "activations": {"imported": dict.fromkeys(names, "vectors")}}


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            {"grid": {"l1": [0.0012345671, 0.0012345674]}},
            r"grid\.l1: found .*: 0\.0012345671 and 0\.0012345674 are both ",
        ),
        (
            {"grid": {"architectures": ["tied"], "controls": ["step0", "frozen_encoder"]}},
            r"grid\.controls: found frozen_encoder, which tied cannot have; wanted it with one of untied, .*topk",
        ),
        ({"grid": {"controls": ["melted"]}}, r"grid\.controls"),
        (
            {"grid": {"controls": ["step0"], "only": [{"controls": ["frozen_decoder"]}]}},
            r"grid\.only\.0\.controls: found frozen_decoder, not in grid\.controls; wanted one of step0",
        ),
        ({"grid": {"ratios": [1, 2.0000001, 2]}}, r"grid\.ratios: found .*: 2\.0000001 and 2\.0 are both called 2"),
        ({"grid": {"k": [4, "4"]}}, r"grid\.k: found \[4, '4'\]; wanted each value once"),
        ({"grid": {"k": [4, 4.0]}}, r"grid\.k: found \[4, 4\.0\]; wanted each value once"),
        ({"grid": {"seeds": [1, "01"]}}, r"grid\.seeds: found \[1, '01'\]; wanted each value once"),
        ({"grid": {"sites": [L2, L2]}}, r"grid\.sites: found .*; wanted each value once"),
        ({"toy": {"l1": [1e-9, 1.0000001e-9]}}, r"toy\.l1: found .*: 1e-09 and 1\.0000001e-09 are both called 1e-09"),
        ({"toy": {"ratios": [0.5, 0.50000001]}}, r"toy\.ratios: found .*: 0\.5 and 0\.50000001 are both called 0\.5"),
        ({"baselines": {"topk": [4, 8, 4]}}, r"baselines\.topk: found \[4, 8, 4\]; wanted each value once"),
        ({"baselines": {"methods": ["pca", "pca"]}}, r"baselines\.methods: found .*; wanted each value once"),
        (
            imported("summary"),
            r"grid\.sites: found the summary of all sites and summary, .* both have evaluation_summary",
        ),
        (imported("x", "tables_x"), r"grid\.sites: found x and tables_x, which would both have evaluation_tables_x"),
        (imported("tables_x", "x"), r"grid\.sites: found tables_x and x, which would both have evaluation_tables_x"),
        (imported("x", "X"), r"grid\.sites: found x and X, which would both have results/\*/X"),
        (
            {"grid": {"sites": [L2, f"random_{L2}"]}, "activations": {"imported": {f"random_{L2}": "vectors"}}},
            rf"grid\.sites: found random_{L2} and the control of {L2}, which would both have results/\*/random_{L2}",
        ),
        (imported("../x"), r"activations\.imported: found '\.\./x'; wanted letters, digits"),
        (imported("a.b"), r"activations\.imported: found 'a\.b'; wanted letters, digits"),
        (imported(""), r"activations\.imported: found ''; wanted letters, digits"),
    ],
)
def test_two_things_of_one_name_are_refused_and_both_named(load, sections, message):
    with pytest.raises(BadInput, match=message):
        load(sections)


def test_names_that_only_look_alike_are_taken(load):
    params = load(imported("x", "logs", "tables", "toy", "all", "plots", "x_tied_r4", "rows"))
    names = [job.name for job in jobs.every(params)]
    assert len(set(names)) == len(names)


SITES = st.lists(
    st.sampled_from(
        ["x", "tables_x", "tables_tables_x", "summary", "tables", "x_tied_r4", "tied_r4", "un", "x_un", L2]
    ),
    min_size=1,
    max_size=4,
    unique=True,
)


@given(SITES, st.lists(st.floats(0.1, 9), min_size=1, max_size=4, unique=True))
def test_whatever_grid_is_taken_has_a_name_for_each_step_and_each_dictionary(sites, ratios):
    own = dict.fromkeys((site for site in sites if site != L2), "vectors")
    raw = {"grid": {"sites": sites, "ratios": ratios}, "activations": {"imported": own}, "toy": {"ratios": ratios}}
    try:
        params = Params.model_validate(raw)
        grid_checks.check("params.yaml", params)  # type: ignore[arg-type]
    except (ValueError, BadInput):
        assume(False)
    made = list(jobs.every(params))
    assert len({job.name for job in made}) == len(made)
    assert len({f"{job.name}.log".casefold() for job in made}) == len(made)
    n = sum(len(job.members) for job in made if job.stage == "dictionaries")
    grid = params.grid
    n_sites = len(grid.sites)
    assert n == n_sites * len(ratios) * (2 * len(grid.l1) + len(grid.k)) + (L2 in sites)


def test_snakemake_says_so_before_any_job(tmp_path):
    folder = make_workspace(tmp_path / "project", imported("x", "tables_x"))
    done = snakemake(folder, "-n")
    assert done.returncode == 1
    assert re.search(r"^params\.yaml: grid\.sites: found x and tables_x, which would both", done.stdout, re.MULTILINE)
    write_params(folder, {"grid": {"l1": [0.1, 0.10000001]}})
    assert "0.1 and 0.10000001 are both called 0.1" in snakemake(folder, "-n").stdout


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (
            {"only": [{"ratios": [3]}]},
            r"grid\.only\.0\.ratios: found 3, not in grid\.ratios; wanted one of 1, 2, 4: this",
        ),
        (
            {"architectures": ["tied"], "only": [{"architectures": ["tied"]}, {"architectures": ["topk"]}]},
            r"grid\.only\.1\.architectures: found topk, not in grid\.architectures; wanted one of tied: this part",
        ),
        (
            {"only": [{"sites": ["layer2_residul"]}, {}]},
            r"grid\.only\.0\.sites: found layer2_residul, not in grid\.sites",
        ),
        (
            {"architectures": ["tied"], "only": [{"strengths": ["k", "l0"]}]},
            r"grid\.only\.0\.strengths: found k, l0, lists of which no architecture of this part has members; "
            r"wanted one of l1: this part",
        ),
        (
            {"architectures": ["tied", "topk"], "only": [{"architectures": ["topk"], "strengths": ["l1"]}]},
            r"grid\.only\.0\.strengths: found l1, lists .*; wanted one of k: this part matches nothing",
        ),
        (
            {
                "architectures": ["tied", "rica"],
                "l0": [8],
                "only": [{"architectures": ["tied", "rica"], "strengths": ["l0"]}],
            },
            r"grid\.only\.0\.strengths: found l0, from which rica has no members \(its codes are never 0, so it cannot "
            r"wish an L0\); wanted l1 too, or no rica in this part$",
        ),
        (
            {"architectures": ["tied", "topk"], "only": [{}, {"architectures": ["tied", "topk"], "strengths": ["l1"]}]},
            r"grid\.only\.1\.strengths: found l1, from which topk has no members; wanted k too, or no topk in this ",
        ),
        (
            {"architectures": ["rica"], "l0": [8, 16], "only": [{"architectures": ["rica"], "strengths": ["l1"]}]},
            r"grid\.l0: found 8, 16, which rica cannot wish: its codes are never 0; wanted an empty list, or an arch",
        ),
        (
            {
                "architectures": ["tied", "untied"],
                "controls": ["frozen_encoder"],
                "only": [{"architectures": ["tied"], "controls": ["frozen_encoder"]}, {}],
            },
            r"grid\.only\.0\.controls: found frozen_encoder, which tied cannot have; wanted no frozen_encoder here, ",
        ),
        ({"only": [{"strengths": ["l2"]}]}, r"grid\.only\.0\.strengths\.0: found 'l2'; wanted 'l1', 'k' or 'l0'"),
        (
            {"architectures": ["tied", "topk"], "l0": [8, 2.5, 3.5]},
            r"grid\.l0: found 2\.5, 3\.5, from which topk has members; wanted whole numbers; or `strengths`",
        ),
        ({"l0": [0]}, r"grid\.l0\.0: found 0; wanted"),
        ({"l0": [-2]}, r"grid\.l0\.0: found -2; wanted"),
        ({"only": [{"ratios": []}]}, r"grid\.only\.0\.ratios: found an empty list, which matches nothing"),
        (
            {"sites": [L4], "only": [{"sites": [L2]}]},
            rf"grid\.only: found no part that allows {L4} a dictionary; wanted",
        ),
        ({"sites": [L2, L4], "only": [{"sites": [L2]}]}, rf"grid\.only: found no part that allows {L4} a dictionary"),
    ],
)
def test_an_only_that_matches_nothing_is_refused(load, grid, message):
    with pytest.raises(BadInput, match=message):
        load({"grid": grid})


def test_a_site_that_is_switched_off_is_told_and_its_parts_sleep(load, capsys):
    load({"grid": {"sites": [L4], "only": [{"sites": [L2]}, {"sites": [L2, L4]}]}})
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("params.yaml: ")[2] for line in lines] == [
        f"grid.only.{part}.sites: {L2}, not in grid.sites: nothing is trained for it" for part in (0, 1)
    ]
    load({"grid": {"sites": [L2], "only": [{"sites": [L2]}]}})
    own = [{"architectures": ["tied"]}, {"architectures": ["topk"], "strengths": ["k"]}]
    load({"grid": {"sites": [L2], "architectures": ["tied", "topk"], "l0": [2.5], "only": own}})
    assert capsys.readouterr().err == ""


def test_each_architecture_of_a_part_takes_its_own_of_several_strengths(load, capsys):
    kinds = ["tied", "topk", "rica"]
    lists = {"architectures": kinds, "l1": [0.002], "k": [8], "l0": [16], "ratios": [1], "sites": [L2]}
    for strengths in (["l1", "k"], ["l0", "l1"]):
        params = load({"grid": {**lists, "only": [{"architectures": kinds, "strengths": strengths}]}})
        assert [cell.architecture for cell in grids.cells(params, L2)] == kinds
    own = [{"architectures": ["tied"], "controls": []}, {"architectures": ["untied"]}]
    load({"grid": {"architectures": ["tied", "untied"], "controls": ["frozen_encoder"], "sites": [L2], "only": own}})
    assert capsys.readouterr().err == ""


def test_an_architecture_of_which_no_part_makes_a_member_without_naming_it_is_told(load, capsys):
    kinds = {"architectures": ["tied", "topk", "rica"], "l0": [16], "sites": [L2]}
    load({"grid": {**kinds, "only": [{"strengths": ["l0"]}]}})
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("no part that allows rica a dictionary (its codes are never 0, so it cannot wish an L0)")
    load({"grid": {**kinds, "only": [{"strengths": ["l0"]}, {"architectures": ["rica"]}]}})
    load({"grid": {**kinds, "only": [{"architectures": ["tied"]}]}})  # the others are not meant
    assert capsys.readouterr().err == ""
