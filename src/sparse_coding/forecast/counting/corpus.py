"""How much text a corpus is, and what holding it takes; from the sizes of its files, without reading them."""

import math
from pathlib import Path

from sparse_coding.files import corpus_files
from sparse_coding.settings.outside import EMBEDDED_CORPUS
from sparse_coding.settings.params import Dataset, Transformer

EMBEDDED_BYTES = 28_000_000
BYTES_A_TOKEN = 4  # of text; of a corpus that is streamed, no more is read than is needed
DOCUMENT_TOKENS = 300  # between two document ends; of the embedded corpus. Moves blocks by a third of a percent
HELD = 15  # bytes a byte of text: itself, and the hashes of all its 12-word windows


def text_bytes(dataset: Dataset) -> int:
    """Bytes of the texts that are in memory."""
    tokens = dataset.train_tokens + dataset.held_out_tokens + dataset.fragments * dataset.fragment_tokens
    return BYTES_A_TOKEN * tokens if dataset.streaming is True else _whole(dataset.corpus, tokens)


def memory(dataset: Dataset) -> int:
    """Bytes that its texts take at the peak."""
    return HELD * text_bytes(dataset)


def training_bytes(own: Transformer) -> int:
    """Bytes of the texts of a model that is trained here; of a corpus that is not here, what one pass over it reads."""
    if own.documents is not None:
        return BYTES_A_TOKEN * DOCUMENT_TOKENS * own.documents
    return _whole(own.corpus, own.steps * own.batch * own.context)


def training_tokens(own: Transformer, vocabulary: int) -> float:
    """About as many tokens as these texts are: more entries, longer tokens; fitted to BPEs of the embedded corpus."""
    return training_bytes(own) / min(3.8, max(1, 2.35 + 0.4 * math.log2(vocabulary / 1024)))


def _whole(corpus: str, tokens: int) -> int:
    """Bytes of a corpus; of one that is not here, those of so many tokens."""
    path = Path(corpus).expanduser()
    if corpus == EMBEDDED_CORPUS:
        return EMBEDDED_BYTES
    if not path.exists():
        return BYTES_A_TOKEN * tokens
    return sum(file.stat().st_size for file in corpus_files.read_of(path)[0])
