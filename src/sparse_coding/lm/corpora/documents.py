"""What every corpus gives: documents to train on, and documents held out."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from sparse_coding.errors import BadInput


@dataclass(frozen=True)
class Documents:
    """Texts of a corpus, in a fixed order, split so that no held-out text was trained on."""

    train: list[str]
    held_out: list[str]

    @property
    def sha256(self) -> str:
        """One hash for all texts, training documents first."""
        return sha256_of(self.train + self.held_out)


def sha256_of(texts: Iterable[str]) -> str:
    """One hash for a list of texts; the order and the borders between texts count."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


def split(texts: list[str], held_out_share: float, seed: int, place: object) -> Documents:
    """Hold out a seeded choice of whole documents: at least one, and all but one at most; order is kept.

    Raises BadInput, naming `place`, where there are fewer than two documents.
    """
    if len(texts) < 2:
        raise BadInput(place, f"{len(texts)} document(s) with text", "at least 2: one to train on and one to hold out")
    n_held_out = min(max(round(held_out_share * len(texts)), 1), len(texts) - 1)
    held_out = set(np.random.default_rng(seed).permutation(len(texts))[:n_held_out].tolist())
    return Documents(
        train=[text for index, text in enumerate(texts) if index not in held_out],
        held_out=[texts[index] for index in sorted(held_out)],
    )
