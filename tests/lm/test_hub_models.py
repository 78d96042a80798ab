"""Models by hub name: a small hub on this machine answers the real client, with a real checkpoint or a refusal."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.checkpoints import make_checkpoint

COMMITS = {"main": "a" * 40, "step3": "b" * 40}
REFUSED = {"someone/gated": (403, "GatedRepo"), "someone/missing": (401, "RepoNotFound")}
MODEL = "EleutherAI/pythia-tiny"
LOAD = """
import json, sys
import torch
from sparse_coding.errors import BadInput
from sparse_coding.lm.model import LanguageModel
from sparse_coding.settings.params import Model
from sparse_coding.settings.sites import parse
for settings in json.loads(sys.argv[1]):
    try:
        model = LanguageModel.load(Model(**settings))
        vectors = model.harvest(torch.tensor([[0, 5, 7, 9]]), [parse("layer1_mlp")])
        print(json.dumps(float(vectors["layer1_mlp"].double().sum())))
    except BadInput as error:
        print(json.dumps(str(error)))
"""


class Hub(BaseHTTPRequestHandler):
    """`/<owner>/<name>/resolve/<revision>/<file>` of one model with two revisions; others are gated or missing."""

    folders: dict[str, Path]  # by commit

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        parts = unquote(self.path.partition("?")[0]).strip("/").split("/")
        if parts[0] == "api":  # what else there is beside the files that the client asks for: nothing
            return self._send(404, "EntryNotFound")
        name, revision, file = "/".join(parts[:2]), parts[3], "/".join(parts[4:])
        if name != MODEL:
            return self._send(*REFUSED.get(name, (404, "RepoNotFound")))
        commit = COMMITS.get(revision, revision)
        if commit not in self.folders:
            return self._send(404, "RevisionNotFound")
        path = self.folders[commit] / file
        if not path.is_file():
            return self._send(404, "EntryNotFound", commit)
        return self._send(200, None, commit, path.read_bytes())

    def _send(self, status: int, code: str | None, commit: str | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        if commit:
            self.send_header("X-Repo-Commit", commit)
            self.send_header("ETag", f'"{hash(body) & 0xFFFFFFFF:x}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("hub")
    Hub.folders = {commit: make_checkpoint(root / commit, "neox", seed) for seed, commit in enumerate(COMMITS.values())}
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def load(endpoint: str, home: Path, *settings: dict, offline: bool = False) -> list:
    """What each model gives: a sum of its activations, or a message."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD, json.dumps(settings)],
        env=os.environ | {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_OFFLINE": str(int(offline))},
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_name_a_revision_and_what_the_hub_refuses(endpoint, tmp_path):
    folders = [{"name": str(folder)} for folder in Hub.folders.values()]
    main, step, *here, gated, missing, revision = load(
        endpoint, tmp_path, {"name": MODEL}, {"name": MODEL, "checkpoint": 3}, *folders,
        {"name": "someone/gated"}, {"name": "someone/missing"}, {"name": MODEL, "revision": "stepp3"},
    )  # fmt: skip
    assert [main, step] == here
    assert main != step
    assert gated.startswith(
        "model someone/gated: found a gated model; wanted its terms accepted on the hub, and a token"
    )
    assert missing.startswith(
        "model someone/missing: found no such folder, and no such model on the hub, or a private one"
    )
    assert (
        revision == f"model {MODEL}: found no revision stepp3 on the hub; wanted a branch, tag or commit of this model"
    )
    # No network: what was used once is in the cache, the rest is named.
    again, other = load(endpoint, tmp_path, {"name": MODEL}, {"name": "someone/missing"}, offline=True)
    assert again == main
    assert other.startswith(
        "model someone/missing: found no such folder, not in the hub's cache at main, no way to the hub"
    )
