"""The embedded corpus: docstrings of pinned, permissively licensed Python packages.

1. Read every Python file of the packages that `pydocs.lock.json` names, tests left out.
2. Take each docstring of at least `MIN_CHARACTERS` characters as one document.
3. Remove near-duplicates by their 12-word windows; held-out packages come last, under a stricter bound.
4. Check each package's text, and the whole, against the lock.

No text is stored in the repository: it is rebuilt from the packages that are installed anyway, and it is
the same on Linux and macOS because the lock names only packages whose Python files are.
"""

import ast
import gc
import importlib.metadata
import json
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from sparse_coding.errors import BadInput
from sparse_coding.lm.corpora.documents import Documents, sha256_of
from sparse_coding.lm.corpora.windows import share_seen_before

NAME = "pydocs"
LOCK = Path(__file__).with_name("pydocs.lock.json")
MIN_CHARACTERS = 50
MAX_SHARE_REPEATED = {"train": 0.5, "held_out": 0.1}  # of a document's windows, in earlier documents
NOT_SOURCE = {"conftest.py", "__config__.py"}  # `__config__.py` describes the build: it differs by platform
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
HOLD_STATEMENTS = ("body", "handlers", "orelse", "finalbody", "cases")  # in the order of ast's own fields
FILES_IN_A_TASK = 64


def build(processes: int = 1, lock: Path = LOCK) -> Documents:
    """Rebuild the corpus, on `processes` cores, and check it against the lock.

    Raises BadInput, naming the package with the version found and the one wanted.
    """
    wanted = json.loads(lock.read_text(encoding="utf-8"))
    documents, found = rebuild(wanted["packages"], processes)
    for name, package in wanted["packages"].items():
        if found["packages"][name] != package:
            raise _mismatch(name, found["packages"][name], package)
    if found["sha256"] != wanted["sha256"]:
        raise BadInput("corpus pydocs", f"text with sha256 {found['sha256']}", f"{wanted['sha256']} ({lock.name})")
    return documents


def rebuild(packages: dict[str, dict], processes: int) -> tuple[Documents, dict]:
    """The documents of `packages` (name -> split, ...) and the lock that describes them.

    Raises BadInput where a package is not installed.
    """
    order = sorted(packages, key=lambda name: (packages[name]["split"] == "held_out", name))
    tasks = [(name, files) for name in order for files in _in_parts(source_files(name))]
    texts: dict[str, list[str]] = {name: [] for name in order}
    with ProcessPoolExecutor(processes) as pool:
        parts = pool.map(docstrings, [files for _, files in tasks])
        for (name, _), part in zip(tasks, parts, strict=True):
            texts[name] += part
    found = {name: _describe(name, packages[name]["split"], texts[name]) for name in order}
    documents = _without_repeats([(packages[name]["split"], text) for name in order for text in texts[name]])
    return documents, {"sha256": documents.sha256, "packages": found}


def source_files(name: str) -> list[Path]:
    """The Python files of an installed package, sorted, without its tests. Raises BadInput where there is none."""
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        wanted = "the version that requirements.txt pins; run `pip install -r requirements.txt`"
        raise BadInput("corpus pydocs", f"package {name} not installed", wanted) from None
    files = sorted((file for file in distribution.files or () if _is_source(file.parts)), key=str)
    return [Path(str(distribution.locate_file(file))) for file in files]


def docstrings(files: list[Path]) -> list[str]:
    """Every docstring of `files` that is long enough, outer ones before inner ones."""
    was_enabled = gc.isenabled()
    gc.disable()  # syntax trees hold no cycles worth a search: parsing is 3.6 times faster without
    try:
        return [text for file in files for text in _docstrings(file.read_bytes())]
    finally:
        if was_enabled:
            gc.enable()


def _is_source(parts: tuple[str, ...]) -> bool:
    name, folders = parts[-1], set(parts[:-1])
    return name.endswith(".py") and name not in NOT_SOURCE and not folders & {"tests", "test", "testing", ".."}


def _in_parts(files: list[Path]) -> list[list[Path]]:
    """Short lists, so that the largest package does not keep one core busy to the end."""
    return [files[start : start + FILES_IN_A_TASK] for start in range(0, len(files), FILES_IN_A_TASK)]


def _docstrings(source: bytes) -> Iterator[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's strings
            tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return  # templates and deliberate errors
    for node in _statements(tree):
        if isinstance(node, DOCUMENTED) and (text := ast.get_docstring(node)) and len(text) >= MIN_CHARACTERS:
            yield text.replace("\r\n", "\n").replace("\0", "")


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """What `ast.walk` gives, in its order, without expressions: they hold no docstrings, and are most of a tree."""
    todo: deque[ast.AST] = deque([tree])
    while todo:
        node = todo.popleft()
        for name in HOLD_STATEMENTS:
            inner: Iterable[ast.AST] | ast.AST = getattr(node, name, ())
            if isinstance(inner, list):  # the body of a lambda or of `a if b else c` is one expression
                todo.extend(inner)
        yield node


def _describe(name: str, split: str, texts: list[str]) -> dict:
    return {
        "version": importlib.metadata.version(name),
        "licence": _licence(name),
        "split": split,
        "docstrings": len(texts),
        "sha256": sha256_of(texts),
    }


def _licence(name: str) -> str:
    """What a package says of its licence, in the newest field that it uses."""
    metadata = importlib.metadata.metadata(name)
    for field in ("License-Expression", "License"):
        stated = [line for text in metadata.get_all(field) or () for line in text.strip().split("\n")[:1]]
        if stated and stated[0] and len(stated[0]) <= 60:  # some put the whole licence there
            return stated[0]
    classifiers = [text for text in metadata.get_all("Classifier") or () if text.startswith("License ::")]
    return classifiers[0].split(" :: ")[-1] if classifiers else "not stated"


def _without_repeats(documents: list[tuple[str, str]]) -> Documents:
    seen = share_seen_before([text for _, text in documents])
    kept: dict[str, list[str]] = {"train": [], "held_out": []}
    for (split, text), share in zip(documents, seen, strict=True):
        if share <= MAX_SHARE_REPEATED[split]:
            kept[split].append(text)
    return Documents(train=kept["train"], held_out=kept["held_out"])


def _mismatch(name: str, found: dict, wanted: dict) -> BadInput:
    if found["version"] != wanted["version"]:
        return BadInput(
            "corpus pydocs",
            f"package {name} {found['version']}",
            f"{name} {wanted['version']}; run `pip install -r requirements.txt`",
        )
    return BadInput(
        "corpus pydocs",
        f"docstrings of {name} {found['version']} with sha256 {found['sha256'][:16]}…",
        f"{wanted['sha256'][:16]}…: its files were changed; run `pip install --force-reinstall --no-deps "
        f"{name}=={wanted['version']}`",
    )
