"""Corpora by their name on the hub: a fake hub on this machine serves a repository to the real client."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from tests.lm.test_hub_corpora import TEXTS, write_repository

COMMIT = "c" * 40
READ = """
import json, sys
import datasets.config
from sparse_coding.errors import BadInput
from sparse_coding.lm import corpora
from sparse_coding.settings.params import Dataset
datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN = 0.5  # 5 s after each pass over shards
try:
    corpus = corpora.opened(Dataset(**json.loads(sys.argv[1])))
    found = {side: [text for _, text in corpus.in_order(side, 0)] for side in ("train", "held_out")}
    print(json.dumps({"class": type(corpus).__name__, **found}))
except BadInput as error:
    print(json.dumps({"error": str(error)}))
"""


class Hub(BaseHTTPRequestHandler):
    """One dataset, `someone/texts`, from a folder; `someone/secret` is gated."""

    root: Path
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        path = self.path.partition("?")[0]
        if path.startswith("/api/datasets/someone/texts/tree/"):
            self.answer(self.listing(path.partition(COMMIT)[2].strip("/"), "recursive=true" in self.path.lower()))
        elif path in ("/api/datasets/someone/texts", f"/api/datasets/someone/texts/revision/{COMMIT}"):
            files = [entry for entry in self.listing("", True) if entry["type"] == "file"]
            names = [{"rfilename": entry["path"]} for entry in files]
            self.answer({"id": "someone/texts", "sha": COMMIT, "siblings": names, "tags": []})
        elif path.startswith(f"/datasets/someone/texts/resolve/{COMMIT}/"):
            self.send_file(self.root / path.partition(f"{COMMIT}/")[2])
        elif "/someone/secret" in path:
            self.answer({"error": "Access to dataset someone/secret is restricted"}, 403, "GatedRepo")
        else:
            self.answer({"error": "Repository not found"}, 404, "RepoNotFound")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.asked.append(self.path)
        wanted = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())["paths"]
        self.answer([self.entry(self.root / name) for name in wanted if (self.root / name).exists()])

    def listing(self, folder: str, recursive: bool) -> list[dict]:
        inside = (self.root / folder).rglob("*") if recursive else (self.root / folder).iterdir()
        return [self.entry(path) for path in sorted(inside)]

    def entry(self, path: Path) -> dict:
        name = str(path.relative_to(self.root))
        oid = hashlib.sha1(name.encode()).hexdigest()
        if path.is_dir():
            return {"type": "directory", "path": name, "oid": oid}
        return {"type": "file", "path": name, "size": path.stat().st_size, "oid": oid}

    def send_file(self, file: Path) -> None:
        if not file.is_file():
            self.answer({"error": "Entry not found"}, 404, "EntryNotFound")
            return
        content = file.read_bytes()
        headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
        if span := self.headers.get("Range"):
            first, last = span.removeprefix("bytes=").split("-")
            last = min(int(last or len(content)), len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            self.send(content[int(first) : last + 1], 206, headers)
        else:
            self.send(content, 200, headers)

    def answer(self, body: object, status: int = 200, error: str = "") -> None:
        headers = {"Content-Type": "application/json"} | ({"X-Error-Code": error} if error else {})
        self.send(json.dumps(body).encode(), status, headers)

    def send(self, content: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    Hub.root, Hub.asked = write_repository(tmp_path_factory.mktemp("hub") / "texts"), []
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def read(endpoint: str, home: Path, offline: bool = False, **dataset: object) -> dict:
    """What a process that knows no other hub reads of a corpus."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("HF_")} | {
        "HF_ENDPOINT": endpoint,
        "HF_HUB_OFFLINE": str(int(offline)),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(home),
        "HF_TOKEN": "hf_no_one",
        "NO_PROXY": "*",
    }
    settings = json.dumps({"held_out_share": 0.25, "revision": COMMIT} | dataset)
    command = [sys.executable, "-c", READ, settings]
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_name_on_the_hub_is_streamed_at_its_commit(endpoint: str, tmp_path: Path) -> None:
    found = read(endpoint, tmp_path, corpus="someone/texts")
    assert found.get("class") == "Stream", found
    assert sorted(found["train"] + found["held_out"]) == sorted(TEXTS)
    assert not [file for file in tmp_path.rglob("*.arrow")]
    assert any(f"/resolve/{COMMIT}/default/train-00001" in path for path in Hub.asked)
    assert not any("/main" in path for path in Hub.asked)


@pytest.mark.parametrize("name", [{"corpus": "someone/texts:de"}, {"corpus": "someone/texts", "subset": "de"}])
def test_a_subset_of_a_name_can_be_read_whole(endpoint: str, tmp_path: Path, name: dict) -> None:
    found = read(endpoint, tmp_path, streaming=False, split="train[:50%]", **name)
    assert found.get("class") == "Documents", found
    assert (sorted(found["train"]), sorted(found["held_out"])) == (sorted(TEXTS[:15]), sorted(TEXTS[32:]))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("someone/secret", "corpus someone/secret: found a gated corpus, and no access to it ("),
        ("someone/gone", "corpus someone/gone: found no such file or folder, and nothing usable on the hub ("),
        ("someone/texts:fr", "dataset.subset: found fr; wanted one of default, de: the subsets of corpus someone/text"),
    ],
)
def test_what_the_hub_does_not_give_is_named(endpoint: str, tmp_path: Path, name: str, message: str) -> None:
    assert read(endpoint, tmp_path, corpus=name)["error"].startswith(message)


def test_no_network_is_named(tmp_path: Path) -> None:
    message = "corpus someone/texts: found no such file or folder, and nothing usable on the hub (no way to the hub: "
    assert read("http://127.0.0.1:1", tmp_path, offline=True, corpus="someone/texts")["error"].startswith(message)
