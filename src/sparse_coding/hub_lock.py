"""Which commit of a hub's model or corpus is meant: resolved once, by `sparse_coding lock`, into hub.lock.json.

A name on a hub stands for whatever its branch holds today. The lock, which is committed, says which commit that was;
everything that was made from it is keyed by the commit, and no network is used to find out what is stale.
"""

import json
import re
from pathlib import Path

from sparse_coding.atomic import write_text
from sparse_coding.errors import BadInput
from sparse_coding.leaves import EMBEDDED_CORPUS, makes_model
from sparse_coding.params import Params

LOCK = Path("hub.lock.json")
_COMMIT = re.compile(r"[0-9a-f]{40}")
Lock = dict[str, dict[str, str]]


def pinned(params: Params, path: Path = LOCK) -> Params:
    """The same params, with the commit as revision of each model and corpus that is on a hub.

    Raises BadInput for a name that is neither a local path nor in the lock.
    """
    lock, wanted = _read(path), names(params)
    found = {}
    for kind, (name, revision) in wanted.items():
        entry = f"{name}@{revision or 'main'}"
        commit = revision if revision and _COMMIT.fullmatch(revision) else lock.get(kind, {}).get(entry)
        if commit is None:
            place = "params.yaml: model.name" if kind == "models" else "params.yaml: dataset.corpus"
            what = f"{name}, no file or folder here, and not in {path} at revision {revision or 'main'}"
            raise BadInput(place, what, "a local path, or a name on the hub after `sparse_coding lock`")
        found[kind] = commit
    model, dataset = params.model, params.dataset
    if "models" in found:
        model = model.model_copy(update={"revision": found["models"], "checkpoint": None})
    if "datasets" in found:
        dataset = dataset.model_copy(update={"revision": found["datasets"]})
    return params.model_copy(update={"model": model, "dataset": dataset})


def names(params: Params) -> dict[str, tuple[str, str | None]]:
    """The model and the corpus, as (name, revision), where they are on a hub and a site of the grid needs them."""
    if all(site in params.activations.imported for site in params.grid.sites):
        return {}
    found = {}
    if not Path(params.model.name).expanduser().exists() and not makes_model(params):
        found["models"] = (params.model.name, params.model.at)
    corpus = params.dataset.corpus
    if corpus != EMBEDDED_CORPUS and not Path(corpus).expanduser().exists():
        found["datasets"] = (corpus.partition(":")[0], params.dataset.revision)
    return found


def resolve(params: Params, path: Path = LOCK) -> Lock:
    """Ask the hub for the commits of what `params` name, and write them into the lock; what was resolved.

    Raises BadInput where the hub cannot be asked, or has no such name.
    """
    from huggingface_hub import HfApi

    api, lock = HfApi(), _read(path)
    news: Lock = {}
    for kind, (name, revision) in names(params).items():
        ask = api.model_info if kind == "models" else api.dataset_info
        try:
            commit = ask(name, revision=revision).sha
        except Exception as error:  # the client, its transport and the hub have exceptions of their own
            reason = " ".join(str(error).split())[:300]
            raise BadInput(f"{kind} {name}", f"no answer with a commit ({reason})", "its name on the hub") from error
        news.setdefault(kind, {})[f"{name}@{revision or 'main'}"] = str(commit)
    for kind, entries in news.items():
        lock[kind] = {**lock.get(kind, {}), **entries}
    write_text(path, json.dumps(lock, indent=1, sort_keys=True) + "\n")
    return news


def _read(path: Path) -> Lock:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise BadInput(path, f"damaged JSON ({error})", "what `sparse_coding lock` writes") from None
