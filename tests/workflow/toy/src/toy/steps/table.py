"""All scores."""

from pathlib import Path

from toy.made import note


def run(settings: dict, *, scores: list[Path], output: Path) -> None:
    note("table")
    output.mkdir(parents=True, exist_ok=True)
    rows = [f"{name},{file.read_text().strip()}\n" for name, file in zip(settings["names"], scores, strict=True)]
    (output / "table.csv").write_text("name,score\n" + "".join(rows))
