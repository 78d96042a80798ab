"""Repositories of a data hub, local copies of one, and what `save_to_disk` wrote, through the `datasets` library."""

import json
import re
from pathlib import Path
from typing import Any

from sparse_coding.errors import BadInput
from sparse_coding.lm.corpora import files
from sparse_coding.lm.corpora.documents import Documents, Source, split
from sparse_coding.lm.corpora.streaming import Stream, texts

HELD_OUT = ("validation", "test")  # the hub's own splits, the first that is there
WANTED = "`pydocs`, a local file or folder, or the name of a corpus on the hub (which needs a network the first time)"
WHOLE = {"dataset": "dataset.streaming: false", "transformer": "transformer.documents: null"}  # for no stream
_SHARD = re.compile(r"(^|[-_.])(train|validation|test)-\d{5}-of-\d{5}")
_DESCRIBED = re.compile(r"^(configs|dataset_info):", re.MULTILINE)


def load(source: Source, held_out_share: float, seed: int) -> Documents:
    """The documents of a corpus: its split `train`, or `source.split`, and `validation` or `test` as held-out ones.

    Without a held-out split, documents of the other are held out. Raises BadInput where there is no such corpus or
    no way to it, no such subset, split or column, or no text.
    """
    place = source.place
    rows, candidates = _parts(source, streaming=False)
    train = list(texts(rows, source.text_field, place))
    if not train:
        raise BadInput(place, "no text", f"text in its column {source.text_field!r}")
    for own in candidates:
        if held_out := list(texts(own, source.text_field, place)):
            return Documents(train, held_out)
    return split(train, held_out_share, seed, place)


def stream(source: Source, held_out_share: float, buffer: int) -> Stream:
    """The same corpus, read as far as is needed. Raises BadInput as `load` does, and for a slice of a split."""
    rows, candidates = _parts(source, streaming=True)
    own = candidates[0] if candidates else None
    return Stream(rows, own, source.text_field, source.place, held_out_share, buffer)


def is_repository(path: Path) -> bool:
    """Whether a local folder is laid out like a repository of the hub, or is in a format of `datasets` itself."""
    if not path.is_dir():
        return False
    if any((path / name).is_file() for name in ("dataset_dict.json", "dataset_info.json")):
        return True
    card = path / "README.md"
    head = card.read_text(encoding="utf-8", errors="replace").split("---")[:2] if card.is_file() else []
    return bool(_DESCRIBED.search("".join(head))) or any(_SHARD.search(file.name) for file in path.rglob("*"))


def _parts(source: Source, streaming: bool) -> tuple[Any, list[Any]]:
    """The rows to train on, and those of each held-out split that the corpus has."""
    from datasets import load_dataset  # a second to import, and most runs do without it

    arguments = _arguments(source)
    try:
        corpus = load_dataset(**arguments, streaming=streaming)
    except Exception as error:  # network, hub and reader have exceptions of their own
        raise _refusal(source, arguments, error) from error
    name = source.split or "train"
    used = [part.partition("[")[0] for part in name.split("+")]
    place, splits = f"{source.section}.split", f"one of {', '.join(corpus)}: the splits of {source.place}"
    if not set(used) <= set(corpus):
        raise BadInput(place, name if source.split else "null, which means `train`", splits)
    if name in corpus:
        rows = corpus[name]
    elif streaming:
        raise BadInput(place, f"{name} of a streamed corpus", f"a whole split, or {WHOLE[source.section]}")
    else:
        try:
            rows = load_dataset(**arguments, split=name)
        except Exception as error:  # of the syntax of slices
            raise BadInput(place, name, f"a slice such as train[:10%], or {splits}") from error
    return rows, [corpus[own] for own in HELD_OUT if own in corpus and own not in used]


def _arguments(source: Source) -> dict[str, Any]:
    """What `load_dataset` needs to find `source`."""
    path = source.path
    if not path.exists():
        repository, _, configuration = source.name.partition(":")
        if configuration and source.subset not in (None, configuration):
            both = f"{source.subset}, and {configuration} in {source.name}"
            raise BadInput(f"{source.section}.subset", both, "one of them")
        return {"path": repository, "name": source.subset or configuration or None, "revision": source.revision}
    shards = _saved(path)
    if not shards and is_repository(path):
        return {"path": str(path.resolve()), "name": source.subset}
    if source.subset is not None:
        raise BadInput(f"{source.section}.subset", source.subset, f"null: {path} has no subsets")
    if shards:
        return {"path": "arrow", "data_files": shards}
    kind, found = files.of(path)
    whole = {"sample_by": "document"} if kind == "text" else {}
    return {"path": kind, "data_files": {"train": [str(file.resolve()) for file in found]}, **whole}


def _saved(path: Path) -> dict[str, list[str]]:
    """The Arrow shards of each split of what `save_to_disk` wrote; empty for anything else."""
    try:
        if (path / "dataset_dict.json").is_file():
            names = json.loads((path / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
            return {name: shards for name in names for shards in _saved(path / name).values()}
        if (path / "state.json").is_file():
            state = json.loads((path / "state.json").read_text(encoding="utf-8"))
            return {"train": [str((path / shard["filename"]).resolve()) for shard in state["_data_files"]]}
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(path, f"a damaged description ({error!r})", "what `save_to_disk` of datasets writes") from None
    return {}


def _refusal(source: Source, arguments: dict[str, Any], error: Exception) -> BadInput:
    """What to tell where a corpus cannot be opened."""
    from datasets import get_dataset_config_names

    place, reason = source.place, " ".join(str(error).split())[:300]
    if re.search("BuilderConfig .* not found|Config name is missing", reason):
        subsets = get_dataset_config_names(arguments["path"], revision=arguments.get("revision"))
        wanted = f"one of {', '.join(subsets)}: the subsets of {place}"
        return BadInput(f"{source.section}.subset", arguments["name"] or "null", wanted)
    if source.path.exists():
        return BadInput(place, f"data that cannot be read ({reason})", "whole files, as `datasets` or the hub has them")
    if "gated" in reason:
        wanted = "its terms accepted on its page, and `hf auth login` or HF_TOKEN on this machine"
        return BadInput(place, f"a gated corpus, and no access to it ({reason})", wanted)
    why = "no way to the hub: " if isinstance(error, OSError) and "reach" in reason else ""
    return BadInput(place, f"no such file or folder, and nothing usable on the hub ({why}{reason})", WANTED)
