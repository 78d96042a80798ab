"""Where text comes from: the embedded corpus, local files, or a data hub."""

import re

from sparse_coding.errors import BadInput
from sparse_coding.lm.corpora import files, hub, pydocs
from sparse_coding.lm.corpora.documents import Documents, Source
from sparse_coding.lm.corpora.streaming import Stream
from sparse_coding.lm.corpora.windows import share_in
from sparse_coding.params import Dataset

EMBEDDED = "pydocs"
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?(:.+)?")


def load(
    name: str,
    text_field: str = "text",
    held_out_share: float = 0.05,
    seed: int = 0,
    processes: int = 1,
    revision: str | None = None,
    subset: str | None = None,
    split: str | None = None,
) -> Documents:
    """The documents of the corpus that `name` means: `pydocs`, a local file or folder, or a data hub name.

    `text_field` is the column of the text where a document is a row, `revision` the commit of a hub corpus, `subset`
    and `split` what of one, or of a local copy, is meant. Where a corpus has no split of its own, `held_out_share` of
    its documents, chosen by `seed`, are held out. Raises BadInput, naming the place, where there is no such corpus, it
    holds no text, or it cannot be read.
    """
    return _whole(Source(name, text_field, revision, subset, split), held_out_share, seed, processes)


def opened(dataset: Dataset, processes: int = 1) -> Documents | Stream:
    """The corpus of the settings, whole, or as a stream where they ask for one. Raises BadInput as `load` does."""
    source = Source(dataset.corpus, dataset.text_field, dataset.revision, dataset.subset, dataset.split)
    share, buffer = dataset.held_out_share, dataset.shuffle_buffer
    on_hub = source.name != EMBEDDED and not source.path.exists()
    if not (on_hub if dataset.streaming == "auto" else dataset.streaming):
        return _whole(source, share, dataset.seed, processes)
    if source.name == EMBEDDED:
        raise BadInput("dataset.streaming", f"true, and corpus {EMBEDDED}", "auto or false: it is made whole")
    if _is_plain(source):
        return Stream(files.stream(source.path, source.text_field), None, "text", source.place, share, buffer)
    return hub.stream(source, share, buffer)


def leak(documents: Documents) -> float:
    """The share of held-out 12-word windows that stand in the training documents."""
    return share_in(documents.held_out, documents.train)


def _whole(source: Source, held_out_share: float, seed: int, processes: int) -> Documents:
    if source.name == EMBEDDED:
        if source.subset or source.split:
            found = f"{source.subset or source.split}, and corpus {EMBEDDED}"
            raise BadInput("dataset.subset or dataset.split", found, "null: it has no parts to choose from")
        return pydocs.build(processes)
    if _is_plain(source):
        return files.load(source.path, source.text_field, held_out_share, seed)
    return hub.load(source, held_out_share, seed)


def _is_plain(source: Source) -> bool:
    """Whether it is local files, and no part of them is asked for. Raises BadInput for what is no name of a hub."""
    if not source.path.exists():
        if not _HUB_NAME.fullmatch(source.name) or files.kind_of(source.path):
            raise BadInput(source.place, "no such file or folder", hub.WANTED)
        return False
    return not (source.subset or source.split or hub.is_repository(source.path))
