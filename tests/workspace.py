"""A project folder of its own for a test: the real workflow, other settings."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent


def make_workspace(folder: Path, params: dict | str) -> Path:
    """A folder with the repository's Snakefile, rules, profile and lock of the hub, and a params.yaml."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("Snakefile", "rules", "profiles", "prompts", "hub.lock.json"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "models").mkdir(exist_ok=True)
    write_params(folder, params)
    return folder


def write_params(folder: Path, params: dict | str) -> None:
    text = params if isinstance(params, str) else yaml.safe_dump(params)
    (folder / "params.yaml").write_text(text, encoding="utf-8")


def snakemake(folder: Path, *arguments: str, cores: int = 2, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """`snakemake --cores N ...` in `folder`; stdout and stderr together in `stdout`."""
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores), *arguments]
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout,
    )


def content(path: Path) -> bytes:
    """What a file says, unpacked."""
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def step(*arguments: str, cwd: Path | None = None, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """`python -m sparse_coding ...`, as one calls a command or a stage by hand."""
    command = [sys.executable, "-m", "sparse_coding", *arguments]
    return subprocess.run(command, cwd=cwd, text=True, capture_output=True, timeout=timeout)
