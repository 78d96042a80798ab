"""A picture of a table, in letters."""

from pathlib import Path


def run(settings: dict, *, table: Path, output: Path, environments: list) -> None:
    output.mkdir(parents=True, exist_ok=True)
    (output / "picture.txt").write_text(f"{settings['style']}\n{table.read_text()}{len(environments)}\n")
