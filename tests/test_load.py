"""load_dictionary: by path, and by what is wanted."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch.nn.functional import normalize

from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries, fitted, tables
from sparse_coding.io.tables.evaluation import EVALUATION
from sparse_coding.load import load_dictionary

SITE = "layer2_residual"
LOADED = ("threshold_refit", "matching_pursuit", "gain_refit")
OLDER_LACKS_FINAL = [name for name in EVALUATION.names if name.startswith("final_")]
# name, kind, ratio, L0
MEMBERS = [
    ("tied_r1_l1-0.001_s0", "tied", 1.0, 12.0),
    ("tied_r4_l1-0.001_s0", "tied", 4.0, 20.0),
    ("tied_r4_l1-0.002_s0", "tied", 4.0, 9.0),
    ("pca", "pca", None, 64.0),
    ("pca_top8", "pca", None, 8.0),
    ("topk_r4_k4_s0", "topk", 4.0, 4.0),
    ("topk_r4_k17_s0", "topk", 4.0, 17.0),
]


def _dictionary(index: int) -> Dictionary:
    atoms = normalize(torch.randn(6, 4, generator=torch.Generator().manual_seed(index)), dim=1)
    return Dictionary(atoms, torch.zeros(6), atoms, torch.zeros(4), torch.ones(6))


def written(root: Path) -> Path:
    """A results folder in `root`, with dictionaries and tables, without stamps."""
    rows = []
    for index, (name, kind, ratio, l0) in enumerate(MEMBERS):
        path = f"results/{'dictionaries' if ratio else 'baselines'}/{SITE}/{name}.safetensors"
        dictionaries.save(root / path, _dictionary(index), {})
        row: dict[str, Any] = {column.name: None if column.nullable else 0 for column in EVALUATION}
        row |= {"site": SITE, "name": name, "kind": kind, "ratio": ratio, "path": path, "l0": l0, "variant": "plain"}
        rows.append(row)
        if ratio:
            rows.append(row | {"variant": "gain_refit", "l0": 100.0})
            gain = root / f"results/evaluation/{SITE}/gains/{name}.safetensors"
            fitted.save(gain, "gain_refit", {"gain": torch.full((6,), index + 2.0)}, root / path)
    tables.write(root / f"results/evaluation/{SITE}/table.parquet", rows, EVALUATION)
    return root / "results"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return written(tmp_path / "project")


def chosen(dictionary: Dictionary) -> str:
    (name,) = [
        name for index, (name, *_) in enumerate(MEMBERS) if torch.equal(_dictionary(index).atoms, dictionary.atoms)
    ]
    return name


@pytest.mark.parametrize(
    ("architecture", "l0", "ratio", "name"),
    [
        ("tied", 8, None, "tied_r4_l1-0.002_s0"),
        ("tied", 13, None, "tied_r1_l1-0.001_s0"),
        ("tied", 13, 4, "tied_r4_l1-0.002_s0"),
        ("tied", 39, 4, "tied_r4_l1-0.001_s0"),
        ("tied", 40, 4, "tied_r4_l1-0.001_s0"),  # twice its L0
        ("tied", 4.5, 4, "tied_r4_l1-0.002_s0"),  # half
        ("topk", 10, None, "topk_r4_k17_s0"),  # 4 is nearer, and not within a factor of 2
        ("tied", np.float32(13), None, "tied_r1_l1-0.001_s0"),
        ("tied", None, 1, "tied_r1_l1-0.001_s0"),
        ("pca", 10, None, "pca_top8"),
        ("pca", 40, None, "pca"),
    ],
)
def test_the_nearest_l0_is_taken(
    results: Path, architecture: str, l0: float | None, ratio: float | None, name: str
) -> None:
    found = load_dictionary(site=SITE, architecture=architecture, l0=l0, ratio=ratio, results=results)
    assert chosen(found) == name
    assert found.gain.tolist() == [1] * 6


def test_each_variant_that_was_measured(results: Path) -> None:
    name, root = "tied_r4_l1-0.002_s0", results.parent
    path = results / "dictionaries" / SITE / f"{name}.safetensors"
    table = root / f"results/evaluation/{SITE}/table.parquet"
    rows = tables.read(table, EVALUATION).to_pylist()
    own = next(row for row in rows if row["name"] == name)
    rows += [own | {"variant": variant, "l0": 3.0} for variant in ("threshold_refit", "matching_pursuit")]
    tables.write(table, rows, EVALUATION)
    parts = {"threshold": torch.tensor([0.5]), "gain": torch.full((6,), 2.0)}
    fitted.save(results / f"evaluation/{SITE}/thresholds/{name}.safetensors", "threshold_refit", parts, path)
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    plain = load_dictionary(path, variant="plain", results=results)
    cut, pursued, gains = (load_dictionary(path, variant=variant, results=results) for variant in LOADED)
    codes = plain.encode(x)
    torch.testing.assert_close(cut.encode(x), 2 * codes * (codes > 0.5))
    torch.testing.assert_close(gains.encode(x), 4 * codes)
    assert float((x - pursued.reconstruct(x)).norm()) < float((x - plain.reconstruct(x)).norm())
    assert [each.variant for each in (plain, cut, pursued, gains)] == ["plain", *LOADED]


def test_gain_refit_by_path_and_by_choice(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = results / "dictionaries" / SITE / "tied_r4_l1-0.002_s0.safetensors"
    x = torch.randn(5, 4)
    for found in (
        load_dictionary(path, gain_refit=True, results=results),
        load_dictionary(site=SITE, architecture="tied", l0=9, gain_refit=True, results=results),
    ):
        assert found.gain.tolist() == [4] * 6
        torch.testing.assert_close(found.encode(x), 4 * load_dictionary(path).encode(x))
    monkeypatch.chdir(results.parent)
    by_text = load_dictionary(f"results/dictionaries/{SITE}/tied_r4_l1-0.002_s0.safetensors", gain_refit=True)
    assert by_text.gain.tolist() == [4] * 6
    assert chosen(load_dictionary(site=SITE, architecture="tied", l0=12)) == "tied_r1_l1-0.001_s0"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"site": "layer9_residual", "architecture": "tied"}, "site: found 'layer9_residual'; wanted one of layer2"),
        ({"site": SITE, "architecture": "tyed"}, "architecture: found 'tyed'; wanted one of tied, pca"),
        ({"site": SITE, "architecture": "tied", "ratio": 3}, "ratio: found 3; wanted one of 1, 4"),
        ({"site": SITE, "architecture": "pca", "ratio": 3}, "ratio: found 3; wanted one of none"),
        ({"site": SITE, "architecture": "tied", "l0": 1000}, r"l0: found 1000; .* factor of 2 of .* 9.0, 12.0, 20.0$"),
        ({"site": SITE, "architecture": "tied", "l0": 4.4}, r"l0: found 4.4; .* factor of 2 of .* 9.0, 12.0, 20.0$"),
        # not the refitted row of L0 100
        (
            {"site": SITE, "architecture": "tied", "l0": 99, "ratio": 4},
            r"l0: found 99; .* factor of 2 of .* 9.0, 20.0$",
        ),
        ({"site": SITE, "architecture": "tied", "l0": 50, "ratio": 1}, r"l0: found 50; .* that there is: 12.0$"),
        *(
            ({"site": SITE, "architecture": "tied", name: wrong}, f"{name}: found {wrong!r}; wanted a number above 0")
            for name in ("l0", "ratio")
            for wrong in (0, -3.5, float("nan"), float("inf"), True, "10")
        ),
        ({"site": SITE, "architecture": "tied"}, r"l0: found none; wanted a number: .* 9.0, 12.0, 20.0"),
        ({"site": SITE, "architecture": "pca", "l0": 8, "gain_refit": True}, "gain_refit: found none for pca_top8"),
        (
            {"site": SITE, "architecture": "tied", "l0": 9, "variant": "matching_pursuit"},
            r"matching_pursuit: found none for tied_r4_l1-0.002_s0; wanted one that was measured of it "
            r"\(plain, gain_refit\): evaluation.variants in params.yaml",
        ),
        (
            {"path": "x.safetensors", "variant": "pursuit"},
            "variant: found 'pursuit'; wanted one of gain_refit, thresho",
        ),
        (
            {"path": "x.safetensors", "variant": "matching_pursuit", "gain_refit": True},
            "gain_refit=True and variant='matching_pursuit'",
        ),
        ({"site": SITE}, "architecture=None"),
        ({}, "site=None"),
        ({"path": "x.safetensors", "site": SITE}, "a path and a choice"),
        ({"path": "x.safetensors"}, "no such file"),
        ({"path": "x.safetensors", "gain_refit": True}, "not evaluated"),
    ],
)
def test_what_is_not_there_is_named(results: Path, arguments: dict, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        load_dictionary(**arguments, results=results)


def test_a_file_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.safetensors"
    for made in ({"architecture": "tyed"}, {"method": "tyed"}):
        dictionaries.save(path, _dictionary(0), made)
        with pytest.raises(
            BadInput,
            match=r"d.safetensors: found a dictionary of kind 'tyed', which this version does not know",
        ):
            load_dictionary(path)
    dictionaries.save(path, _dictionary(0), {"architecture": "jumprelu"})
    assert load_dictionary(path).kind == "jumprelu"


@pytest.mark.parametrize(("column", "value"), [("control", "step0"), ("tokens", 5000), ("l0_target", 8.0)])
@pytest.mark.parametrize("in_file", [True, False])
def test_a_control_or_snapshot_is_not_taken_for_the_whole_one_nor_that_for_it(
    results: Path, column: str, value: str | int | float, in_file: bool
) -> None:
    """Without stamps, as files are copied about."""
    table, name = results / "evaluation" / SITE / "table.parquet", "tied_r4_l1-0.002_s0"
    path = results / "dictionaries" / SITE / f"{name}.safetensors"
    told = {"site": SITE, "architecture": "tied", "ratio": 4}
    dictionaries.save(path, _dictionary(0), told | ({column: value} if in_file else {}))
    rows = tables.read(table, EVALUATION).to_pylist()
    if not in_file:
        tables.write(table, [row | ({column: value} if row["name"] == name else {}) for row in rows], EVALUATION)
    found, wanted = (value, "None") if in_file else ("None", value)
    with pytest.raises(BadInput, match=rf"found a dictionary of {column} {found}; wanted {wanted}, as the table says"):
        load_dictionary(path, results=results)


def test_nothing_evaluated_yet(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nothing evaluated yet"):
        load_dictionary(site=SITE, architecture="tied", results=tmp_path / "results")


def test_gains_of_an_older_dictionary_are_refused(results: Path) -> None:
    path = results / "dictionaries" / SITE / "tied_r1_l1-0.001_s0.safetensors"
    dictionaries.save(path, _dictionary(99), {})
    with pytest.raises(BadInput, match="gain refit of another dictionary"):
        load_dictionary(path, gain_refit=True, results=results)


def test_damaged_and_foreign_gains_are_refused(results: Path) -> None:
    path = results / "dictionaries" / SITE / "tied_r1_l1-0.001_s0.safetensors"
    gain = results / "evaluation" / SITE / "gains" / path.name
    gain.write_bytes(gain.read_bytes()[:-3])
    with pytest.raises(BadInput, match="damaged"):
        load_dictionary(path, gain_refit=True, results=results)
    gain.write_bytes(path.read_bytes())
    with pytest.raises(BadInput, match="sparse_coding dictionary 1"):
        load_dictionary(path, gain_refit=True, results=results)
    gain.unlink()
    with pytest.raises(BadInput, match="no such file"):
        load_dictionary(path, gain_refit=True, results=results)


def test_a_table_of_an_older_version_serves(results: Path) -> None:
    path = results / f"evaluation/{SITE}/table.parquet"
    table = tables.read(path, EVALUATION)
    pq.write_table(table.drop_columns(["broken", "loss_kind", *OLDER_LACKS_FINAL]), path)
    found = load_dictionary(site=SITE, architecture="tied", l0=13, ratio=1, results=results)
    assert chosen(found) == "tied_r1_l1-0.001_s0"
    pq.write_table(table.drop_columns(["dead"]), path)
    with pytest.raises(BadInput, match=r"no columns \['dead'\]; wanted the columns .*; run `snakemake evaluation`"):
        load_dictionary(site=SITE, architecture="tied", l0=13, ratio=1, stale=True, results=results)
