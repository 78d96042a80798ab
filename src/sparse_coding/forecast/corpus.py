"""How much text a corpus is, and what holding it takes; from the sizes of its files, without reading them."""

from pathlib import Path

from sparse_coding.leaves import EMBEDDED_CORPUS
from sparse_coding.params import Dataset

EMBEDDED_BYTES = 28_000_000
BYTES_A_TOKEN = 4  # of text; of a corpus that is streamed, no more is read than is needed
HELD = 15  # bytes a byte of text: itself, and the hashes of all its 12-word windows


def text_bytes(dataset: Dataset) -> int:
    """Bytes of the texts that are in memory."""
    path = Path(dataset.corpus).expanduser()
    if dataset.corpus == EMBEDDED_CORPUS:
        return EMBEDDED_BYTES
    tokens = dataset.train_tokens + dataset.held_out_tokens + dataset.fragments * dataset.fragment_tokens
    is_here = path.exists()
    if dataset.streaming is True or (dataset.streaming == "auto" and not is_here):
        return BYTES_A_TOKEN * tokens
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file()) if is_here else BYTES_A_TOKEN * tokens


def memory(dataset: Dataset) -> int:
    """Bytes that its texts take at the peak."""
    return HELD * text_bytes(dataset)
