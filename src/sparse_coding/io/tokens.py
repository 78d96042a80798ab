"""Token blocks, held-out blocks and interpretation fragments on disk: one HDF5 file, `tokens.h5`.

Groups `train` and `held_out` hold `tokens` and `document` [block, context]; group `fragments` holds `tokens`
[fragment, BOS + fragment_tokens] and `document` [fragment]; `vocabulary` is a JSON list of the text of each
token id (plain HDF5 strings cannot hold the NUL that byte-level tokenizers have). All else is in attributes.
"""

import hashlib
import json
from dataclasses import MISSING, dataclass, fields
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from sparse_coding.errors import BadInput
from sparse_coding.io.hdf5 import whole_hdf5
from sparse_coding.io.unreadable import HDF5, check_is_file, what_is

FORMAT = "sparse_coding tokens 1"
NO_DOCUMENT = -1  # the document index of a beginning-of-sequence token
PADDING = -2  # the document index of a padding token


@dataclass(frozen=True, eq=False)
class Blocks:
    """Token blocks, [block, context]; `document` holds the index of the document each token came from.

    BOS, where it is used, is in column 0, and its document is `NO_DOCUMENT`; that of padding is `PADDING`.
    """

    tokens: NDArray[np.int32]
    document: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Tokens:
    """A tokenised corpus.

    `train`, `held_out`: blocks; `fragments` [fragment, BOS + fragment_tokens], whose documents
    (`fragments_document` [fragment], numbered as in `train`) give no training block. `special` are the ids whose
    activations are dropped; a fragment holds none beside its leading BOS. `leak` is the share of 12-word windows
    of the held-out documents that stand in training documents. With `train_on_special`, only padding is dropped from
    `train`. Exact counts, None for the embedded corpus: documents that were read for fragments and blocks, with their
    text tokens, and the text tokens in blocks.
    """

    train: Blocks
    held_out: Blocks
    fragments: NDArray[np.int32]
    fragments_document: NDArray[np.int32]
    vocabulary: list[str]
    model: str
    corpus: str
    bos: int | None
    special: tuple[int, ...]
    seed: int
    corpus_sha256: str
    leak: float
    n_documents_train: int
    n_documents_held_out: int
    n_documents_fragments: int
    train_on_special: bool = False
    n_documents_read_train: int | None = None
    n_documents_read_held_out: int | None = None
    n_tokens_read_train: int | None = None
    n_tokens_read_held_out: int | None = None
    n_tokens_train: int | None = None
    n_tokens_held_out: int | None = None

    @property
    def context(self) -> int:
        """Length of a block, BOS included."""
        return self.train.tokens.shape[1]

    @property
    def fragment_tokens(self) -> int:
        """Length of a fragment, BOS not counted."""
        return self.fragments.shape[1] - (self.bos is not None)

    def is_text(self, tokens: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Where `tokens`, of any shape, are text: not one of the special ids. The same shape."""
        return is_text(tokens, self.special)

    def is_harvested(self, split: str, blocks: Blocks) -> NDArray[np.bool_]:
        """Where the vectors of `blocks` of a split are kept, [block, token]: text; in `train` maybe all but padding."""
        if split == "train" and self.train_on_special:
            return blocks.document != PADDING
        return self.is_text(blocks.tokens)


def is_text(tokens: NDArray[np.integer], special: tuple[int, ...]) -> NDArray[np.bool_]:
    """Where `tokens`, of any shape, are none of `special`."""
    return np.isin(tokens, np.asarray(special, dtype=np.int64), invert=True)


def save(path: Path, tokens: Tokens) -> None:
    """Write `tokens` whole. The bytes depend on `tokens` alone."""
    arrays, attributes = _arrays(tokens), _attributes(tokens)
    with whole_hdf5(path) as (file, _):
        for name, array in arrays.items():
            file.create_dataset(name, data=array, track_times=False)
        file.create_dataset("vocabulary", data=json.dumps(tokens.vocabulary), track_times=False)
        for name, value in attributes.items():
            file.attrs[name] = value
        file.attrs["sha256"] = _sha256(arrays, tokens.vocabulary, attributes)


def load(path: Path) -> Tokens:
    """Read what `save` wrote. Raises BadInput, naming the file, where it is cut short, edited or something else."""
    wanted = "a token file that stage dataset wrote"
    check_is_file(path, wanted)
    try:
        with h5py.File(path, "r") as file:
            kind = file.attrs.get("format")
            if not isinstance(kind, str) or kind != FORMAT:
                raise BadInput(path, f"format {kind!r}", repr(FORMAT))
            tokens, sha256 = _read(file), file.attrs["sha256"]
            derived = {name: file.attrs[name].item() for name in ("context", "fragment_tokens")}
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise BadInput(path, what_is(path, HDF5, error), f"{wanted}; make it again") from None
    if _sha256(_arrays(tokens), tokens.vocabulary, _attributes(tokens) | derived) != sha256:
        raise BadInput(path, "content that was changed after it was written", "its own checksum; make it again")
    return tokens


def _read(file: h5py.File) -> Tokens:
    plain = (name for name in _plain_fields() if name not in ("bos", "special"))
    attributes = {name: file.attrs[name] for name in plain if name not in _optional_fields() or name in file.attrs}
    return Tokens(
        train=Blocks(file["train/tokens"][:], file["train/document"][:]),
        held_out=Blocks(file["held_out/tokens"][:], file["held_out/document"][:]),
        fragments=file["fragments/tokens"][:],
        fragments_document=file["fragments/document"][:],
        vocabulary=json.loads(file["vocabulary"][()]),
        bos=None if file.attrs["bos"] == -1 else int(file.attrs["bos"]),
        special=tuple(int(token) for token in file.attrs["special"]),
        **{name: value.item() if isinstance(value, np.generic) else value for name, value in attributes.items()},
    )


def _arrays(tokens: Tokens) -> dict[str, NDArray[np.int32]]:
    arrays = {
        "train/tokens": tokens.train.tokens,
        "train/document": tokens.train.document,
        "held_out/tokens": tokens.held_out.tokens,
        "held_out/document": tokens.held_out.document,
        "fragments/tokens": tokens.fragments,
        "fragments/document": tokens.fragments_document,
    }
    return {name: np.ascontiguousarray(array, dtype=np.int32) for name, array in arrays.items()}


def _plain_fields() -> list[str]:
    arrays = {"train", "held_out", "fragments", "fragments_document", "vocabulary"}
    return [field.name for field in fields(Tokens) if field.name not in arrays]


def _optional_fields() -> dict[str, bool | None]:
    """Those that stand in a file where they are not the default."""
    return {field.name: field.default for field in fields(Tokens) if field.default is not MISSING}


def _attributes(tokens: Tokens) -> dict:
    plain = {name: getattr(tokens, name) for name in _plain_fields()}
    plain = {name: value for name, value in plain.items() if value != _optional_fields().get(name, MISSING)}
    return {
        **plain,
        "format": FORMAT,
        "context": tokens.context,
        "fragment_tokens": tokens.fragment_tokens,
        "bos": -1 if tokens.bos is None else tokens.bos,
        "special": np.asarray(tokens.special, dtype=np.int32),
    }


def _sha256(arrays: dict[str, NDArray[np.int32]], vocabulary: list[str], attributes: dict) -> str:
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name} {array.shape}".encode())
        digest.update(array.tobytes())
    plain = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in attributes.items()}
    digest.update(json.dumps([vocabulary, plain], sort_keys=True).encode())
    return digest.hexdigest()
