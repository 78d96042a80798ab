"""What a whole run leaves: a figure, every artifact, stamps, tables; and what two lines load of it."""

import csv
import json

import matplotlib.image
import numpy as np
import pyarrow.parquet as pq
import pytest

from sparse_coding.io import tokens as token_files
from sparse_coding.io.activations import open_activations
from sparse_coding.io.tables.autointerp import AUTOINTERP
from sparse_coding.load import load_dictionary
from sparse_coding.workflow import stamps
from tests.line.tiny_line import CONTROL, MEMBERS, SITE, TINY, artifacts, baselines_of, read, sha256

pytestmark = pytest.mark.gate


def test_the_figure_is_a_picture_with_its_caption(made):
    picture = matplotlib.image.imread(made / f"results/plots/{SITE}.png")
    assert picture.shape[1] == pytest.approx(60 * 12, abs=2)  # plots.dpi times plots.width
    assert picture.std() > 0.05
    caption = (made / f"results/plots/{SITE}.txt").read_text()
    assert "token-rules" in caption


def test_every_artifact_that_the_grid_asks_for_is_there_and_no_other(made):
    results = made / "results"
    members = [f"{SITE}/{name}" for name in MEMBERS] + [f"{CONTROL}/tied_r2_l1-0.002_s0"]
    wanted = {f"{name}{suffix}" for name in members for suffix in (".safetensors", ".log.jsonl")}
    assert artifacts(results / "dictionaries") == wanted
    names = [*MEMBERS, *baselines_of(made)]
    assert artifacts(results / f"baselines/{SITE}") == {f"{name}.safetensors" for name in baselines_of(made)}
    assert artifacts(results / "activations") == {f"{SITE}.h5", f"{CONTROL}.h5"}
    assert artifacts(results / f"evaluation/{SITE}/rows") == {
        f"{name}{suffix}" for name in names for suffix in (".json", ".frequency.parquet")
    }
    assert artifacts(results / f"evaluation/{SITE}/gains") == {f"{name}.safetensors" for name in MEMBERS}
    assert not list(results.rglob("*.part"))
    assert not list((made / ".work/store").glob("*"))


def test_a_stamp_vouches_for_every_file(made):
    found = [stamps.read(path) for path in sorted((made / "results").rglob("*.stamp"))]
    vouched = {file: sha256 for stamp in found if stamp for file, sha256 in stamp.files.items()}
    results = {file for file in artifacts(made / "results") if not file.startswith("logs/")}
    assert vouched.keys() == {f"results/{file}" for file in results}
    assert vouched == {file: sha256(made / file) for file in vouched}


def test_tokens_and_vectors_are_as_many_as_asked(made):
    tokens = token_files.load(made / "results/dataset/tokens.h5")
    asked = TINY["dataset"]
    for blocks, wanted in ((tokens.train, asked["train_tokens"]), (tokens.held_out, asked["held_out_tokens"])):
        n_text = int(tokens.is_text(blocks.tokens).sum())
        assert wanted <= n_text < wanted + asked["context"]
    for site in (SITE, CONTROL):
        with open_activations(made / f"results/activations/{site}.h5") as file:
            assert file.split("train").n_rows == tokens.is_text(tokens.train.tokens).sum()
            assert file.split("held_out").n_rows == tokens.is_text(tokens.held_out.tokens).sum()
            assert file.split("fragments").n_rows == asked["fragments"] * asked["fragment_tokens"]


def test_the_summary_has_every_dictionary_with_path_settings_and_metrics(made):
    with open(made / "results/evaluation/summary.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    plain = {row["name"]: row for row in rows if row["variant"] == "plain"}
    assert list(plain) == [*MEMBERS, *baselines_of(made)]
    assert [row["name"] for row in rows if row["variant"] == "gain_refit"] == MEMBERS
    assert len(rows) == len(plain) + len(MEMBERS)
    for row in rows:
        assert (made / row["path"]).is_file()
        assert row["site"] == SITE
        for metric in ("l0", "fvu", "mse", "cosine", "dead", "ce", "kl", "perplexity", "n_vectors", "n_tokens"):
            assert np.isfinite(float(row[metric])), (row["name"], metric)
    assert (plain[MEMBERS[1]]["l1"], plain[MEMBERS[1]]["ratio"], plain[MEMBERS[1]]["seed"]) == ("0.002", "2.0", "0")
    assert (plain[MEMBERS[4]]["k"], plain[MEMBERS[4]]["l1"]) == ("8", "")
    assert float(plain[MEMBERS[0]]["l0"]) > float(plain[MEMBERS[2]]["l0"])  # a larger L1, fewer codes
    assert float(plain["random"]["fvu"]) > float(plain["pca_top8"]["fvu"]) or float(plain["pca"]["fvu"]) < 1e-6


def test_tables_have_the_rows_that_params_ask_for(made):
    evaluation = made / f"results/evaluation/{SITE}"
    assert pq.read_table(evaluation / "table.parquet").num_rows == 2 * len(MEMBERS) + len(baselines_of(made))
    frequency = pq.ParquetFile(evaluation / "frequency.parquet").read().to_pandas()
    n_feat = {row["name"]: row["n_feat"] for row in read(evaluation / "table.parquet")}
    assert frequency.groupby("name").size().to_dict() == n_feat
    metrics = json.loads((made / "results/evaluation/metrics.json").read_text())
    assert {site: set(of_site) for site, of_site in metrics.items()} == {SITE: set(n_feat)}
    points = (made / "results/evaluation/points.csv").read_text().splitlines()
    assert len(points) == 1 + 2 * len(MEMBERS) + len(baselines_of(made))
    scored = read(made / f"results/autointerp/{SITE}/table.parquet", AUTOINTERP)
    subjects = ["tied_r2_l1-0.002_s0", "topk_r1_k8_s0", "pca", "ica", "nmf", "neuron_basis", "random"]
    plain = [row["name"] for row in scored if row["condition"] == "plain"]
    assert plain == [name for name in subjects for _ in range(TINY["autointerp"]["features"])]
    assert {row["name"] for row in scored if row["condition"] == "shuffled_null"} == {"tied_r2_l1-0.002_s0"}
    assert {row["scorer"] for row in scored} == {"token-rules"}
    control = read(made / f"results/autointerp/{CONTROL}/table.parquet", AUTOINTERP)
    assert [row["name"] for row in control] == ["tied_r2_l1-0.002_s0"] * TINY["autointerp"]["features"]


def test_two_lines_load_a_dictionary(made, monkeypatch):
    monkeypatch.chdir(made)
    by_path = load_dictionary(f"results/dictionaries/{SITE}/topk_r1_k8_s0.safetensors")
    chosen = load_dictionary(site=SITE, architecture="topk", l0=7)
    with open_activations(made / f"results/activations/{SITE}.h5") as file:
        x = file.split("held_out").read(0, 100)
    codes = chosen.encode(x)
    assert (codes == by_path.encode(x)).all()
    assert (codes > 0).sum(1).max() <= 8
    assert chosen.decode(codes).shape == x.shape
    assert chosen.atoms.shape == (32, 32)
    (row,) = [row for row in read(made / f"results/evaluation/{SITE}/table.parquet") if row["name"] == "pca_top2"]
    assert load_dictionary(site=SITE, architecture="pca", l0=row["l0"]).n_feat == 64
