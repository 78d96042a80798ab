"""What is shipped, params.yaml and the presets: each can be planned, whole."""

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from sparse_coding.settings import grid, outside, params_file
from sparse_coding.settings.params import Params
from tests.line.tiny_line import planned_jobs, write_texts
from tests.workspace import ROOT, make_workspace

SHIPPED = [ROOT / "params.yaml", *sorted((ROOT / "presets").glob("*.yaml"))]


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_shipped_params_plan_every_job(file, tmp_path):
    settings = params_file.load(file)
    assert yaml.safe_load(file.read_text()).keys() <= Params.model_fields.keys()
    folder = make_workspace(tmp_path / "project", file.read_text())
    stand_in = folder / settings.model.name
    stand_in.mkdir(parents=True)
    for name in outside.MODEL_FILES:
        (stand_in / name).write_text('{"num_hidden_layers": 6, "hidden_size": 128}')
    save_file({"of no known kind": np.zeros(1)}, stand_in / outside.WEIGHTS)
    if settings.dataset.corpus != outside.EMBEDDED_CORPUS:  # of a hub that is not reached here
        write_texts(folder / settings.dataset.corpus, n=2)
    jobs = planned_jobs(folder)
    sites, has_controls = settings.grid.sites, settings.autointerp.random_weights is not None
    with_controls = [*sites, *(f"random_{site}" for site in sites if has_controls)]
    cells = [f"{site}_{cell.name}" for site in with_controls for cell in grid.cells(settings, site)]
    wanted = {"all", "total", "evaluation_summary", "dataset_tokens"}
    n_passes = -(-len(sites) // (settings.activations.sites_per_pass or len(sites)))
    wanted |= {
        f"activations_{kind}_{number}" for kind in ("model", "random")[: 1 + has_controls] for number in range(n_passes)
    }
    wanted |= {f"{step}_{site}" for step in ("baselines", "evaluation", "evaluation_tables", "plots") for site in sites}
    wanted |= {f"{step}_{site}" for step in ("autointerp", "autointerp_tables") for site in with_controls}
    wanted |= {f"dictionaries_{cell}".replace(".", "p") for cell in cells}
    assert jobs.keys() == wanted
    assert {count for job, count in jobs.items() if job != "total"} == {"1"}
