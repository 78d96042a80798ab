"""Where text comes from: the embedded corpus, local files, or a data hub."""

import re
from pathlib import Path

from sparse_coding.errors import BadInput
from sparse_coding.lm.corpora import files, hub, pydocs
from sparse_coding.lm.corpora.documents import Documents
from sparse_coding.lm.corpora.windows import share_in

_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?(:.+)?")


def load(
    name: str,
    text_field: str = "text",
    held_out_share: float = 0.05,
    seed: int = 0,
    processes: int = 1,
    revision: str | None = None,
) -> Documents:
    """The documents of the corpus that `name` means: `pydocs`, a local file or folder, or a data hub name.

    `text_field` is the column of the text in .jsonl, .parquet and hub corpora, `revision` the commit of the latter.
    Where a corpus has no split of its own, `held_out_share` of its documents, chosen by `seed`, are held out. Raises
    BadInput, naming the place, where there is no such corpus, it holds no text, or it cannot be read.
    """
    if name == "pydocs":
        return pydocs.build(processes)
    path = Path(name).expanduser()
    if path.exists():
        return files.load(path, text_field, held_out_share, seed)
    if not _HUB_NAME.fullmatch(name) or path.suffix.lower() in files.KINDS:
        raise BadInput(f"corpus {name}", "no such file or folder", hub.WANTED)
    return hub.load(name, text_field, held_out_share, seed, revision)


def leak(documents: Documents) -> float:
    """The share of held-out 12-word windows that stand in the training documents."""
    return share_in(documents.held_out, documents.train)
