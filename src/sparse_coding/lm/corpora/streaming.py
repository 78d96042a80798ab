"""Corpora that are larger than memory: read through a shuffle buffer, as far as is needed and no further."""

import gc
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from sparse_coding.errors import BadInput
from sparse_coding.lm.corpora.documents import Documents, Side, cut_large, n_held_out
from sparse_coding.lm.corpora.readers import as_text, no_column

if TYPE_CHECKING:
    from datasets import IterableDataset

FEW = 20  # documents: fewer are all read ahead, so that large ones are cut and either side has one


@dataclass
class Stream:
    """The documents of a corpus in the order of a seeded shuffle: shards first, then a buffer of `buffer` documents.

    Without rows of its own for the held-out side (`own`), each document goes to a side by a seeded hash of its text:
    the choice does not depend on how far one reads, and copies of a text stand on one side. Both sides are read from
    the start, so one that is done does not hold up documents of the other. `train` and `held_out` hold the texts that
    were taken so far. Raises BadInput where a side could have no document.
    """

    rows: "IterableDataset"
    own: "IterableDataset | None"
    text_field: str
    place: str
    held_out_share: float
    buffer: int
    train: list[str] = field(default_factory=list)
    held_out: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.own is None and not 0 < self.held_out_share < 1:
            wanted = f"a share between 0 and 1: {self.place} has no held-out split of its own"
            raise BadInput("dataset.held_out_share", f"{self.held_out_share:g}", wanted)

    def in_order(self, side: Side, seed: int) -> Iterator[tuple[int, str]]:
        """The documents of a side as they are read, numbered from 0; BadInput where they cannot be read."""
        taken = self.train if side == "train" else self.held_out
        rows = self.own if self.own is not None and side == "held_out" else self.rows
        shuffled = texts(rows.shuffle(seed=seed, buffer_size=self.buffer), self.text_field, self.place)
        first, border = self._first(shuffled, seed)
        for text in chain(first, shuffled):
            if self.own is not None or (_hash(text, seed) < border) == (side == "held_out"):
                taken.append(text)
                yield len(taken) - 1, text

    def _first(self, shuffled: Iterator[str], seed: int) -> tuple[list[str], float]:
        """The first documents of a pass, and the hash below which one is held out.

        Where they are all, large ones are in pieces, in a seeded order like the rest, and the border is such that
        either side has a document: by the share itself, one of ten would seldom be held out.
        """
        first = list(islice(shuffled, FEW))
        if len(first) == FEW:
            return first, self.held_out_share
        pieces = cut_large(first, self.place)
        if pieces is not first:
            first = [pieces[index] for index in np.random.default_rng(seed).permutation(len(pieces))]
        hashes = sorted({_hash(text, seed) for text in first})
        if len(hashes) < 2:
            return first, self.held_out_share
        return first, hashes[n_held_out(len(hashes), self.held_out_share)]

    def seen(self, train: int, held_out: int) -> Documents:
        """The first documents of each side: those that were used, without what was read ahead."""
        return Documents(self.train[:train], self.held_out[:held_out])


def texts(rows: Iterable[dict], text_field: str, place: str) -> Iterator[str]:
    """The texts in a column that are more than blanks; rows without one (null) are left out.

    Raises BadInput, naming `place`, where rows cannot be read, lack the column, or hold something else than text.
    """
    try:
        for row in rows:
            if text_field not in row:
                raise no_column(place, row, text_field)
            text = as_text(row[text_field], text_field, place)
            if text is not None and text.strip():
                yield text
    except BadInput:
        raise
    except Exception as error:  # readers and transports have exceptions of their own
        reason = " ".join(str(error).split())[:300]
        raise BadInput(place, f"rows that cannot be read ({reason})", "a whole corpus, and a way to it") from error
    finally:
        del rows
        gc.collect()  # Arrow's threads must end before Python does, or it aborts them (datasets, issue 7566)


def _hash(text: str, seed: int) -> float:
    """A number in [0, 1) that the text and the seed decide."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, salt=seed.to_bytes(16, "big"))
    return int.from_bytes(digest.digest()[:6], "big") / 2**48
