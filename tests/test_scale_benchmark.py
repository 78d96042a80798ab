"""The forecast of disk and memory against a small run that is really made, and the rows that show such a comparison."""

import sys

import pytest
from benchmarks import scale

from tests.test_workflow import TINY, write_texts
from tests.tiny_model import make_tiny_model
from tests.workspace import make_workspace

HELD_TO = ("dataset", "activations", "dictionaries", "baselines")


@pytest.mark.skipif(sys.platform != "linux", reason="memory is looked up in /proc")
def test_disk_and_memory_of_a_small_run(tmp_path):
    folder = make_workspace(tmp_path / "project", TINY)
    make_tiny_model(folder / "models" / "tiny", layers=2)
    write_texts(folder / "texts")
    foreseen = scale.forecast(folder, probe=False)
    taken = scale.run(folder, "dictionaries", "baselines")
    found = scale.measured(folder, taken)
    assert found.keys() == set(HELD_TO)
    for stage, own in found.items():
        assert own["disk"] == pytest.approx(foreseen[stage]["disk"], rel=0.02, abs=50_000), stage
        assert own["memory"] == pytest.approx(foreseen[stage]["memory"], rel=0.2), stage
        assert own["seconds"] > 0
    rows = scale.rows_of("small", foreseen, found)
    assert len(rows) == 3 * (len(HELD_TO) + 1)
    assert next(row["unit"] for row in rows if row["what"] == "small, all: disk") == "MB"
