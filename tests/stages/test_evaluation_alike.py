"""What does not matter to stage evaluation: batches, company, threads."""

import json
from pathlib import Path

import pytest

from sparse_coding.stages import evaluation
from tests.stages.world import World, find


@pytest.mark.parametrize(
    "changes", [{"batch_rows": 1}, {"batch_rows": 7, "batch_blocks": 1}, {"batch_rows": 10**6, "batch_blocks": 7}]
)
def test_batches_do_not_matter(world: World, tmp_path: Path, changes: dict) -> None:
    names = ["tied_r2_l1-0.002_s0", "topk_r2_k4_s0", "random"]
    for row in world.run(tmp_path, names, **changes):
        same(row, find(world.rows, row["name"], row["variant"]), 1e-6)


def same(row: dict, other: dict, tolerance: float) -> None:
    for column, value in row.items():
        if isinstance(value, float):
            allowed = 1e-4 if column.startswith("l0") else tolerance
            assert value == pytest.approx(other[column], rel=tolerance, abs=allowed), column
        else:
            assert value == other[column], column


def test_company_does_not_matter(world: World, tmp_path: Path) -> None:
    name = "topk_r2_k4_s0"
    assert world.run(tmp_path, [name]) == [row for row in world.rows if row["name"] == name]
    written = json.loads((tmp_path / "rows" / f"{name}.json").read_text())
    assert written == [row for row in world.rows if row["name"] == name]


def test_threads_do_not_matter(world: World, tmp_path: Path) -> None:
    assert world.run(tmp_path, threads=3) == world.rows
    assert_same_files(tmp_path, world.folder / "results")


def test_how_many_are_measured_together_does_not_matter(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "AT_A_TIME", 3)
    assert world.run(tmp_path) == world.rows
    assert_same_files(tmp_path, world.folder / "results")


def assert_same_files(one: Path, other: Path) -> None:
    files = sorted(path.relative_to(one) for path in one.rglob("*.*"))
    assert len(files) == 2 + 4 + 4 + 2  # gains, rows, frequencies, gathered tables
    for file in files:
        assert (one / file).read_bytes() == (other / file).read_bytes(), file
