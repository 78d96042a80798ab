"""Where text comes from: the embedded corpus, local files, or a data hub."""

import re
from itertools import islice

from tqdm import tqdm

from sparse_coding.errors import BadInput
from sparse_coding.files import corpus_files
from sparse_coding.lm.corpora import files, hub, layouts, parts, pydocs, refusing
from sparse_coding.lm.corpora.documents import Documents, Side, Source
from sparse_coding.lm.corpora.streaming import Stream
from sparse_coding.lm.corpora.windows import share_in
from sparse_coding.settings.params import Dataset

EMBEDDED = pydocs.NAME
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?(:.+)?")


def load(source: Source, held_out_share: float = 0.05, seed: int = 0, processes: int = 1) -> Documents:
    """All documents of a corpus: of the embedded one, a local file or folder, or a name on the data hub.

    Where a corpus has no split of its own, `held_out_share` of its documents, chosen by `seed`, are held out. Raises
    BadInput, naming the place, where there is no such corpus, it holds no text, or it cannot be read.
    """
    if source.name == EMBEDDED:
        if source.subset or source.split:
            found = f"{source.subset or source.split}, and corpus {EMBEDDED}"
            place = f"{source.section}.subset or {source.section}.split"
            raise BadInput(place, found, "null: it has no parts to choose from")
        return pydocs.build(processes)
    _check_name(source)
    if _is_plain(source):
        return files.load(source.path, source.text_field, held_out_share, seed)
    return parts.documents(_parts(source, streaming=False), source, held_out_share, seed)


def first(source: Source, n: int, buffer: int, held_out_share: float = 0.05, seed: int = 0) -> Documents:
    """At most `n` training documents of a seeded stream of a corpus, and the share of that held out.

    No more is read than that takes. Raises BadInput as `load` does, and for the embedded corpus.
    """
    if source.name == EMBEDDED:
        raise BadInput(f"{source.section}.documents", f"{n}, and corpus {EMBEDDED}", "null: it is made whole")
    stream = _stream(source, held_out_share, buffer)
    wanted: dict[Side, int] = {"train": n, "held_out": max(1, round(held_out_share * n))}
    for side, most in wanted.items():
        for _ in tqdm(islice(stream.in_order(side, seed), most), f"{source.place}: {side}", most, unit="document"):
            pass
    return stream.seen(wanted["train"], wanted["held_out"])


def opened(dataset: Dataset, processes: int = 1) -> Documents | Stream:
    """The corpus of the settings, whole, or as a stream where they ask for one. Raises BadInput as `load` does."""
    source = Source(dataset.corpus, dataset.text_field, dataset.revision, dataset.subset, dataset.split)
    share, buffer = dataset.held_out_share, dataset.shuffle_buffer
    on_hub = source.name != EMBEDDED and not source.path.exists()
    if not (on_hub if dataset.streaming == "auto" else dataset.streaming):
        return load(source, share, dataset.seed, processes)
    if source.name == EMBEDDED:
        raise BadInput("dataset.streaming", f"true, and corpus {EMBEDDED}", "auto or false: it is made whole")
    return _stream(source, share, buffer)


def leak(documents: Documents) -> float:
    """The share of held-out 12-word windows that stand in the training documents."""
    return share_in(documents.held_out, documents.train)


def _stream(source: Source, held_out_share: float, buffer: int) -> Stream:
    _check_name(source)
    return parts.stream(_parts(source, streaming=True), source, held_out_share, buffer)


def _parts(source: Source, streaming: bool) -> dict[str, parts.Part]:
    return layouts.parts(source) if source.path.exists() else hub.parts(source, streaming)


def _is_plain(source: Source) -> bool:
    """Whether it is local files, and no part of them is asked for."""
    return source.path.exists() and not (source.subset or source.split or corpus_files.is_repository(source.path))


def _check_name(source: Source) -> None:
    """Raises BadInput for what is neither here nor a name of a hub."""
    if not source.path.exists() and (not _HUB_NAME.fullmatch(source.name) or corpus_files.kind_of(source.path)):
        raise BadInput(source.place, "no such file or folder", refusing.WANTED)
