"""Metrics of all sites in few files, for people and for DVC."""

import json
from pathlib import Path

from sparse_coding.io import tables
from sparse_coding.io.tables.evaluation import EVALUATION
from sparse_coding.settings.slices import SummarySlice
from sparse_coding.stages import summary
from tests.stages.world import SITE, World, find


def test_metrics_points_and_summary_hold_all_sites(world: World, tmp_path: Path) -> None:
    other = tmp_path / "other.parquet"
    tables.write(other, [row | {"site": "layer0_residual"} for row in world.rows], EVALUATION)
    summary.run(SummarySlice(), tables=[world.folder / "results" / "table.parquet", other], output=tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    name = "tied_r2_l1-0.002_s0"
    row = find(world.rows, name, "gain_refit")
    assert list(metrics) == [SITE, "layer0_residual"]
    for site in metrics:
        assert metrics[site][name]["gain_refit"]["fvu"] == row["fvu"]
        assert metrics[site].keys() == {row["name"] for row in world.rows}
    points = (tmp_path / "points.csv").read_text().splitlines()
    assert points[0] == "site,name,kind,ratio,variant,l0,fvu,loss_recovered"
    assert len(points) == 1 + 2 * len(world.rows)
    columns = [line.split(",") for line in points[1:]]
    assert [line[0] for line in columns] == ["layer0_residual"] * len(world.rows) + [SITE] * len(world.rows)
    assert [line[2] for line in columns] == ["neuron_basis", "random", "tied", "tied", "topk", "topk"] * 2
    lines = (tmp_path / "summary.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * len(world.rows)
    assert lines[0].split(",") == [*EVALUATION.names, "headline"]
    # A row a site and kind: the plain variants, and no baseline.
    headlines = [line.split(",")[:4] for line in lines[1:] if line.endswith(",yes")]
    assert headlines == [
        [site, name, kind, "plain"]
        for site in (SITE, "layer0_residual")
        for name, kind in (("tied_r2_l1-0.002_s0", "tied"), ("topk_r2_k4_s0", "topk"))
    ]
    assert [line.split(",")[lines[0].split(",").index("site")] for line in lines[1:]] == [
        *[SITE] * len(world.rows),
        *["layer0_residual"] * len(world.rows),
    ]
