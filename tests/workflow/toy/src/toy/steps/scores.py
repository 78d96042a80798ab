"""A score a model."""

from collections.abc import Callable
from pathlib import Path

from toy.made import note


def run(settings: dict, *, models: list[Path], output: Path, done: Callable[[str], None]) -> None:
    output.mkdir(parents=True, exist_ok=True)
    for name, model in zip(settings["members"], models, strict=True):
        note(f"score {name}")
        (output / f"{name}.json").write_text(f"{len(model.read_text()) * settings['weight']}\n")
        done(name)
