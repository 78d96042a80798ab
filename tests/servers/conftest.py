"""What the tests of this tier need beyond what pip installs into .venv: each says what is missing, and is skipped."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.interp import site
from tests.llm.asking import eventually
from tests.model_server import free_port
from tests.workspace import ROOT

HERE = Path(__file__).parent
MODEL = HERE / "tiny.gguf"
PYTHON = ROOT / "build" / "servers" / "bin" / "python"


class Llama:
    """llama.cpp's server in a process of its own, that can be killed and started again on the same port."""

    def __init__(self, log: Path, context: int, slots: int) -> None:
        self.port, self.log, self.context, self.slots = free_port(), log, context, slots
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        words = [PYTHON, HERE / "serve_llama.py", MODEL, self.port, self.context, self.slots]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([*map(str, words)], stdout=log, stderr=log, env=_clean())
        eventually(self._answers, 30)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def pause(self, signal: int) -> None:
        self._process.send_signal(signal)

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/health").status_code == 200
        except httpx.TransportError:
            return False


def _clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.fixture(scope="session")
def python() -> Path:
    """Of the environment of this tier."""
    if not PYTHON.exists():
        pytest.skip("missing: build/servers (make test-servers makes it)")
    return PYTHON


@pytest.fixture
def llama(python, tmp_path):
    """A function that starts a server: tokens of context in all, slots that share it."""

    @contextmanager
    def started(context: int = 65536, slots: int = 2) -> Iterator[Llama]:
        server = Llama(tmp_path / "llama.log", context, slots)
        try:
            yield server
        finally:
            server.kill()

    return started


@pytest.fixture(scope="session")
def planted_site(tmp_path_factory):
    return site.write(tmp_path_factory.mktemp("planted_site"))
