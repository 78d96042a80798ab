"""Which commit of a hub's model or corpus is meant: resolved once, by `sparse_coding lock`, into hub.lock.json.

A name on a hub stands for whatever its branch holds today. The lock, which is committed, says which commit that was;
everything that was made from it is keyed by the commit, and no network is used to find out what is stale.
"""

import json
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sparse_coding.atomic import write_text
from sparse_coding.errors import BadInput
from sparse_coding.settings import grid
from sparse_coding.settings.outside import EMBEDDED_CORPUS, makes_model
from sparse_coding.settings.params import Params, PublishedDictionary
from sparse_coding.settings.params.transformer import TRAINED

LOCK = Path("hub.lock.json")
PUBLISHED = "published"
SIZES = "bytes"  # of dictionaries, for forecasts
_COMMIT = re.compile(r"[0-9a-f]{40}")
Lock = dict[str, dict[str, str]]


@dataclass(frozen=True)
class OnHub:
    """A name on a hub that params give as `<section>.<field>`."""

    kind: Literal["models", "datasets"]
    section: str
    field: str
    revision_field: str
    given: str
    revision: str | None

    @property
    def name(self) -> str:
        """The repository: a corpus may name a configuration of it."""
        return self.given.partition(":")[0] if self.kind == "datasets" else self.given

    @property
    def entry(self) -> str:
        """What the lock calls it."""
        return f"{self.name}@{self.revision or 'main'}"


def pinned(params: Params, path: Path = LOCK) -> Params:
    """The same params, with the commit as revision of each model, corpus and tokenizer that is on a hub.

    A tokenizer that is not in the lock is replaced by one to be trained where params allow that, and a line says so:
    the lock alone decides which of the two it is. Raises BadInput for any other name that is neither a local path nor
    in the lock.
    """
    lock = _read(path)
    for wanted in on_hub(params):
        commit = _commit(wanted, lock)
        if commit is not None:
            params = _pinned_to(params, wanted, commit)
        elif wanted.field == "tokenizer" and params.transformer.tokenizer_fallback:
            print(f"transformer.tokenizer: {wanted.entry} is not in {path}, so a BPE is trained", file=sys.stderr)
            params = _with(params, wanted.section, {"tokenizer": "train", "tokenizer_revision": None})
        else:
            place = f"params.yaml: {wanted.section}.{wanted.field}"
            what = f"{wanted.name}, no file or folder here, and not in {path} at revision {wanted.revision or 'main'}"
            raise BadInput(place, what, "a local path, or a name on the hub after `sparse_coding lock`")
    # Decided: a locked tokenizer that cannot be loaded is an error, on every machine.
    return _with(params, "transformer", {"tokenizer_fallback": False}) if makes_model(params) else params


def unlocked(params: Params, path: Path = LOCK) -> list[OnHub]:
    """What `pinned` would refuse: names on a hub of which the lock does not know the commit."""
    lock, may_fall_back = _read(path), params.transformer.tokenizer_fallback
    missing = [wanted for wanted in on_hub(params) if _commit(wanted, lock) is None]
    return [wanted for wanted in missing if not (wanted.field == "tokenizer" and may_fall_back)]


def _commit(wanted: OnHub, lock: Lock) -> str | None:
    """The commit that is meant: the one that params give, or that of the lock."""
    given = wanted.revision if wanted.revision and _COMMIT.fullmatch(wanted.revision) else None
    return given or lock.get(wanted.kind, {}).get(wanted.entry)


def _pinned_to(params: Params, wanted: OnHub, commit: str) -> Params:
    if wanted.section == PUBLISHED:
        name = wanted.field.split(".")[1]
        known = params.published.dictionaries
        one = known[name].model_copy(update={wanted.revision_field: commit})
        return _with(params, PUBLISHED, {"dictionaries": {**known, name: one}})
    changes = {wanted.revision_field: commit} | ({"checkpoint": None} if wanted.section == "model" else {})
    return _with(params, wanted.section, changes)


def _with(params: Params, section: str, changes: dict[str, Any]) -> Params:
    return params.model_copy(update={section: getattr(params, section).model_copy(update=changes)})


def on_hub(params: Params) -> list[OnHub]:
    """What is on a hub, where a site of the grid needs it."""
    return [each for each in (*_of_text(params), *_published(params)) if not _is_here(each)]


def _published(params: Params) -> list[OnHub]:
    """Dictionaries that were trained elsewhere."""
    return [
        OnHub("models", PUBLISHED, f"dictionaries.{name}.path", "revision", one.path, one.revision)
        for site in params.grid.sites
        for name, one in grid.published(params, site).items()
    ]


def _of_text(params: Params) -> list[OnHub]:
    """Model, tokenizer and corpora, where a site is harvested."""
    if all(site in params.activations.imported for site in params.grid.sites):
        return []
    own, made = params.transformer, makes_model(params)
    found = [] if made else [OnHub("models", "model", "name", "revision", params.model.name, params.model.at)]
    dataset = params.dataset
    found.append(OnHub("datasets", "dataset", "corpus", "revision", dataset.corpus, dataset.revision))
    if made:
        tokenizer = own.tokenizer, own.tokenizer_revision
        found.append(OnHub("models", "transformer", "tokenizer", "tokenizer_revision", *tokenizer))
        found.append(OnHub("datasets", "transformer", "corpus", "corpus_revision", own.corpus, own.corpus_revision))
    return found


def _is_here(named: OnHub) -> bool:
    not_a_path = {"corpus": EMBEDDED_CORPUS, "tokenizer": TRAINED}.get(named.field)
    return named.given == not_a_path or Path(named.given).expanduser().exists()


def bytes_of(one: PublishedDictionary, path: Path = LOCK) -> int | None:
    """Bytes of a dictionary on the hub, as `resolve` has found them; None where it was not asked."""
    found = _read(path).get(SIZES, {})
    by_commit = (size for entry, size in found.items() if entry == _size_entry(one.path, one.revision, one.inside))
    return next((int(size) for size in by_commit), None)


def _size_entry(name: str, commit: str | None, inside: str | None) -> str:
    return f"{name}@{commit}{f'/{inside}' if inside else ''}"


def _sizes(params: Params, lock: Lock) -> dict[str, str]:
    """Bytes of the dictionaries on the hub at their commits. Raises as the client of the hub."""
    from huggingface_hub import HfApi

    found = {}
    for wanted in _published(params):
        commit = None if _is_here(wanted) else _commit(wanted, lock)
        if commit is not None:
            one = params.published.dictionaries[wanted.field.split(".")[1]]
            files = HfApi().model_info(wanted.name, revision=commit, files_metadata=True).siblings or ()
            own = [file for file in files if not one.inside or file.rfilename.startswith(one.inside)]
            found[_size_entry(one.path, commit, one.inside)] = str(sum(file.size or 0 for file in own))
    return found


def resolve(params: Params, path: Path = LOCK) -> Lock:
    """Ask the hub for the commits of what `params` name, and write them into the lock; what was resolved.

    Raises BadInput where the hub cannot be asked, or has no such name.
    """
    from huggingface_hub import HfApi

    api, lock = HfApi(), _read(path)
    news: Lock = {}
    for wanted in on_hub(params):
        ask = api.model_info if wanted.kind == "models" else api.dataset_info
        try:
            commit = ask(wanted.name, revision=wanted.revision).sha
        except Exception as error:  # the client, its transport and the hub have exceptions of their own
            reason = " ".join(str(error).split())[:300]
            place = f"{wanted.kind} {wanted.name}"
            raise BadInput(place, f"no answer with a commit ({reason})", "its name on the hub") from error
        news.setdefault(wanted.kind, {})[wanted.entry] = str(commit)
    for kind, entries in news.items():
        lock[kind] = {**lock.get(kind, {}), **entries}
    with suppress(Exception):  # without them a forecast says that it does not know
        if sizes := _sizes(params, lock):
            lock[SIZES] = {**lock.get(SIZES, {}), **sizes}
    write_text(path, json.dumps(lock, indent=1, sort_keys=True) + "\n")
    return news


def _read(path: Path) -> Lock:
    wanted = "what `sparse_coding lock` writes"
    try:
        lock = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except IsADirectoryError:
        raise BadInput(path, "a folder", wanted) from None
    except ValueError as error:
        raise BadInput(path, f"damaged JSON ({error})", wanted) from None
    if not isinstance(lock, dict) or not all(isinstance(entries, dict) for entries in lock.values()):
        raise BadInput(path, "JSON of another kind", wanted)
    return lock
