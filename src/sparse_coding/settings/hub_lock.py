"""Which commit of a hub's model or corpus is meant: resolved once, by `sparse_coding lock`, into hub.lock.json.

A name on a hub stands for whatever its branch holds today. The lock, which is committed, says which commit that was;
everything that was made from it is keyed by the commit, and no network is used to find out what is stale.
"""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sparse_coding.atomic import write_text
from sparse_coding.errors import BadInput
from sparse_coding.settings.outside import EMBEDDED_CORPUS, makes_model
from sparse_coding.settings.params import Params
from sparse_coding.settings.params.transformer import TRAINED

LOCK = Path("hub.lock.json")
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
            pinned_to = {wanted.revision_field: commit} | ({"checkpoint": None} if wanted.section == "model" else {})
            params = _with(params, wanted.section, pinned_to)
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


def _with(params: Params, section: str, changes: dict[str, Any]) -> Params:
    return params.model_copy(update={section: getattr(params, section).model_copy(update=changes)})


def on_hub(params: Params) -> list[OnHub]:
    """What is on a hub, where a site of the grid needs it."""
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
    return [each for each in found if not _is_here(each)]


def _is_here(named: OnHub) -> bool:
    not_a_path = {"corpus": EMBEDDED_CORPUS, "tokenizer": TRAINED}.get(named.field)
    return named.given == not_a_path or Path(named.given).expanduser().exists()


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
