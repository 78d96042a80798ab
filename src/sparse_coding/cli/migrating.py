"""`sparse_coding migrate`: a checkout of an earlier version, brought to this one without making again what is the same.

Two things. `params.yaml` gets the lines of today (moved.py). And an artifact gets a new stamp where its old one is
whole, its bytes are those that the stamp names, it was made with the settings and from the inputs that are asked for
now, and its step writes the same bytes as before: `equal_bytes.json` has, for each step, digests of earlier code and of
the code that was found, by remaking and comparing bytes, to write the same.
"""

import difflib
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from sparse_coding.atomic import write_text
from sparse_coding.errors import BadInput
from sparse_coding.settings import earlier, moved
from sparse_coding.settings.earlier import Pairs
from sparse_coding.workflow import canonical, stamps
from sparse_coding.workflow.dump import Dump
from sparse_coding.workflow.hashes import Hashes
from sparse_coding.workflow.stamps import Record, Stamp

PLACES = ("name", "corpus", "tokenizer", "embedder")  # settings that were in keys as paths
SHOWN = 5


def params_difference(path: Path) -> tuple[str, str]:
    """The params file as it would be, and the difference as a unified diff; both empty where it is one of today."""
    before = path.read_text(encoding="utf-8")
    after = moved.rewritten(before, str(path))
    if before == after:
        return "", ""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), str(path), f"{path}, migrated", lineterm="")
    return after, "\n".join(lines)


class Migration:
    """The artifacts of the checkout `root`, held against the graph that `dump` is of. equal: as `equal_bytes.json`."""

    def __init__(self, dump: Dump, root: Path, equal: Pairs | None = None) -> None:
        self.dump, self.root = dump, root
        self.hashes = Hashes(root, root / dump["work"] / "hashes")
        self.equal: Pairs = earlier.equal() if equal is None else equal

    def found(self) -> tuple[dict[str, Stamp], dict[str, str]]:
        """New stamps, by artifact; and why others that are stale have none. What is absent or fresh is in neither."""
        taken: dict[str, Stamp] = {}
        left: dict[str, str] = {}
        for path, artifact in self.dump["artifacts"].items():
            if artifact["state"] in ("fresh", "absent"):
                continue
            try:
                stamp = self._stamp(path)
                self._check(stamp.record, stamp)
            except _Not as reason:
                left[path] = str(reason)
                continue
            source = self.dump["sources"][artifact["record"]["source"]]
            taken[path] = replace(stamp, key=artifact["key"], record=artifact["record"], source=source,
                                  upstream=self._upstream(path))  # fmt: skip
        return taken, left

    def _stamp(self, path: str) -> Stamp:
        try:
            stamp = stamps.read(self.root / stamps.path_of(path))
        except BadInput as error:
            raise _Not(str(error)) from None
        if stamp is None or not stamp.is_whole or stamp.artifact != path:
            raise _Not("it has no whole stamp")
        if sorted(stamp.files) != sorted(self.dump["artifacts"][path]["files"]):
            raise _Not("it is of other files")
        if self.hashes.of(path, stamp.files) != stamp.files:
            raise _Not("it has other bytes than its stamp names")
        return stamp

    def _check(self, old: Record, stamp: Stamp) -> None:
        """Raise _Not unless what `old` describes is what is wanted in its place, all that it was made from too.

        stamp: one that carries the records of those inputs that are not here.
        """
        path = old["makes"]
        wanted = self.dump["artifacts"][path]["record"]
        if old == wanted:
            return
        if old["step"] != wanted["step"] or not self._is_equal_code(old, wanted):
            raise _Not(f"the code of {wanted['step'].rpartition('.')[2]} is not known to write the same bytes")
        if not is_same(_of_today(old["settings"]), wanted["settings"]):
            raise _Not("its settings are others")
        made = {name for name in wanted["inputs"] if name in self.dump["artifacts"]}
        if made != {name for name in old["inputs"] if name in self.dump["artifacts"]}:
            raise _Not("it was made from others")
        leaves = [name for name in wanted["inputs"] if name not in made]
        then = sorted(digest for name, digest in old["inputs"].items() if name not in made)
        today = sorted(wanted["inputs"][name] for name in leaves)
        if then != today and then != sorted(self._before(name, path) for name in leaves):
            raise _Not("what comes from outside was changed")
        for name in made:
            try:
                self._check(*self._record(old["inputs"][name], name, stamp))
            except _Not as reason:
                raise _Not(f"{name}: {reason}") from None

    def _is_equal_code(self, old: Record, wanted: Record) -> bool:
        known = self.equal.get(wanted["step"], {}).get(wanted["source"], [])
        return old["source"] == wanted["source"] or old["source"] in known

    def _before(self, leaf: str, path: str) -> str:
        """Under what an earlier version knew a leaf of the job of `path`: with whole paths."""
        files, version = self.dump["outside"][self.dump["artifacts"][path]["job"]][leaf]
        return canonical.digest([self.hashes.of(f"leaf before {leaf}", files), version])

    def _record(self, key: str, path: str, stamp: Stamp) -> tuple[Record, Stamp]:
        """The record of an input that had this key, and the stamp that knows those further up: as in causes.py."""
        if key in stamp.upstream and stamp.upstream[key]["makes"] == path:
            return stamp.upstream[key], stamp
        try:
            found = stamps.read(self.root / stamps.path_of(path))
        except BadInput:
            found = None
        if found is None or found.key != key or not found.is_whole or found.artifact != path:
            raise _Not("it was another one")
        return found.record, found

    def _upstream(self, path: str) -> dict[str, Record]:
        found: dict[str, Record] = {}
        for name in self.dump["artifacts"][path]["inputs"]:
            artifact = self.dump["artifacts"][name]
            if self.dump["jobs"][artifact["job"]]["local"]:
                found |= {artifact["key"]: artifact["record"], **self._upstream(name)}
        return found

    def write(self, taken: dict[str, Stamp]) -> None:
        """Write the new stamps in place of the old ones; what others are made from last: a kill loses nothing."""
        for path, stamp in reversed(taken.items()):
            stamps.write(self.root / stamps.path_of(path), stamp)


class _Not(Exception):
    """Why an artifact is not taken over."""


def _of_today(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of a cell of before, as they would be cut today; others as they are."""
    if "lr" not in settings or "training" not in settings:
        return settings
    section = {**settings["training"], "lr": {settings["architecture"]: settings["lr"]}}
    training = {name: value for name, value in settings["training"].items() if name not in moved.OWN}
    training = {"optimiser": "adam"} | training  # the only one that there was
    own = moved.own_of(section, settings["architecture"])
    warmup = own.get("l1_warmup_share", 0.0)  # of the kinds that there were; TopK has no penalty
    today = {"training": training, "own": own, "penalty_warmup": warmup}
    return {name: value for name, value in settings.items() if name != "lr"} | today


def is_same(old: Any, new: Any) -> bool:
    """Whether settings mean the same: null where the others have nothing, and a path where now the content counts."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return old == new
    if any(name not in PLACES and old[name] is not None for name in old.keys() - new.keys()):
        return False
    return all(is_same(old[name], value) if name in old else value is None for name, value in new.items())


def said(taken: dict[str, Stamp], left: dict[str, str]) -> str:
    """What was taken over, and what was not and why."""
    lines = [f"{len(taken)} artifacts of before are those of today."]
    for reason, number in Counter(left.values()).most_common():
        names = [path for path, each in left.items() if each == reason]
        more = f" and {number - SHOWN} more" if number > SHOWN else ""
        lines.append(f"Not taken over, because {reason}: {', '.join(names[:SHOWN])}{more}")
    return "\n".join(lines)


def is_wanted(question: str, yes: bool) -> bool:
    """Whether to go on: `yes`, or asked on the terminal. Raises BadInput where nobody is there."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise BadInput("migrate", "nobody to ask", "--write, to write what is shown")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def write_params(path: Path, text: str) -> None:
    """Write the params file whole."""
    write_text(path, text)
