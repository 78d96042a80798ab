"""Whether a dictionary is the one that params.yaml asks for: as Snakemake would say it, at once and without it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sparse_coding.errors import BadInput
from sparse_coding.settings import wanted
from sparse_coding.workflow import dump
from sparse_coding.workflow.stamps import Stamp
from tests.workspace import ROOT, make_workspace, write_params

PARAMS: dict[str, Any] = {
    "grid": {"sites": ["layer2_residual", "mine"], "architectures": ["tied", "topk"], "ratios": [1, 2],
             "l1": [0.001, 0.002], "k": [4]},
    "model": {"name": "models/pydocs-6l"},
    "activations": {"imported": {"mine": "vectors"}},
}  # fmt: skip
CONTROL = "random_layer2_residual"
NAME = "results/dictionaries/layer2_residual/tied_r2_l1-0.001_s0.safetensors"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A checkout with a model and vectors, in which nothing was made."""
    folder = make_workspace(tmp_path_factory.mktemp("wanted") / "checkout", PARAMS)
    (folder / "models" / "pydocs-6l").symlink_to(ROOT / "models" / "pydocs-6l")
    (folder / "vectors").mkdir()
    (folder / "vectors" / "x.npy").write_bytes(b"not read")
    return folder


@pytest.fixture(scope="module")
def declared_by_rules(checkout) -> dump.Dump:
    return dump.of_checkout(checkout)


@pytest.fixture
def asked(checkout, monkeypatch):
    """Ask with other params; those of the beginning come back."""
    monkeypatch.chdir(checkout)

    def ask(site: str = "layer2_residual", **sections: Any) -> wanted.Wanted:
        write_params(checkout, PARAMS | sections)
        return wanted.Wanted(checkout, site)

    yield ask
    write_params(checkout, PARAMS)


def stamp_of(dumped: dump.Dump, artifact: str) -> Stamp:
    """The stamp that the step would write."""
    found = dumped["artifacts"][artifact]
    local = {name: each for name, each in dumped["artifacts"].items() if dumped["jobs"][each["job"]]["local"]}
    upstream = {each["key"]: each["record"] for each in local.values()}
    return Stamp(found["key"], found["record"], {}, upstream=upstream)


@pytest.mark.parametrize("site", ["layer2_residual", CONTROL, "mine"])
def test_it_asks_for_what_the_rules_declare(asked, declared_by_rules, site):
    found = asked(site).graph.artifacts
    of_site = [path for path in declared_by_rules["artifacts"] if Path(path).parent.name == site]
    of_site = [path for path in of_site if path.split("/")[1] in ("dictionaries", "baselines")]
    assert of_site
    assert set(of_site) <= found.keys()
    for path, artifact in found.items():
        assert artifact.key == declared_by_rules["artifacts"][path]["key"], path


def test_nothing_differs_where_nothing_was_changed(asked, declared_by_rules):
    now, stamp = asked(), stamp_of(declared_by_rules, NAME)
    assert now.differences(NAME, stamp) == []
    assert not now.has_newer_code(NAME, stamp)


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"dictionaries": {"steps": 7}}, "training.steps: 1000 -> 7"),
        ({"dataset": {"context": 64}}, "results/dataset/tokens.h5: dataset.context: 128 -> 64"),
        ({"activations": PARAMS["activations"] | {"dtype": "float32"}}, "activations.dtype: float16 -> float32"),
    ],
)
def test_both_settings_are_named(asked, declared_by_rules, sections, said):
    (found,) = asked(**sections).differences(NAME, stamp_of(declared_by_rules, NAME))
    assert found.endswith(said)


def test_settings_of_others_do_not_count(asked, declared_by_rules):
    now = asked(baselines={"ica_rows": 9}, autointerp={"features": 3}, grid=PARAMS["grid"] | {"k": [4, 8]})
    assert now.differences(NAME, stamp_of(declared_by_rules, NAME)) == []


def test_what_is_not_asked_for_any_more_is_said(asked, declared_by_rules):
    now = asked(grid=PARAMS["grid"] | {"l1": [0.003]})
    assert now.differences(NAME, stamp_of(declared_by_rules, NAME)) == ["params.yaml does not ask for it"]
    assert wanted.Wanted(Path.cwd(), "another").differences(NAME, stamp_of(declared_by_rules, NAME))


def test_an_input_from_outside(asked, checkout, declared_by_rules):
    name = "results/dictionaries/mine/tied_r2_l1-0.001_s0.safetensors"
    stamp = stamp_of(declared_by_rules, name)
    assert asked("mine").differences(name, stamp) == []
    (checkout / "vectors" / "x.npy").write_bytes(b"others")
    (found,) = wanted.Wanted(checkout, "mine").differences(name, stamp)
    assert "vectors" in found
    assert "was changed" in found


def test_newer_code_is_no_other_setting(asked, declared_by_rules):
    stamp = stamp_of(declared_by_rules, NAME)
    older = Stamp("0" * 32, stamp.record | {"source": "0" * 32}, {}, upstream=stamp.upstream)
    now = asked()
    assert now.differences(NAME, older) == []
    assert now.has_newer_code(NAME, older)


def test_a_checkout_is_asked_from_anywhere_and_no_other_folder_is(
    checkout, declared_by_rules, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    path, stamp = checkout / NAME, stamp_of(declared_by_rules, NAME)
    wanted.check(path, checkout / "results", "layer2_residual", stamp)
    older = Stamp("0" * 32, stamp.record | {"source": "0" * 32}, {}, upstream=stamp.upstream)
    assert capsys.readouterr().err == ""
    wanted.check(path, checkout / "results", "layer2_residual", older)
    assert "made by earlier code" in capsys.readouterr().err
    with pytest.raises(BadInput, match="found no stamp, so nothing says what it was made with"):
        wanted.check(path, checkout / "results", "layer2_residual", None)
    write_params(checkout, PARAMS | {"dictionaries": {"steps": 7}})
    with pytest.raises(BadInput, match=r"training.steps: 1000 -> 7.*stale=True"):
        wanted.check(path, checkout / "results", "layer2_residual", stamp)
    write_params(checkout, PARAMS)
    wanted.check(tmp_path / NAME, tmp_path / "results", "layer2_residual", None)


@pytest.mark.parametrize("name", ["results", "res", "real"])
def test_a_results_folder_is_known_under_each_of_its_names(checkout, declared_by_rules, tmp_path, monkeypatch, name):
    """A link in the place of `results`; a link to it under another name, within and elsewhere; where it leads."""
    monkeypatch.chdir(checkout)
    real = tmp_path / "elsewhere" / "symres"
    real.mkdir(parents=True)
    (checkout / "results").symlink_to(real)
    (checkout / "res").symlink_to("results")
    given = real if name == "real" else Path(name)
    write_params(checkout, PARAMS | {"dictionaries": {"steps": 7}})
    try:
        with pytest.raises(BadInput, match=r"training.steps: 1000 -> 7"):
            wanted.check(given / "x", given, "layer2_residual", stamp_of(declared_by_rules, NAME))
        if name != "real":
            monkeypatch.chdir(tmp_path)
            with pytest.raises(BadInput, match=r"training.steps: 1000 -> 7"):
                wanted.check(given / "x", checkout / given, "layer2_residual", stamp_of(declared_by_rules, NAME))
    finally:
        write_params(checkout, PARAMS)
        for link in ("results", "res"):
            (checkout / link).unlink()


def test_a_link_from_elsewhere_leads_to_the_checkout(checkout, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (checkout / "results").mkdir()
    (tmp_path / "mine").symlink_to(checkout / "results")
    with pytest.raises(BadInput, match="found no stamp"):
        wanted.check(tmp_path / "mine" / "x", Path("mine"), "layer2_residual", None)
    (checkout / "results").rmdir()


def test_what_is_missing_is_said_to_be_asked_for_or_not(checkout, tmp_path, monkeypatch):
    monkeypatch.chdir(checkout)
    with pytest.raises(
        BadInput, match=r"no such file, though params\.yaml asks for it; wanted it: run `snakemake`, whi"
    ):
        wanted.check_is_there(Path(NAME), Path("results"), "layer2_residual", NAME)
    other = NAME.replace("0.001", "0.009")
    with pytest.raises(BadInput, match=r"no such file, and params\.yaml does not ask for it; wanted one that it asks"):
        wanted.check_is_there(Path(other), Path("results"), "layer2_residual", other)
    wanted.check_is_there(tmp_path / NAME, tmp_path / "results", "layer2_residual", NAME)


def test_it_takes_no_time_and_no_torch(checkout):
    """Processor time of a second look, the best of three: what was read in code files is remembered."""
    code = """if True:
        import time, sys
        from pathlib import Path
        from sparse_coding.settings import wanted
        times = []
        for _ in range(4):
            start = time.thread_time()
            wanted.Wanted(Path.cwd(), "layer2_residual")
            times.append(time.thread_time() - start)
        assert not {"torch", "snakemake", "transformers"} & set(sys.modules), sorted(sys.modules)
        print(min(times[1:]))"""
    done = subprocess.run([sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 0.2
