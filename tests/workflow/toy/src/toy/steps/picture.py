"""A picture of a table, in letters."""

from pathlib import Path

from toy.made import note


def run(settings: dict, *, table: Path, output: Path, environments: list) -> None:
    note("picture")
    output.mkdir(parents=True, exist_ok=True)
    (output / "picture.txt").write_text(f"{settings['style']}\n{table.read_text()}{len(environments)}\n")
