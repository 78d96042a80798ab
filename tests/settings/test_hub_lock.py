"""Names on a hub become commits once, by `sparse_coding lock`; a fake hub on this machine answers the real client."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from sparse_coding.errors import BadInput
from sparse_coding.settings import hub_lock
from sparse_coding.settings.params import Params

COMMITS = {name: f"{index:x}" * 40 for index, name in enumerate(("gpt", "gpt dev", "texts"), start=10)}
ANSWERS = {  # paths of the hub's API: the commit that each answers with
    "/api/models/someone/gpt": COMMITS["gpt"],
    "/api/models/someone/gpt/revision/main": COMMITS["gpt"],
    "/api/models/someone/gpt/revision/dev": COMMITS["gpt dev"],
    "/api/datasets/someone/texts": COMMITS["texts"],
    "/api/datasets/someone/texts/revision/main": COMMITS["texts"],
}
HUB = {"model": {"name": "someone/gpt"}, "dataset": {"corpus": "someone/texts:de"}}


class Hub(BaseHTTPRequestHandler):
    """A hub with one model and one dataset."""

    def do_GET(self) -> None:
        commit = ANSWERS.get(self.path.partition("?")[0])
        name = "/".join(self.path.split("/")[3:5])
        body = {"id": name, "sha": commit, "siblings": []} if commit else {"error": "Repository not found"}
        self.send_response(200 if commit else 404)
        if not commit:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Type", "application/json")
        content = json.dumps(body).encode()
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch) -> Path:
    """An empty project folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def some_params(**sections) -> Params:
    return Params.model_validate({"grid": {"sites": ["layer2_residual"]}} | sections)


def write_lock(lock: hub_lock.Lock) -> None:
    hub_lock.LOCK.write_text(json.dumps(lock))


def lock(endpoint: str, params: dict) -> subprocess.CompletedProcess[str]:
    """`sparse_coding lock`, as one types it, with another hub."""
    Path("params.yaml").write_text(yaml.safe_dump(params))
    command = [sys.executable, "-m", "sparse_coding", "lock"]
    given = os.environ | {
        "HF_ENDPOINT": endpoint,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "*",
    }
    return subprocess.run(command, env=given, capture_output=True, text=True, timeout=60)


def test_a_commit_needs_no_lock():
    params = some_params(
        model={"name": "someone/gpt", "revision": COMMITS["gpt"]},
        dataset={"corpus": "someone/texts", "revision": COMMITS["texts"]},
    )
    assert hub_lock.pinned(params) == params


@pytest.mark.parametrize(("revision", "entry"), [(None, "someone/gpt@main"), ("dev", "someone/gpt@dev")])
def test_a_branch_is_the_commit_that_the_lock_says(revision, entry):
    write_lock({"models": {entry: COMMITS["gpt"]}, "datasets": {"someone/texts@main": COMMITS["texts"]}})
    pinned = hub_lock.pinned(some_params(**(HUB | {"model": {"name": "someone/gpt", "revision": revision}})))
    assert (pinned.model.revision, pinned.dataset.revision) == (COMMITS["gpt"], COMMITS["texts"])
    assert pinned.dataset.corpus == "someone/texts:de"


def test_a_subset_of_its_own_is_pinned_by_the_same_entry():
    write_lock({"models": {"someone/gpt@main": COMMITS["gpt"]}, "datasets": {"someone/texts@main": COMMITS["texts"]}})
    parts = {"corpus": "someone/texts", "subset": "de", "split": "train[:10%]", "streaming": False}
    pinned = hub_lock.pinned(some_params(**(HUB | {"dataset": parts}))).dataset
    assert (pinned.revision, pinned.subset, pinned.split) == (COMMITS["texts"], "de", "train[:10%]")


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            {"model": {"name": "someone/gpt", "revision": "dev"}},
            r"params\.yaml: model\.name: found someone/gpt, no file or folder here, and not in hub\.lock\.json at "
            r"revision dev; wanted a local path, or a name on the hub after `sparse_coding lock`",
        ),
        ({"dataset": {"corpus": "someone/texts:de"}}, r"params\.yaml: dataset\.corpus: found someone/texts, .*main; "),
    ],
)
def test_a_name_that_is_not_locked_is_refused_with_the_command_that_locks_it(sections, message):
    write_lock({"models": {"someone/gpt@main": COMMITS["gpt"]}})
    with pytest.raises(BadInput, match=message):
        hub_lock.pinned(some_params(**sections))


def test_what_lies_on_this_machine_stays_as_it_is(project):
    (project / "models" / "mine").mkdir(parents=True)
    (project / "texts").mkdir()
    for params in (some_params(), some_params(model={"name": "models/mine"}, dataset={"corpus": "texts"})):
        assert hub_lock.on_hub(params) == []
        assert hub_lock.pinned(params) == params


def test_a_grid_of_imported_sites_reads_neither_model_nor_corpus():
    params = some_params(**HUB, grid={"sites": ["mine"]}, activations={"imported": {"mine": "vectors"}})
    assert hub_lock.pinned(params) == params


def own_model(**transformer) -> Params:
    return some_params(model={"name": "models/mine"}, transformer={"name": "mine", **transformer})


def test_corpus_and_tokenizer_of_an_own_model_are_locked_too():
    write_lock({"models": {"gpt2@main": COMMITS["gpt"]}, "datasets": {"someone/texts@main": COMMITS["texts"]}})
    params = own_model(tokenizer="gpt2", tokenizer_fallback=True, corpus="someone/texts")
    pinned = hub_lock.pinned(params).transformer
    assert (pinned.tokenizer, pinned.tokenizer_revision) == ("gpt2", COMMITS["gpt"])
    assert pinned.corpus_revision == COMMITS["texts"]
    assert not pinned.tokenizer_fallback
    (Path("models") / "mine").mkdir(parents=True)
    (Path("models") / "mine" / "model.safetensors").touch()  # it came with its weights: nobody trains it
    assert hub_lock.pinned(params).transformer == params.transformer


def test_the_lock_alone_decides_whether_a_tokenizer_is_trained(capsys):
    write_lock({})
    with pytest.raises(
        BadInput, match=r"params\.yaml: transformer\.tokenizer: found gpt2, no file .* at revision main"
    ):
        hub_lock.pinned(own_model(tokenizer="gpt2"))
    pinned = hub_lock.pinned(own_model(tokenizer="gpt2", tokenizer_fallback=True))
    assert capsys.readouterr().err == "transformer.tokenizer: gpt2@main is not in hub.lock.json, so a BPE is trained\n"
    assert pinned == hub_lock.pinned(own_model(tokenizer="train"))  # nothing else will know, so keys are the same


def test_a_damaged_lock_is_named():
    hub_lock.LOCK.write_text('{"models": ')
    with pytest.raises(BadInput, match=r"hub\.lock\.json: found damaged JSON .*; wanted what `sparse_coding lock` wr"):
        hub_lock.pinned(some_params(**HUB))
    for other in ("[]", '{"models": []}', "3"):
        hub_lock.LOCK.write_text(other)
        with pytest.raises(
            BadInput, match=r"hub\.lock\.json: found JSON of another kind; wanted what `sparse_coding l"
        ):
            hub_lock.pinned(some_params(**HUB))
    hub_lock.LOCK.unlink()
    hub_lock.LOCK.mkdir()
    with pytest.raises(BadInput, match=r"hub\.lock\.json: found a folder; wanted what `sparse_coding lock` writes"):
        hub_lock.pinned(some_params(**HUB))


def test_the_command_asks_the_hub_and_params_are_pinned_from_then_on(endpoint):
    write_lock({"models": {"other/gpt@main": COMMITS["gpt dev"]}})
    done = lock(endpoint, HUB)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "Locked in hub.lock.json:",
        f"someone/gpt@main: {COMMITS['gpt']}",
        f"someone/texts@main: {COMMITS['texts']}",
    ]
    assert json.loads(hub_lock.LOCK.read_text()) == {
        "datasets": {"someone/texts@main": COMMITS["texts"]},
        "models": {"other/gpt@main": COMMITS["gpt dev"], "someone/gpt@main": COMMITS["gpt"]},
    }
    pinned = hub_lock.pinned(some_params(**HUB))
    assert (pinned.model.revision, pinned.dataset.revision) == (COMMITS["gpt"], COMMITS["texts"])
    text = hub_lock.LOCK.read_bytes()
    assert lock(endpoint, HUB).returncode == 0
    assert hub_lock.LOCK.read_bytes() == text


def test_another_branch_is_asked_for(endpoint):
    done = lock(endpoint, HUB | {"model": {"name": "someone/gpt", "revision": "dev"}})
    assert done.returncode == 0, done.stderr
    assert f"someone/gpt@dev: {COMMITS['gpt dev']}" in done.stdout


def test_nothing_to_lock_asks_nobody():
    done = lock("http://127.0.0.1:1", {})
    assert (done.returncode, done.stdout) == (0, "Nothing in params.yaml is on a hub.\n"), done.stderr


@pytest.mark.parametrize("what", ["a name that the hub does not know", "a hub that does not answer"])
def test_no_commit_leaves_the_lock_as_it_is(endpoint, what):
    write_lock({})
    unknown = "not know" in what
    params = HUB | {"model": {"name": "someone/gone"}} if unknown else HUB
    done = lock(endpoint if unknown else "http://127.0.0.1:1", params)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    name = params["model"]["name"]
    assert line.startswith(f"error: lock: models {name}: found no answer with a commit (")
    assert line.endswith("; wanted its name on the hub")
    assert hub_lock.LOCK.read_text() == "{}"
