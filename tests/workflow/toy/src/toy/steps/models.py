"""A model a member: its words times its value."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from sparse_coding.errors import BadInput
from toy.made import note


def run(settings: dict, *, words: Path, output: Path, threads: int, done: Callable[[str], None]) -> None:
    output.mkdir(parents=True, exist_ok=True)
    for name, value in settings["members"].items():
        note(name)
        while Path(f"hold-{name}").exists():
            Path(f"held-{name}").write_text(str(os.getpid()))
            time.sleep(0.02)
        if value < 0:
            raise BadInput(name, str(value), "no negative value")
        text = f"{settings['shape']} {value} {words.read_text()}"
        (output / f"{name}.txt").write_text(text)
        (output / f"{name}.log").write_text(f"{len(text)}\n")
        done(name)
