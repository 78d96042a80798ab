"""What load_dictionary hands out is what its stamp says, and knows what was measured of it and of nothing else."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import normalize

from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries, fitted, tables
from sparse_coding.io.tables.evaluation import EVALUATION as COLUMNS
from sparse_coding.io.tables.frequency import FREQUENCY
from sparse_coding.load import load_dictionary
from sparse_coding.workflow import canonical, stamps, vouched
from sparse_coding.workflow.hashes import Hashes
from sparse_coding.workflow.stamps import Stamp

SITE, TIED, PCA = "layer2_residual", "tied_r4_l1-0.002_s0", "pca_top8"
EVALUATION = f"results/evaluation/{SITE}"
FILES = {TIED: f"results/dictionaries/{SITE}/{TIED}.safetensors", PCA: f"results/baselines/{SITE}/{PCA}.safetensors"}
MADE = {
    TIED: {"site": SITE, "architecture": "tied", "ratio": 4.0, "l1": 0.002, "k": None, "seed": 0},
    PCA: {"site": SITE, "method": "pca", "k": 8},
}
X = torch.randn(5, 4, generator=torch.Generator().manual_seed(9))


def a_dictionary(seed: int) -> Dictionary:
    atoms = normalize(torch.randn(6, 4, generator=torch.Generator().manual_seed(seed)), dim=1)
    return Dictionary(atoms, torch.zeros(6), atoms, torch.zeros(4), torch.ones(6))


def stamp(root: Path, *files: str, inputs: tuple[str, ...] = (), lr: float = 0.1) -> Stamp:
    """Write the stamp of an artifact, the first of `files`, made from `inputs` as they are stamped."""
    keys = {path: stamps.read(root / stamps.path_of(path)).key for path in inputs}  # type: ignore[union-attr]
    record = {"step": "s", "makes": files[0], "settings": {"lr": lr}, "source": "c", "inputs": keys}
    digests = Hashes(root, root / ".work").of("test", files)
    written = Stamp(canonical.digest(record), record, {file: str(digests[file]) for file in files})
    stamps.write(root / stamps.path_of(files[0]), written)
    return written


def evaluate(root: Path) -> None:
    """Rows, gains and table of both, with their stamps."""
    rows = []
    for name, l0 in ((TIED, 9.5), (PCA, 8.0)):
        made: dict[str, Any] = {column.name: None if column.nullable else 0 for column in COLUMNS}
        made |= {column: value for column, value in MADE[name].items() if column in made}
        kind = MADE[name].get("architecture", "pca")
        own = made | {"name": name, "kind": kind, "variant": "plain", "path": FILES[name], "l0": l0, "fvu": 0.4}
        own_rows, files = [own], [f"{EVALUATION}/rows/{name}.json", f"{EVALUATION}/rows/{name}.frequency.parquet"]
        if name == TIED:
            own_rows.append(own | {"variant": "gain_refit", "fvu": 0.3})
            files.append(f"{EVALUATION}/gains/{name}.safetensors")
            fitted.save(root / files[-1], "gain_refit", {"gain": torch.full((6,), 2.0)}, root / FILES[name])
        tables.write_json(root / files[0], own_rows)
        tables.write(root / files[1], [], FREQUENCY)
        stamp(root, *files, inputs=(FILES[name],))
        rows += own_rows
    tables.write(root / EVALUATION / "table.parquet", rows, COLUMNS)
    tables.write(root / EVALUATION / "frequency.parquet", [], FREQUENCY)
    row_files = tuple(f"{EVALUATION}/rows/{name}.json" for name in FILES)
    stamp(root, f"{EVALUATION}/table.parquet", f"{EVALUATION}/frequency.parquet", inputs=row_files)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("whole") / "project"
    for index, (name, path) in enumerate(FILES.items()):
        dictionaries.save(root / path, a_dictionary(index), MADE[name])
        (root / path).with_suffix(".log.jsonl").write_text("{}\n")
        stamp(root, path, path.replace(".safetensors", ".log.jsonl"))
    evaluate(root)
    return root


@pytest.fixture
def project(whole, tmp_path, monkeypatch) -> Path:
    """A copy to spoil; the working folder."""
    shutil.copytree(whole, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def by_choice(**more) -> Dictionary:
    return load_dictionary(site=SITE, architecture="tied", l0=10, **more)


def known(dictionary: Dictionary) -> tuple:
    return tuple(getattr(dictionary, name) for name in ("name", "site", "kind", "variant", "l0", "fvu", "path"))


def test_a_loaded_dictionary_knows_what_it_is(project, capsys):
    wanted = (TIED, SITE, "tied", "plain", 9.5, 0.4, FILES[TIED])
    assert (
        known(by_choice()) == known(load_dictionary(FILES[TIED])) == known(load_dictionary(Path(FILES[TIED]))) == wanted
    )
    assert repr(by_choice()) == f"Dictionary({TIED}, {SITE}, tied, [6, 4], L0 9.5, FVU 0.4, {FILES[TIED]})"
    refitted = (TIED, SITE, "tied", "gain_refit", 9.5, 0.3, FILES[TIED])
    assert known(by_choice(gain_refit=True)) == known(load_dictionary(FILES[TIED], gain_refit=True)) == refitted
    assert known(load_dictionary(FILES[PCA])) == (PCA, SITE, "pca", "plain", 8.0, 0.4, FILES[PCA])
    assert known(by_choice().to(torch.float64)) == wanted
    assert capsys.readouterr().err == ""


def test_without_tables_it_knows_what_its_file_says(project, capsys):
    shutil.rmtree("results/evaluation")
    assert known(load_dictionary(FILES[TIED])) == (TIED, SITE, "tied", "plain", None, None, FILES[TIED])
    assert capsys.readouterr().err == ""


def test_from_anywhere(project, tmp_path, monkeypatch, capsys):
    """Relative, absolute, under the home folder, from the results folder itself, and after that was renamed."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for path in (project / FILES[TIED], f"project/{FILES[TIED]}", f"~/project/{FILES[TIED]}"):
        assert load_dictionary(path).l0 == 9.5
        assert load_dictionary(path, gain_refit=True).fvu == 0.3
    for results in (project / "results", "project/results/", "~/project/results"):
        assert by_choice(results=results, gain_refit=True).fvu == 0.3
        assert load_dictionary(project / FILES[TIED], gain_refit=True, results=results).fvu == 0.3
    monkeypatch.chdir(project / "results")
    assert by_choice(results=".").l0 == 9.5
    assert load_dictionary(FILES[TIED].removeprefix("results/"), gain_refit=True).fvu == 0.3
    monkeypatch.chdir(project / "results" / "dictionaries" / SITE)
    assert load_dictionary(f"{TIED}.safetensors", gain_refit=True).fvu == 0.3
    shutil.move(project / "results", tmp_path / "taken home")
    assert by_choice(results=tmp_path / "taken home", gain_refit=True).fvu == 0.3
    assert capsys.readouterr().err == ""


def test_links_in_the_place_of_files_are_followed(project, capsys):
    """As DVC puts them there with `cache.type symlink`."""
    target = project / "cache" / "0123"
    target.parent.mkdir()
    os.replace(FILES[TIED], target)
    Path(FILES[TIED]).symlink_to(target)
    assert known(load_dictionary(FILES[TIED], gain_refit=True))[-3:] == (9.5, 0.3, FILES[TIED])
    assert capsys.readouterr().err == ""


def test_a_file_and_its_stamp_taken_elsewhere_are_still_vouched_for(project, tmp_path, capsys):
    for suffix in ("", ".stamp"):
        shutil.copy(f"{FILES[TIED]}{suffix}", tmp_path)
    found = load_dictionary(tmp_path / f"{TIED}.safetensors")
    assert known(found) == (TIED, SITE, "tied", "plain", None, None, str(tmp_path / f"{TIED}.safetensors"))
    assert capsys.readouterr().err == ""


def test_without_a_stamp_a_line_says_that_nothing_vouches_for_it(project, capsys):
    Path(f"{FILES[TIED]}.stamp").unlink()
    for load in (lambda: load_dictionary(FILES[TIED]), by_choice):
        assert torch.equal(load().encode(X), a_dictionary(0).encode(X))
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"{FILES[TIED]}: there is no stamp beside it, so nothing vouches")


def refused(message: str, *calls) -> None:
    for call in calls:
        with pytest.raises(BadInput, match=message):
            call()


def test_other_bytes_than_those_of_the_stamp_are_refused(project):
    """A whole dictionary, whose own checksum is right."""
    dictionaries.save(project / FILES[TIED], a_dictionary(7), MADE[TIED])
    message = rf"{TIED}\.safetensors: found other bytes than those that {TIED}\.safetensors\.stamp names; wanted"
    refused(message, lambda: load_dictionary(FILES[TIED]), by_choice, lambda: by_choice(gain_refit=True))


def test_the_file_and_stamp_of_another_are_refused(project):
    for suffix in ("", ".stamp"):
        shutil.copy(f"{FILES[PCA]}{suffix}", f"{FILES[TIED]}{suffix}")
    refused(rf"{TIED}.*stamp: found the stamp of {PCA}\.safetensors", lambda: load_dictionary(FILES[TIED]), by_choice)


def test_another_kind_under_the_name_of_one_is_refused_without_stamps_too(project):
    for path in project.rglob("*.stamp"):
        path.unlink()
    shutil.copy(FILES[PCA], FILES[TIED])
    message = rf"{TIED}\.safetensors: found a dictionary of kind pca; wanted tied, as the table says"
    refused(message, lambda: load_dictionary(FILES[TIED]), by_choice)


def test_stamps_that_were_edited_or_are_none_are_refused(project):
    beside = Path(f"{FILES[TIED]}.stamp")
    text = beside.read_text()
    beside.write_text(text.replace('"lr":0.1', '"lr":0.2'))
    refused(r"\.stamp: found a stamp that was edited", lambda: load_dictionary(FILES[TIED]), by_choice)
    for other in ("", "{}", "[1]", text.replace('"files":{', '"files":[{').replace('},"format"', '}],"format"')):
        beside.write_text(other)
        refused(r"\.stamp: found a damaged stamp .*; wanted a stamp", lambda: load_dictionary(FILES[TIED]), by_choice)


def test_gains_are_held_against_the_stamp_of_their_row(project, capsys):
    gain = project / EVALUATION / "gains" / f"{TIED}.safetensors"
    # For this dictionary, and not what was fitted.
    fitted.save(gain, "gain_refit", {"gain": torch.full((6,), 3.0)}, project / FILES[TIED])
    calls = (lambda: load_dictionary(FILES[TIED], gain_refit=True), lambda: by_choice(gain_refit=True))
    refused(rf"gains/{TIED}\.safetensors: found other bytes than those that {TIED}\.json\.stamp names", *calls)
    assert by_choice().gain.tolist() == [1] * 6
    capsys.readouterr()
    (project / EVALUATION / "rows" / f"{TIED}.json.stamp").unlink()
    assert by_choice(gain_refit=True).gain.tolist() == [3] * 6
    assert capsys.readouterr().err.startswith(f"results/evaluation/{SITE}/gains/{TIED}.safetensors: there is no stamp")


def test_a_table_of_other_bytes_chooses_nothing_and_tells_nothing(project, capsys):
    table = project / EVALUATION / "table.parquet"
    rows = tables.read(table, COLUMNS).to_pylist()
    tables.write(table, [row | {"l0": 12.0} for row in rows], COLUMNS)
    message = r"table\.parquet: found other bytes than those that table\.parquet\.stamp names"
    refused(message, by_choice, lambda: load_dictionary(FILES[TIED], gain_refit=True))
    table.write_bytes(b"PAR1")
    stamp(project, f"{EVALUATION}/table.parquet")
    refused(r"table\.parquet: found a damaged file", by_choice)
    capsys.readouterr()
    assert known(load_dictionary(FILES[TIED]))[:6] == (TIED, SITE, "tied", "plain", None, None)
    assert capsys.readouterr().err.startswith(f"the L0 and FVU of {FILES[TIED]} are not known: ")


@pytest.mark.parametrize("evaluated_again", [False, True])
def test_what_was_measured_of_another_version_is_not_said_of_this_one(project, capsys, evaluated_again):
    """Trained anew: the rows are of the old one; or they are new, and the table is of the old rows."""
    dictionaries.save(project / FILES[TIED], a_dictionary(7), MADE[TIED])
    stamp(project, FILES[TIED], lr=0.2)
    if evaluated_again:
        stamp(project, f"{EVALUATION}/rows/{TIED}.json", inputs=(FILES[TIED],))
    refused(rf"table\.parquet: found the L0 of another version of {TIED}", by_choice)
    for load in (lambda: load_dictionary(FILES[TIED]), lambda: by_choice(stale=True)):
        found = load()
        assert torch.equal(found.encode(X), a_dictionary(7).encode(X))
        assert known(found) == (TIED, SITE, "tied", "plain", None, None, FILES[TIED])
        (line,) = capsys.readouterr().err.splitlines()
        assert line.endswith(
            f"{EVALUATION}/table.parquet: its L0 and FVU are those of another version of {FILES[TIED]}"
        )
    assert load_dictionary(FILES[PCA]).l0 == 8.0
    assert capsys.readouterr().err == ""
    evaluate(project)
    assert by_choice().l0 == 9.5


def test_check_bytes_gives_the_stamp(project):
    found = vouched.check_bytes(Path(FILES[TIED]))
    assert found == stamps.read(Path(f"{FILES[TIED]}.stamp"))
    assert vouched.check_bytes(Path(FILES[TIED]).with_suffix(".log.jsonl"), Path(FILES[TIED])) == found
    shutil.copy(FILES[TIED], "results/mine.safetensors")
    assert vouched.check_bytes(Path("results/mine.safetensors")) is None
    refused(
        "mine.safetensors: found other bytes",
        lambda: vouched.check_bytes(Path("results/mine.safetensors"), Path(FILES[TIED])),
    )
    other = replace(found, record={**found.record, "inputs": {}})
    assert vouched.is_made_from(None, found)
    assert vouched.is_made_from(found, None)
    assert not vouched.is_made_from(other, found)


def test_a_folder_and_a_picture_are_named_for_what_they_are(project, capsys):
    Path("results/plots").mkdir()
    Path("results/plots/one.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    refused(
        rf"^results/dictionaries: found a folder; wanted .*: in this folder are {SITE}/{TIED}\.safetensors$",
        lambda: load_dictionary("results/dictionaries"),
        lambda: load_dictionary("results/dictionaries/", gain_refit=False),
    )
    refused(r"one\.png: found a file that is no safetensors file", lambda: load_dictionary("results/plots/one.png"))
    refused(r"nothing: found no such file", lambda: load_dictionary("nothing"))
    assert capsys.readouterr().err.count("\n") == 1  # of the picture, which has no stamp
