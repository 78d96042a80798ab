"""Stage toy, drawing: the four heat maps of the toy, and their caption as text."""

from collections.abc import Sequence
from pathlib import Path

from sparse_coding.atomic import whole_file, write_text
from sparse_coding.errors import BadInput
from sparse_coding.figures import style, toy, toy_caption
from sparse_coding.io import tables
from sparse_coding.io.tables.toy import TOY
from sparse_coding.settings.slices.toy import ToyFigureSlice


def run(settings: ToyFigureSlice, *, table: Path, output: Path, environments: Sequence[dict[str, str]] = ()) -> None:
    """Draw `<output>/toy.png` from the table of all dictionaries and write its caption beside it, `toy.txt`.

    environments: libraries and processors that the numbers come from; the caption says where they differ. Raises
    BadInput for a table that is damaged or empty.
    """
    rows = tables.read(table, TOY).to_pandas()
    if not len(rows):
        raise BadInput(table, "a table without rows", "a row a dictionary")
    words = toy_caption.text(settings, rows, environments)
    picture = style.png(toy.figure(rows, toy_caption.title(rows), words), settings.plots.width, settings.plots.dpi)
    write_text(output / "toy.txt", words + "\n")
    with whole_file(output / "toy.png") as temporary:
        temporary.write_bytes(picture)
