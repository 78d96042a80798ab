"""The splits of a corpus, each with its rows: which are trained on, and which are held out."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

from sparse_coding.errors import BadInput
from sparse_coding.lm.corpora.documents import Documents, Source, cut_large, split
from sparse_coding.lm.corpora.streaming import Stream

if TYPE_CHECKING:
    from datasets import IterableDataset

HELD_OUT = ("validation", "test")  # the hub's own splits, the first that is there
WHOLE = {"dataset": "dataset.streaming: false", "transformer": "transformer.documents: null"}  # for no stream


class Part(Protocol):
    """The rows of one split, read anew each time that they are asked for."""

    def texts(self, start: int = 0, stop: int | None = None) -> Iterator[str]:
        """The documents of rows `start` to `stop` that hold more than blanks. Raises BadInput where one cannot be."""

    def n_rows(self) -> int:
        """All rows, those without text too. Raises BadInput as `texts`."""

    def stream(self) -> "IterableDataset":
        """Rows that are read as far as one goes, the texts in column `column`."""

    @property
    def column(self) -> str:
        """The column of the texts in `stream`."""


def documents(parts: Mapping[str, Part], source: Source, held_out_share: float, seed: int) -> Documents:
    """The documents of the split `train`, or of `source.split`, and those of `validation` or `test` as held-out ones.

    Without a held-out split, documents of the other are held out. Raises BadInput where there is no such split or no
    text, and as the rows do.
    """
    used = _used(parts, source)
    train = list(_chosen(parts, source, used))
    if not train:
        raise BadInput(source.place, "no text", f"text in its column {source.text_field!r}")
    for own in _held_out(parts, used):
        if held_out := list(own.texts()):
            return Documents(cut_large(train, source.place), held_out)
    return split(train, held_out_share, seed, source.place)


def stream(parts: Mapping[str, Part], source: Source, held_out_share: float, buffer: int) -> Stream:
    """The same corpus, read as far as is needed. Raises BadInput as `documents`, and for a slice of a split."""
    used = _used(parts, source)
    name = source.split or "train"
    if name not in parts:
        wanted = f"a whole split, or {WHOLE[source.section]}"
        raise BadInput(f"{source.section}.split", f"{name} of a streamed corpus", wanted)
    part, own = parts[name], next(_held_out(parts, used), None)
    return Stream(
        part.stream(), None if own is None else own.stream(), part.column, source.place, held_out_share, buffer
    )


def _used(parts: Mapping[str, Part], source: Source) -> list[str]:
    """The splits that `source.split` names, which may be slices and sums of them."""
    used = [part.partition("[")[0].strip() for part in (source.split or "train").split("+")]
    if not set(used) <= set(parts):
        found = source.split or "null, which means `train`"
        raise BadInput(f"{source.section}.split", found, _splits(parts, source))
    return used


def _splits(parts: Mapping[str, Part], source: Source) -> str:
    return f"one of {', '.join(parts)}: the splits of {source.place}"


def _held_out(parts: Mapping[str, Part], used: list[str]) -> Iterator[Part]:
    return (parts[name] for name in HELD_OUT if name in parts and name not in used)


def _chosen(parts: Mapping[str, Part], source: Source, used: list[str]) -> Iterator[str]:
    name = source.split or "train"
    if name in parts:
        yield from parts[name].texts()
        return
    from datasets import ReadInstruction

    sizes = {split: parts[split].n_rows() for split in used}
    try:
        slices = ReadInstruction.from_spec(name).to_absolute(sizes)
    except Exception as error:  # of the syntax of slices
        wanted = f"a slice such as train[:10%], or {_splits(parts, source)}"
        raise BadInput(f"{source.section}.split", name, wanted) from error
    for each in slices:
        yield from parts[each.splitname].texts(each.from_, each.to)
