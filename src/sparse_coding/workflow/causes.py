"""Why an artifact has to be made: the differences between what its stamp records and what is wanted."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sparse_coding.errors import BadInput
from sparse_coding.workflow import stamps
from sparse_coding.workflow.dump import Dump
from sparse_coding.workflow.hashes import Hashes
from sparse_coding.workflow.stamps import Record, Stamp
from sparse_coding.workflow.store import Store

_NOTHING = object()
SHORT = 8  # longer lists are not shown whole


@dataclass(frozen=True)
class Cause:
    """kind: absent, foreign, stamp, settings, code, input (a leaf), upstream; through: the input that it lies in."""

    kind: str
    text: str
    through: str = ""


class Causes:
    """The causes for each artifact of a graph, in the checkout `root`."""

    def __init__(self, dump: Dump, root: Path) -> None:
        self.dump, self.root = dump, root
        work = Path(dump["work"])
        self.store = Store(root, work / "store", Hashes(root, work / "hashes"))

    def of(self, path: str) -> list[Cause]:
        """Why the artifact `path` is not fresh; empty where it is."""
        wanted = self.dump["artifacts"][path]
        state = wanted["state"]
        if state == "fresh":
            return []
        if state == "absent":
            kept = wanted["kept"]
            return [Cause("absent", f"is in {kept} and comes back from there" if kept else "is not there")]
        if wanted["problem"]:
            kind = "foreign" if state == "foreign" else "stamp"
            return [Cause(kind, wanted["problem"].removeprefix(f"{path} "))]
        stamp = self.stamp(path)
        if stamp is None:
            return [Cause("stamp", "it has no stamp")]
        return self._between(stamp.record, wanted["record"], stamp)

    def stamp(self, path: str) -> Stamp | None:
        """The stamp beside an artifact, if it can be read."""
        try:
            return stamps.read(self.root / stamps.path_of(path))
        except BadInput:
            return None

    def _between(self, old: Record, new: Record, stamp: Stamp | None) -> list[Cause]:
        """stamp: where `old` comes from, for what it knows beside the record."""
        found = [Cause("settings", text) for text in differences(old["settings"], new["settings"])]
        if old["source"] != new["source"]:
            known = stamp.source if stamp is not None and stamp.record is old else {}
            found.append(Cause("code", _code(known, self.dump["sources"].get(new["source"], {}))))
        for name in [*new["inputs"], *(name for name in old["inputs"] if name not in new["inputs"])]:
            before, after = old["inputs"].get(name), new["inputs"].get(name)
            if before != after:
                found += self._input(name, before, after, stamp)
        return found or [Cause("stamp", "its stamp is of another version")]

    def _input(self, name: str, before: str | None, after: str | None, stamp: Stamp | None) -> list[Cause]:
        if before is None or after is None:
            words = "is new among its inputs" if before is None else "is no longer among its inputs"
            return [Cause("upstream", f"{name} {words}", name)]
        upstream = self.dump["artifacts"].get(name)
        if upstream is None:
            return [Cause("input", f"{name} was changed")]
        old, known_by = self._record(before, name, stamp)
        if old is None:
            return [Cause("upstream", f"{name} is another one", name)]
        return [
            replace(cause, text=cause.text if cause.through else f"{name}: {cause.text}", through=name)
            for cause in self._between(old, upstream["record"], known_by)
        ]

    def _record(self, key: str, path: str, stamp: Stamp | None) -> tuple[Record | None, Stamp | None]:
        """The record behind an old key, and the stamp that knows it, which may know those further up too."""
        if stamp is not None and key in stamp.upstream:
            return stamp.upstream[key], stamp
        for other in (self.stamp(path), self.store.stamp(key)):
            if other is not None and other.key == key:
                return other.record, other
        return None, None


def _code(before: dict[str, str], after: dict[str, str]) -> str:
    changed = [file for file, digest in after.items() if before.get(file, digest) != digest]
    added = [file for file in after if before and file not in before]
    removed = [file for file in before if file not in after]
    words = [f"{' and '.join(files)} {verb}" for files, verb in
             ((changed, "changed"), (added, "came in"), (removed, "is gone")) if files]  # fmt: skip
    return f"code: {'; '.join(words)}" if words else "its code changed"


def differences(old: Any, new: Any, place: str = "") -> list[str]:
    """`place: old -> new` for each value that differs; of long lists, what came and went."""
    if old == new:
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            text
            for name in [*new, *(name for name in old if name not in new)]
            for text in differences(
                old.get(name, _NOTHING), new.get(name, _NOTHING), f"{place}.{name}" if place else str(name)
            )
        ]
    if isinstance(old, list) and isinstance(new, list) and len(new) > SHORT:
        came, went = [each for each in new if each not in old], [each for each in old if each not in new]
        words = [f"{verb} {', '.join(map(str, each))}" for verb, each in (("added", came), ("removed", went)) if each]
        return [f"{place}: {'; '.join(words) or 'another order'}"]
    return [f"{place}: {_shown(old)} -> {_shown(new)}"]


def _shown(value: Any) -> str:
    return "nothing" if value is _NOTHING else str(value)
