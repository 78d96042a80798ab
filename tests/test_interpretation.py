"""The whole line with language models: Snakemake and DVC, caps, resuming, and what a change makes stale."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sparse_coding.io import judged, tables
from tests.line.tiny_line import TINY, write_texts
from tests.model_server import ModelServer
from tests.tiny_model import make_tiny_embedder, make_tiny_model
from tests.workspace import ROOT, content, make_workspace, snakemake, step, write_params

pytestmark = pytest.mark.gate

SITE = "layer1_residual"
TABLE = f"results/autointerp/{SITE}/table.parquet"
VARIABLE, KEY = "KEY_OF_THIS_SERVER", "sk-a-secret-that-nobody-writes-down"
STEPS = {f"autointerp_{SITE}", f"autointerp_tables_{SITE}", f"plots_{SITE}"}


def params(url: str, llm: dict[str, Any] | None = None, **connection: Any) -> dict[str, Any]:
    """The tiny grid, interpreted by the models of a server."""
    reached = {
        "base_url": url,
        "in_flight": 8,
        "retry_wait": 0.05,
        "max_requests": 100_000,
        "key_variable": VARIABLE,
    } | connection
    asked = {"explainer": "explains", "judge": "judges", "connection": reached} | (llm or {})
    grid = TINY["grid"] | {"architectures": ["tied"], "l1": [0.002], "only": TINY["grid"]["only"][:1]}
    interp = {"scorer": "simulation", "features": 4, "bootstrap": 100, "random_weights": None, "llm": asked}
    baselines = {"methods": ["random"], "topk": [2], "topk_methods": []}
    return TINY | {"grid": grid, "baselines": baselines, "autointerp": interp}


@pytest.fixture(scope="module")
def server():
    with ModelServer(key=KEY) as server:
        yield server


@pytest.fixture(scope="module")
def made(tmp_path_factory, server):
    """A workspace in which all but interpretation has been made."""
    os.environ[VARIABLE] = KEY
    folder = make_workspace(tmp_path_factory.mktemp("asked") / "project", params(server.url))
    (folder / "prompts").unlink()
    shutil.copytree(ROOT / "prompts", folder / "prompts")
    make_tiny_model(folder / "models" / "tiny", layers=2)
    write_texts(folder / "texts")
    done = snakemake(folder, "evaluation")
    assert done.returncode == 0, done.stdout
    yield folder
    del os.environ[VARIABLE]


def bodies(server) -> list[str]:
    return [json.dumps(request.body, sort_keys=True) for request in server.asked]


def to_do(folder: Path) -> set[str]:
    """The steps that a dry run names."""
    lines = snakemake(folder, "--dry-run", "plots").stdout.splitlines()
    named = {line.split()[1].rstrip(":") for line in lines if line.startswith(("rule ", "localrule "))}
    return named - {"plots"}


def test_a_cap_ends_the_run_and_a_higher_one_goes_on(made, server):
    write_params(made, params(server.url, max_requests=30))
    stopped = snakemake(made, "plots")
    assert stopped.returncode == 1
    assert "a cap that the next call may go over (at most 30 requests" in stopped.stdout
    assert "run the same command again" in stopped.stdout
    assert not (made / TABLE).exists()
    assert not list((made / f"results/autointerp/{SITE}").glob("*.parquet"))
    before = len(server.asked)
    assert 10 < before <= 30

    write_params(made, params(server.url))
    done = snakemake(made, "plots")
    assert done.returncode == 0, done.stdout
    assert "new calls" in done.stdout  # the forecast
    assert "power 0.8" in done.stdout
    assert len(set(bodies(server))) == len(server.asked) > before
    rows = tables.read(made / TABLE, judged.JUDGED).to_pylist()
    assert {row["judge"] for row in rows} == {"judges"}
    assert {row["source"] for row in rows} == {"logprob_ev", "sampled"}
    caption = (made / f"results/plots/{SITE}.txt").read_text()
    assert "judges" in caption
    assert (made / f"results/plots/{SITE}.png").exists()
    assert "Nothing to be done" in snakemake(made, "plots").stdout


def test_another_judge_reruns_interpretation_and_figures_only(made, server):
    before = len(server.asked)
    write_params(made, params(server.url, {"judge": "another"}))
    assert to_do(made) == STEPS
    assert snakemake(made, "plots").returncode == 0
    new = server.asked[before:]
    assert {request.body["model"] for request in new} == {"another"}

    write_params(made, params(server.url))  # what was made for the first judge is kept
    assert snakemake(made, "plots").returncode == 0
    assert len(server.asked) == before + len(new)
    rows = tables.read(made / TABLE, judged.JUDGED).to_pylist()
    assert {row["judge"] for row in rows} == {"judges"}


def test_how_the_server_is_reached_changes_nothing(made, server):
    write_params(made, params(server.url, in_flight=2, timeout=30, max_requests=90_000))
    assert to_do(made) == set()


def test_a_changed_prompt_reruns_interpretation_and_figures_only(made, server):
    prompt = made / "prompts" / "simulate.md"
    old, before = prompt.read_text(), len(server.asked)
    prompt.write_text(old.replace("Most tokens", "Nearly all tokens"))
    assert to_do(made) == STEPS
    assert snakemake(made, "plots").returncode == 0
    assert {request.body["model"] for request in server.asked[before:]} == {"judges"}
    prompt.write_text(old)


def test_embeddings_use_the_same_explanations_and_other_weights_are_another_judge(made, server):
    folder, weights = make_tiny_embedder(made / "embedder"), made / "embedder" / "model.safetensors"
    before, old = len(server.asked), weights.read_bytes()
    by_vectors = params(server.url, {"embedder": str(folder)})
    by_vectors["autointerp"]["scorer"] = "embedding"
    write_params(made, by_vectors)
    assert to_do(made) == STEPS
    done = snakemake(made, "plots")
    assert done.returncode == 0, done.stdout
    assert len(server.asked) == before
    rows = tables.read(made / TABLE, judged.JUDGED).to_pylist()
    assert {(row["judge"], row["source"]) for row in rows} == {(str(folder), "cosines")}
    assert all(0 <= row["auc"] <= 1 for row in rows if row["status"] == "ok")
    assert any(row["status"] == "ok" for row in rows)

    (folder / "README.md").write_text("about it")
    assert to_do(made) == set()
    weights.write_bytes(old[:-1] + bytes([old[-1] ^ 1]))
    assert to_do(made) == STEPS
    weights.write_bytes(old)
    assert to_do(made) == set()
    write_params(made, params(server.url))


def test_the_key_is_nowhere(made, server):
    assert {request.authorization for request in server.asked} == {f"Bearer {KEY}"}
    for path in made.rglob("*"):
        assert path.is_dir() or path.is_symlink() or KEY.encode() not in content(path), path


def test_nothing_is_sent_before_a_run_unless_it_is_asked_for(made, server):
    before = len(server.asked), len(server.looked)
    said = step("forecast", "--no-probe", cwd=made)
    assert said.returncode == 0, said.stderr
    assert step("why", "plots", cwd=made).returncode == 0
    assert snakemake(made, "--dry-run", "plots").returncode == 0
    assert (len(server.asked), len(server.looked)) == before
    assert f"{SITE}: 3 samples, 12 features, 132 calls" in said.stdout
    assert "power 0.8" in said.stdout
    for calls in (2, 0):  # a second time all is answered
        before = len(server.asked), len(server.looked)
        said = step("forecast", "--no-probe", "--ask", cwd=made)
        assert said.returncode == 0, said.stderr
        assert ("checked by 2 calls" if calls else "nothing was sent") in said.stdout
        assert "explains: 4." in said.stdout
        assert (len(server.asked) - before[0], len(server.looked) - before[1]) == (calls, calls // 2)
    write_params(made, {"autointerp": {"scorer": "token-rules"}})
    said = step("forecast", "--ask", cwd=made)
    assert "--ask: found autointerp.scorer: token-rules; wanted a scorer that asks" in said.stderr
    write_params(made, params(server.url))


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)


def dvc(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(folder, sys.executable, "-m", "dvc", *arguments)


def test_dvc_resumes_too(made, server):
    """At the cap `dvc repro` fails with the message; after a raise it asks for what is missing only."""
    shutil.copytree(ROOT / "src", made / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, made / name)
    definition = (made / "dvc.yaml").read_text().replace("models]", "models, texts]")
    here = Path(sys.executable).parent
    (made / "dvc.yaml").write_text(definition.replace("PATH=.venv/bin:", f"PATH={here}:"))
    assert run(made, "git", "init", "-q").returncode == 0
    assert dvc(made, "init", "-q").returncode == 0
    assert dvc(made, "config", "core.analytics", "false").returncode == 0
    used = 2 * len(server.asked)  # this checkout has spent that much at most
    other = {"explainer": "third"}
    write_params(made, params(server.url, other, max_requests=1))
    stopped = dvc(made, "repro")
    assert stopped.returncode != 0
    assert "a cap that the next call may go over (at most 1 requests" in stopped.stdout
    before = len(server.asked)
    write_params(made, params(server.url, other, max_requests=used + 1000))
    done = dvc(made, "repro")
    assert done.returncode == 0, done.stdout
    new = [json.dumps(request.body, sort_keys=True) for request in server.asked[before:]]
    assert len(new) == len(set(new)) > 0
    assert "Running stage" not in dvc(made, "repro").stdout
