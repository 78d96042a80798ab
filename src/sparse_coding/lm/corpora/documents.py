"""What every corpus gives: documents to train on, and documents held out.

Documents are held out whole, and give fragments or activations, not both. So that one or two very large documents can
serve, those that hold so much of a corpus that they cannot be held out whole are cut.
"""

import hashlib
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from sparse_coding.errors import BadInput

Side = Literal["train", "held_out"]
SIDES: tuple[Side, Side] = ("train", "held_out")
LARGE_SHARE = 1 / 4  # of all text of a corpus: a document that holds more is cut; ten like books stay whole
PIECE_SHARE = 1 / 200  # of all text, the length of a piece: few hold out about the share that is asked for
PIECE_LEAST = 2000  # characters, some hundred tokens
_BREAKS = (re.compile(r"\n\s*\n"), re.compile(r"\n"), re.compile(r"\s"))  # after which a piece begins, the best first


@dataclass(frozen=True)
class Source:
    """Which texts are meant: a name or path, the column of the text, and what of a repository.

    section: of params.yaml, where messages say that a setting stands.
    """

    name: str
    text_field: str = "text"
    revision: str | None = None
    subset: str | None = None
    split: str | None = None
    section: str = "dataset"

    @property
    def path(self) -> Path:
        """Where it lies, if it is local."""
        return Path(self.name).expanduser()

    @property
    def place(self) -> str:
        """What messages call it."""
        return f"corpus {self.name}"


@dataclass(frozen=True)
class Documents:
    """Texts of a corpus, in a fixed order, split so that no held-out text was trained on."""

    train: list[str]
    held_out: list[str]

    @property
    def sha256(self) -> str:
        """One hash for all texts, training documents first."""
        return sha256_of(self.train + self.held_out)

    def in_order(self, side: Side, seed: int) -> Iterator[tuple[int, str]]:
        """The documents of a side in a seeded order, each with its number."""
        texts = self.train if side == "train" else self.held_out
        order = np.random.default_rng((seed, SIDES.index(side))).permutation(len(texts))
        return ((index, texts[index]) for index in order.tolist())

    def seen(self, train: int, held_out: int) -> "Documents":
        """What there was to choose from, however many documents of each side were taken: all."""
        return self


def sha256_of(texts: Iterable[str]) -> str:
    """One hash for a list of texts; the order and the borders between texts count."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


def cut_large(texts: list[str], place: object) -> list[str]:
    """The same text with each document that holds much of it in pieces, in order; what was cut is said on stderr."""
    total = sum(map(len, texts))
    size = max(PIECE_LEAST, round(PIECE_SHARE * total))
    large = [index for index, text in enumerate(texts) if len(text) > max(LARGE_SHARE * total, 2 * size)]
    if not large:
        return texts
    pieces = {index: list(_pieces(texts[index], size)) for index in large}
    n_pieces = sum(map(len, pieces.values()))
    print(f"{place}: {len(large)} large of {len(texts)} document(s) cut into {n_pieces} pieces", file=sys.stderr)
    return [piece for index, text in enumerate(texts) for piece in pieces.get(index, [text])]


def _pieces(text: str, size: int) -> Iterator[str]:
    """Pieces of `size` characters or somewhat more that together are `text`; blanks alone are none."""
    start = 0
    while start < len(text):
        end = _break_after(text, start + size, start + 2 * size) if len(text) - start > 2 * size else len(text)
        if text[start:end].strip():
            yield text[start:end]
        start = end


def _break_after(text: str, first: int, last: int) -> int:
    """Where the next piece begins, from `first` to `last`: after a paragraph, a line, a word, or at `first`."""
    for kind in _BREAKS:
        if found := kind.search(text, first, last):
            return found.end()
    return first


def n_held_out(n: int, share: float) -> int:
    """How many of `n` documents, at least 2, are held out: at least one, and all but one at most."""
    return min(max(round(share * n), 1), n - 1)


def split(texts: list[str], held_out_share: float, seed: int, place: object) -> Documents:
    """Hold out a seeded choice of whole documents: at least one, and all but one at most; order is kept.

    What is large is cut before. Raises BadInput, naming `place`, where there are fewer than two documents.
    """
    texts = cut_large(texts, place)
    if len(texts) < 2:
        raise BadInput(place, f"{len(texts)} document(s) with text", "at least 2: one to train on and one to hold out")
    chosen = np.random.default_rng(seed).permutation(len(texts))[: n_held_out(len(texts), held_out_share)]
    held_out = set(chosen.tolist())
    return Documents(
        train=[text for index, text in enumerate(texts) if index not in held_out],
        held_out=[texts[index] for index in sorted(held_out)],
    )
