"""Where what is published comes from: model, text, settings and code, without a word of this machine."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sparse_coding.errors import BadInput
from sparse_coding.io.tokens import Tokens
from sparse_coding.settings import hub_lock, params_file
from sparse_coding.settings.params import Params

PARAMS, CITATION = Path("params.yaml"), Path("CITATION.cff")
SECRET = re.compile(r"//[^/\s@]+:[^/\s@]+@|\b(?:hf|sk|ghp|gho|github_pat)[-_][A-Za-z0-9_-]{16,}")
# Settings that are of machines and servers alone.
OF_MACHINES = {("machine",), ("autointerp", "llm", "connection"), ("autointerp", "llm", "extra")}


@dataclass(frozen=True)
class Text:
    """The corpus: its name, the SHA-256 of what was read of it, and how it was cut."""

    corpus: str
    sha256: str
    context: int
    has_bos: bool
    fragments: int
    fragment_tokens: int


@dataclass(frozen=True)
class Provenance:
    """model: its name, None where vectors were imported; model_revision: its commit on the hub. base_model, dataset:
    their names on hubs, where they are there. text: None without one. params: the text of params.yaml, without paths of
    this machine. revision: of git, None outside of a repository; is_changed: whether there were changes since.
    citation: of CITATION.cff, None without one."""

    model: str | None
    model_revision: str | None
    base_model: str | None
    dataset: str | None
    text: Text | None
    params: str
    revision: str | None
    is_changed: bool
    citation: dict[str, Any] | None


def read(site: str, tokens: Tokens | None) -> Provenance:
    """Of the checkout in which one is. Raises BadInput where params.yaml cannot be used or holds a secret."""
    params = hub_lock.pinned(params_file.load(PARAMS))
    is_imported = site in params.activations.imported
    on_hub = {(each.section, each.field): each.name for each in hub_lock.on_hub(params)}
    base = None if is_imported else on_hub.get(("model", "name"))
    data = None if is_imported else on_hub.get(("dataset", "corpus"))
    name = None if is_imported else base or Path(params.model.name).name
    text = None if tokens is None else _text(params, tokens, data)
    told = without_places(PARAMS.read_text(encoding="utf-8"))
    revision, is_changed = _revision()
    cited = yaml.safe_load(CITATION.read_text(encoding="utf-8")) if CITATION.is_file() else None
    at = params.model.revision if base else None
    return Provenance(name, at, base, data, text, told, revision, is_changed, cited)


def _text(params: Params, tokens: Tokens, on_hub: str | None) -> Text:
    name = on_hub or Path(params.dataset.corpus).name
    cut = tokens.context, tokens.bos is not None, len(tokens.fragments), tokens.fragment_tokens
    return Text(name, tokens.corpus_sha256, *cut)


def without_places(params: str) -> str:
    """The settings of a params.yaml that say how results were made, as YAML, with the last part only of each absolute
    path: no comments, and nothing of machines and servers.

    Raises BadInput where there is a key or a password in it: what is published stays published.
    """
    if SECRET.search(params):
        wanted = "none, before it is published: keys belong into the environment"
        raise BadInput(PARAMS, "what looks like a key or a password", wanted)
    return yaml.safe_dump(_told(yaml.safe_load(params), ()), sort_keys=False, allow_unicode=True)


def _told(value: Any, place: tuple[str, ...]) -> Any:
    if isinstance(value, dict):
        return {
            _told(name, ()): _told(each, (*place, str(name)))
            for name, each in value.items()
            if (*place, str(name)) not in OF_MACHINES
        }
    if isinstance(value, list):
        return [_told(each, place) for each in value]
    return Path(value).name if isinstance(value, str) and value.startswith(("/", "~")) else value


def _revision() -> tuple[str | None, bool]:
    """The commit of the checkout, and whether files that git knows differ from it."""
    head, changed = (_git("rev-parse", "HEAD"), _git("status", "--porcelain", "--untracked-files=no"))
    return head or None, bool(head and changed)


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
