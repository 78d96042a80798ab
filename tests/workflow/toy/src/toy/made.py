"""What was really made, for those who test."""

from pathlib import Path


def note(name: str) -> None:
    with Path("made.log").open("a") as log:
        log.write(f"{name}\n")
