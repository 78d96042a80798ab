"""Corpora by their name on the data hub, through the `datasets` library, at the commit that is locked."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sparse_coding.errors import BadInput
from sparse_coding.lm.corpora.documents import Source
from sparse_coding.lm.corpora.parts import Part
from sparse_coding.lm.corpora.refusing import refusal
from sparse_coding.lm.corpora.streaming import texts


@dataclass(frozen=True)
class HubPart:
    """A split as `load_dataset` gives it: a `Dataset`, or an `IterableDataset` where it is streamed. See `parts.Part`.

    What is loaded whole comes from the library's cache, which knows a repository by its commit.
    """

    rows: Any
    column: str
    place: str

    def texts(self, start: int = 0, stop: int | None = None) -> Iterator[str]:
        """The documents of these rows of a `Dataset` that hold more than blanks."""
        rows = self.rows if stop is None else self.rows.select(range(start, stop))
        return texts(rows, self.column, self.place)

    def n_rows(self) -> int:
        """All rows of a `Dataset`."""
        return len(self.rows)

    def stream(self) -> Any:
        """The rows of an `IterableDataset`."""
        return self.rows


def parts(source: Source, streaming: bool) -> dict[str, Part]:
    """The splits of a corpus. Raises BadInput where there is no such corpus, subset or no way to it."""
    from datasets import load_dataset  # a second to import, and most runs do without it

    arguments = _arguments(source)
    try:
        corpus = load_dataset(**arguments, streaming=streaming)
    except Exception as error:  # network, hub and reader have exceptions of their own
        raise refusal(source, arguments, error) from error
    return {str(name): HubPart(rows, source.text_field, source.place) for name, rows in corpus.items()}


def _arguments(source: Source) -> dict[str, Any]:
    """What `load_dataset` needs to find `source`."""
    repository, _, configuration = source.name.partition(":")
    if configuration and source.subset not in (None, configuration):
        both = f"{source.subset}, and {configuration} in {source.name}"
        raise BadInput(f"{source.section}.subset", both, "one of them")
    return {"path": repository, "name": source.subset or configuration or None, "revision": source.revision}
