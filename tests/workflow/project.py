"""A copy of the toy workflow, with git and DVC, for a test to run, break and run again."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOY = Path(__file__).parent / "toy"
BIN = Path(sys.executable).parent
PLOT = "results/plots/picture.txt"
MODELS = "src/toy/steps/models.py"
ALL = [f"{shape}_{value}" for shape in ("round", "square") for value in (1, 2, 3)]
SCORES = [f"score {name}" for name in ALL]
TAIL = ["picture", "table"]  # what follows all scores


def with_value(text: str, name: str, value: Any) -> str:
    """YAML in which the line of `name` has another value, and its comment."""
    lines = text.splitlines(keepends=True)
    (at,) = (index for index, line in enumerate(lines) if line.startswith(f"{name}:"))
    comment = lines[at].rstrip("\n").partition("    #")
    lines[at] = f"{name}: {json.dumps(value)}{comment[1]}{comment[2]}\n"
    return "".join(lines)


@dataclass
class Done:
    """How a command ended, and all that it printed."""

    code: int
    said: str


@dataclass
class Started:
    """A command under way."""

    process: subprocess.Popen[str]

    def wait(self, timeout: float = 60) -> Done:
        said, _ = self.process.communicate(timeout=timeout)
        return Done(self.process.returncode, said)

    def kill(self) -> None:
        """As the kernel does it where memory runs out: only this process, at once."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


STARTED: list[Started] = []


def end_all() -> None:
    """End what a test left running, with all that it started: what failed may wait for ever."""
    for started in STARTED:
        if started.process.poll() is None or started.process.returncode < 0:
            with suppress(ProcessLookupError):
                os.killpg(started.process.pid, signal.SIGKILL)
            started.process.communicate()
    STARTED.clear()


@dataclass
class Project:
    """The folder of a copy."""

    folder: Path

    @staticmethod
    def create(folder: Path) -> "Project":
        shutil.copytree(TOY, folder, ignore=shutil.ignore_patterns("__pycache__"))
        project = Project(folder)
        project.git("init", "--quiet", "--initial-branch=main")
        project.dvc("init", "--quiet")
        project.dvc("config", "core.analytics", "false")
        project.dvc("config", "core.check_update", "false")
        return project

    def copy(self, folder: Path) -> "Project":
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder)

    @property
    def _environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "SNAKEMAKE_"))}
        return clean | {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "DVC_SITE_CACHE_DIR": str(self.folder.parent / f"{self.folder.name}-site"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            **{f"GIT_{who}_{what}": "toy@toy" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }

    def start(self, *command: str) -> Started:
        started = Started(
            subprocess.Popen(
                command,
                cwd=self.folder,
                env=self._environment,
                text=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        )
        STARTED.append(started)
        return started

    def start_snakemake(self, *arguments: str) -> Started:
        return self.start("snakemake", "--cores", "2", *arguments)

    def snakemake(self, *arguments: str) -> Done:
        return self.start_snakemake(*arguments).wait()

    def start_dvc(self, *arguments: str) -> Started:
        return self.start("dvc", *arguments)

    def dvc(self, *arguments: str) -> Done:
        return self.start_dvc(*arguments).wait()

    def sparse_coding(self, *arguments: str) -> Done:
        return self.start("python", "-m", "sparse_coding", *arguments).wait()

    def git(self, *arguments: str) -> str:
        done = self.start("git", *arguments).wait()
        assert done.code == 0, done.said
        return done.said

    def build(self, *arguments: str) -> list[str]:
        """Run Snakemake, which must succeed; what was made."""
        self.forget()
        done = self.snakemake(*arguments)
        assert done.code == 0, done.said
        return self.made()

    def repro(self) -> list[str]:
        """`dvc repro`, which must succeed; what was made."""
        self.forget()
        done = self.dvc("repro")
        assert done.code == 0, done.said
        return self.made()

    def made(self) -> list[str]:
        """What steps made since the last `forget`, sorted."""
        log = self.folder / "made.log"
        return sorted(log.read_text().splitlines()) if log.exists() else []

    def forget(self) -> None:
        (self.folder / "made.log").unlink(missing_ok=True)

    def is_fresh(self) -> bool:
        """Whether there is nothing to do; both tools must say the same."""
        snakemake, dvc = self.start_snakemake("--dry-run"), self.start_dvc("status")
        by_snakemake, by_dvc = snakemake.wait(), dvc.wait()
        assert by_snakemake.code == by_dvc.code == 0, by_snakemake.said + by_dvc.said
        fresh = "Nothing to be done" in by_snakemake.said
        assert fresh == ("up to date" in by_dvc.said), by_snakemake.said + by_dvc.said
        return fresh

    def set(self, **settings: Any) -> None:
        """Change params.yaml, a line each; the old value gives the old text."""
        text = self.read("params.yaml")
        for name, value in settings.items():
            text = with_value(text, name, value)
        (self.folder / "params.yaml").write_text(text)

    def replace(self, file: str, old: str, new: str) -> None:
        """Edit a text file."""
        text = self.read(file)
        assert old in text
        (self.folder / file).write_text(text.replace(old, new))

    def read(self, file: str) -> str:
        return (self.folder / file).read_text()

    def hold(self, member: str) -> None:
        (self.folder / f"hold-{member}").touch()

    def wait_for(self, member: str, seconds: float = 30) -> int:
        """Wait until the step of a held member waits; its process."""
        held = self.folder / f"held-{member}"
        for _ in range(int(seconds / 0.02)):
            if held.exists() and (process := held.read_text()):
                return int(process)
            time.sleep(0.02)
        raise TimeoutError(f"{member} is not being made")

    def release(self, member: str) -> None:
        (self.folder / f"hold-{member}").unlink()
        (self.folder / f"held-{member}").unlink(missing_ok=True)

    def results(self, folder: str = "results") -> dict[str, bytes]:
        """All artifacts and stamps, by path."""
        files = sorted((self.folder / folder).rglob("*"))
        return {str(file.relative_to(self.folder)): file.read_bytes() for file in files if file.is_file()}
