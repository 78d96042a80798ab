"""The words of all texts, counted."""

import json
from collections import Counter
from pathlib import Path

from toy.made import note
from toy.text import shout


def run(settings: dict, *, texts: Path, output: Path) -> None:
    note("words")
    words = [shout(word) for file in sorted(texts.glob("*.txt")) for word in file.read_text().split()]
    output.mkdir(parents=True, exist_ok=True)
    (output / "words.json").write_text(json.dumps(Counter(words), sort_keys=True) + settings["ending"])
