"""Fenced blocks of pages, and a clone to run them in."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.workspace import ROOT

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INSTALLED = ("-o", ".venv/.installed", "-o", ".venv/.test-installed")  # the environment is linked, not made
Run = Callable[["Clone", str], None]


def blocks(page: Path) -> list[str]:
    """The fenced blocks of a page, in their order."""
    return [text for _, text in BLOCK.findall(page.read_text(encoding="utf-8"))]


def commands(block: str) -> Iterator[str]:
    """The commands of a block, without comments; a line that ends with a backslash goes on."""
    for line in block.replace("\\\n", " ").splitlines():
        command = re.sub(r"\s+#.*$", "", line).strip()
        if command and not command.startswith("#"):
            yield " ".join(command.split())


@dataclass
class Clone:
    """A fresh clone of what the working tree holds, with the environment of this one linked into it."""

    folder: Path

    @staticmethod
    def make(folder: Path) -> "Clone":
        """Clone, commit what is not committed yet, and link."""
        files = subprocess.run(
            ["git", "ls-files", "-zco", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
        )
        for name in filter(None, files.stdout.split(b"\0")):
            source, target = ROOT / os.fsdecode(name), folder / os.fsdecode(name)
            if source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(source.read_bytes())
        clone = Clone(folder)
        clone.does("git init -q && git add -A && git -c user.name=n -c user.email=n@n commit -qm all")
        (folder / ".venv").symlink_to(sys.prefix)
        return clone

    def runs(self, command: str) -> subprocess.CompletedProcess[str]:
        """A command as one types it, in a shell; stdout and stderr together."""
        return subprocess.run(
            ["bash", "-c", re.sub(r"^make ", f"make {' '.join(INSTALLED)} ", command)],
            cwd=self.folder,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=400,
        )

    def does(self, command: str) -> str:
        """The same, of a command that must succeed: what it said."""
        done = self.runs(command)
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        return done.stdout

    def files(self, folder: str) -> dict[str, tuple[int, int]]:
        """All files below a folder, with time and size."""
        found = sorted(file for file in (self.folder / folder).rglob("*") if file.is_file())
        return {str(file): (file.stat().st_mtime_ns, file.stat().st_size) for file in found}

    def set(self, params: dict[str, Any]) -> None:
        """Write params.yaml."""
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """`base` with what `change` sets, section by section."""
    found = dict(base)
    for name, value in change.items():
        found[name] = found.get(name, {}) | value if isinstance(value, dict) else value
    return found
