"""How often each word stands there: a second step whose artifact stays on its machine, for those who ask for one."""

from pathlib import Path

from toy.made import note


def run(settings: dict, *, words: Path, output: Path) -> None:
    note("counts")
    output.mkdir(parents=True, exist_ok=True)
    (output / "counts.json").write_text(words.read_text())
