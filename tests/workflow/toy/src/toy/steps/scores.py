"""A score a model."""

from collections.abc import Callable
from pathlib import Path


def run(settings: dict, *, models: list[Path], output: Path, done: Callable[[str], None]) -> None:
    output.mkdir(parents=True, exist_ok=True)
    for name, model in zip(settings["members"], models, strict=True):
        with Path("made.log").open("a") as log:
            log.write(f"score {name}\n")
        (output / f"{name}.json").write_text(f"{len(model.read_text()) * settings['weight']}\n")
        done(name)
