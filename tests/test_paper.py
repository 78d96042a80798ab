"""presets/paper.yaml on a small model of the same architecture and a small corpus: the whole line, all switches on."""

import numpy as np
import pytest
import yaml

from sparse_coding.io import dictionaries, tables
from sparse_coding.io.activations import open_activations
from sparse_coding.io.tables.autointerp import AUTOINTERP
from sparse_coding.io.tables.evaluation import EVALUATION
from sparse_coding.settings import grid, params_file
from tests.line.tiny_line import TINY, write_texts
from tests.tiny_model import make_tiny_model
from tests.workspace import ROOT, make_workspace, snakemake

pytestmark = pytest.mark.gate

PRESET = ROOT / "presets" / "paper.yaml"
SITE = "layer1_residual"
SIZES = {
    "grid": {"sites": [SITE], "ratios": [0.5, 2], "l1": [0.0001, 0.000857696, 0.01]},
    "model": TINY["model"],
    "dataset": {"train_tokens": 3000, "held_out_tokens": 800, "fragments": 150, "fragment_tokens": 8, "context": 32}
    | {"corpus": "texts", "streaming": False},
    "dictionaries": {"steps": 40, "batch": 64, "buffer_rows": 1024},
    "baselines": {"topk": [2, 4], "ica_rows": 1000},
    "evaluation": {"splice_blocks": 4},
    "autointerp": {"features": 6, "bootstrap": 100},
}


def test_it_is_the_setting_of_the_paper():
    params = params_file.load(PRESET)
    assert params.model.name == "EleutherAI/pythia-70m-deduped"
    assert params.grid.sites == tuple(f"layer{layer}_residual" for layer in range(6))
    assert params.grid.ratios == (0.5, 1, 2, 4, 8, 16, 32)
    np.testing.assert_allclose(params.grid.l1, np.logspace(-4, -2, 16), rtol=1e-5)
    chunk = 2 * 2**30 // (512 * 2)  # vectors in 2 GiB of float16
    assert params.dataset.train_tokens == 10 * chunk == params.dictionaries.steps * params.dictionaries.batch
    assert params.dictionaries.buffer_rows == chunk
    assert params.evaluation.alive_share == pytest.approx(10 / chunk, rel=1e-3)
    found = [cell for site in params.grid.sites for cell in grid.interpreted(params, site).cells]
    scored = {cell.member_names[0] for cell in found}
    assert all("l1-0.000857696" in name for name in scored)  # index 7 of the 16


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    preset = yaml.safe_load(PRESET.read_text(encoding="utf-8"))
    params = {name: value | SIZES.get(name, {}) for name, value in preset.items()}
    params["model"]["centred_writing"] = preset["model"]["centred_writing"]
    folder = make_workspace(tmp_path_factory.mktemp("paper") / "project", params)
    make_tiny_model(folder / "models" / "tiny", layers=2)
    write_texts(folder / "texts")
    done = snakemake(folder, f"results/plots/{SITE}.png")
    assert done.returncode == 0, done.stdout
    return folder


def test_the_whole_line_runs_and_leaves_what_the_switches_say(made):
    with open_activations(made / f"results/activations/{SITE}.h5") as file:
        x = file.split("train").read(0, 3000)
        assert x.mean(1).abs().max() < 1e-2 * x.abs().max()  # centred writing, in float16
        assert 0 in file.split("train").token  # document ends are trained on
    for path in (made / f"results/dictionaries/{SITE}").glob("*.safetensors"):
        dictionary, settings = dictionaries.load_with_settings(path)
        assert not dictionary.centre.any()
        assert settings["training"]["legacy_adam"]
    assert not (made / f"results/evaluation/{SITE}/gains").exists()
    rows = tables.read(made / f"results/evaluation/{SITE}/table.parquet", EVALUATION).to_pylist()
    assert {row["variant"] for row in rows} == {"plain"}
    basis = dictionaries.load(made / f"results/baselines/{SITE}/neuron_basis.safetensors")
    assert basis.n_feat == basis.d_act


def test_the_first_features_are_scored_and_the_caption_says_so(made):
    rows = tables.read(made / f"results/autointerp/{SITE}/table.parquet", AUTOINTERP).to_pylist()
    assert {row["choice"] for row in rows} == {"first"}
    assert {row["mode"] for row in rows} == {"original"}
    assert {row["feature"] for row in rows} == set(range(6))
    caption = (made / f"results/plots/{SITE}.txt").read_text(encoding="utf-8")
    assert "the first features (no sample)" in caption
