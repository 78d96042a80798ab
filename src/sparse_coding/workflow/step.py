"""Carry out an order: make what is not finished yet, keep each piece in the store, publish all at the end.

What was finished by an attempt that failed or was killed is taken from the store. Nothing is recorded when the code
or an input is not what the order was written for, also when that changes while the step is running.
"""

import gc
import importlib
import inspect
import shutil
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

from sparse_coding.errors import BadInput
from sparse_coding.workflow import canonical, locks, orders, stamps
from sparse_coding.workflow.graph import Leaf, digest_of
from sparse_coding.workflow.hashes import Hashes
from sparse_coding.workflow.orders import Order
from sparse_coding.workflow.source import Source
from sparse_coding.workflow.stamps import Stamp
from sparse_coding.workflow.store import Store

AGAIN = "those of the beginning; run the same command again: what was finished is kept"


class Step:
    """One order in the making, in the checkout `root`."""

    def __init__(self, order: Order, root: Path) -> None:
        self.order, self.root = order, root
        self.work = root / order["work"]
        self.hashes = Hashes(root, self.work / "hashes")
        self.store = Store(root, self.work / "store", self.hashes)
        self.making = self.work / "making" / order["job"]
        package = importlib.import_module(order["package"]["name"])
        self.source_root = Path(str(package.__file__)).resolve().parent.parent
        self._held: list[TextIO] = []
        self._source: tuple[list[tuple[str, int, int]], dict[str, dict[str, str]]] | None = None

    def carry_out(self, threads: int) -> None:
        """Do it. Raises what the step raises, and BadInput where inputs, code or settings are not the ordered ones."""
        with locks.waiting_for(self.work / "locks" / self.order["job"]):
            self._check_settings()
            self._check_source()
            names = [name for name in self.order["artifacts"] if not self._is_published(name)]
            missing = [name for name in names if self.order["forced"] or self.store.holds(self._key(name)) is None]
            if len(missing) < len(self.order["artifacts"]):
                done = len(self.order["artifacts"]) - len(missing)
                print(f"{done} of {len(self.order['artifacts'])} were finished before", file=sys.stderr)
            if missing:
                self._make(missing, threads)
            self._check_settings()
            for name in names:
                stamp = self.store.holds(self._key(name))
                if stamp is None:
                    raise BadInput(self.store.folder / self._key(name), "nothing any more", "what was just made")
                self.store.publish(stamp)

    def _key(self, name: str) -> str:
        return self.order["artifacts"][name]["key"]

    def _partly(self, name: str) -> Path:
        """Where what is in the making is kept, for those who go on with it after a kill: by its key."""
        return self.work / "partly" / self._key(name)

    def _one_of(self, names: list[str]) -> int:
        """Which of these things this step has for itself; where none is free, it waits for one."""
        index, held = locks.first_free([self.work / "locks" / name for name in names])
        self._held.append(held)
        return index

    def _is_published(self, name: str) -> bool:
        if self.order["forced"]:
            return False
        path = self.order["artifacts"][name]["files"][0]
        stamp = self._stamp(path)
        return stamp is not None and stamp.key == self._key(name) and self._vouched(path, stamp)

    def _stamp(self, artifact: str) -> Stamp | None:
        return stamps.read(self.root / stamps.path_of(artifact))

    def _vouched(self, artifact: str, stamp: Stamp) -> bool:
        return stamp.is_whole and self.hashes.of(artifact, sorted(stamp.files)) == dict(sorted(stamp.files.items()))

    def _make(self, names: list[str], threads: int) -> None:
        environments = self._check_inputs(names)
        shutil.rmtree(self.making, ignore_errors=True)
        kept: list[str] = []

        def done(name: str) -> None:
            """Keep a finished artifact."""
            self._check_source()
            self._check_leaves()
            self.store.keep(self._stamped(name, environments), self.making)
            kept.append(name)

        run = _imported(self.order["step"]).run  # here: what is only adopted needs no libraries
        run(**self._arguments(run, names, threads, done, environments))
        for name in names:
            if name not in kept:
                done(name)
        shutil.rmtree(self.making, ignore_errors=True)

    def _arguments(
        self,
        run: Callable[..., None],
        names: list[str],
        threads: int,
        done: Callable[[str], None],
        environments: list[stamps.Environment],
    ) -> dict[str, Any]:
        order, wanted = self.order, inspect.signature(run).parameters
        given: dict[str, Any] = {"settings": self._settings(run, names), "output": self.making / order["folder"]}
        given |= {name: _paths(value) for name, value in (order["arguments"] | order["paths"]).items()}
        for name in names:
            for argument, path in order["each"].get(name, {}).items():
                given.setdefault(argument, []).append(Path(path))
        optional: dict[str, Any] = {"threads": threads, "done": done, "environments": environments}
        optional |= {"partly": self._partly, "one_of": self._one_of}
        return given | {name: value for name, value in optional.items() if name in wanted}

    def _settings(self, run: Callable[..., None], names: list[str]) -> Any:
        settings = dict(self.order["settings"])
        if isinstance(settings.get("members"), dict):
            settings["members"] = {name: settings["members"][name] for name in names}
        merged = _merged(settings, self.order["free"])
        validate = getattr(typing.get_type_hints(run)["settings"], "model_validate", None)
        return validate(merged) if validate is not None else merged

    def _stamped(self, name: str, environments: list[stamps.Environment]) -> Stamp:
        artifact, order = self.order["artifacts"][name], self.order
        at = {file: str((self.making / file).relative_to(self.root)) for file in artifact["files"]}
        found = self.hashes.of(f"making {order['job']}", at.values())
        for file, place in at.items():
            if found[place] is None:
                raise BadInput(f"step {order['step']}", f"no {file} after it ran", "all files that its rule names")
        own = [] if order["libraries"] is None else [stamps.environment(tuple(order["libraries"]))]
        return Stamp(
            key=artifact["key"],
            record=artifact["record"],
            files={file: str(found[place]) for file, place in at.items()},
            source=self._source[1][name] if self._source else {},
            upstream=order["upstream"],
            environments=stamps.union([own, environments]),
        )

    def _check_inputs(self, names: list[str]) -> list[stamps.Environment]:
        """The environments that the inputs come from. Raises BadInput where one is not what the order names."""
        self._check_leaves()
        environments = []
        needed = {path for name in names for path in self.order["artifacts"][name]["record"]["inputs"]}
        for path, key in self.order["inputs"].items():
            if path not in needed:  # what is only carried may stand on what is not there
                continue
            stamp = self._stamp(path)
            if stamp is None or stamp.key != key:
                found = "no stamp" if stamp is None else "the stamp of another version"
                raise BadInput(path, found, "the one that this run is for; run it again")
            if not self._vouched(path, stamp):
                raise BadInput(path, "bytes that were changed after it was written", "its own; run it again")
            environments.append(stamp.environments)
        return stamps.union(environments)

    def _check_leaves(self) -> None:
        for name, (given, digest) in self.order["leaves"].items():
            if digest_of(Leaf(**given), self.hashes) != digest:
                raise BadInput(name, "files that were changed during this run", AGAIN)

    def _check_settings(self) -> None:
        for name, digest in self.order["watched"].items():
            if orders.watch(self.root / name) != digest:
                raise BadInput(name, "settings that were changed during this run", AGAIN)

    def _check_source(self) -> None:
        """Raises BadInput where the code that was imported is not the one that the order was written for."""
        if self._source is not None and self._source[0] == self._signature(self._source[1]):
            return
        package = self.order["package"]
        source = Source(self.source_root, package["name"], tuple(package["ignore"]), tuple(package["choices"]))
        step = self.order["step"]
        files = {name: source.files(step, tuple(chosen)) for name, chosen in self.order["chosen"].items()}
        wanted = {name: artifact["record"]["source"] for name, artifact in self.order["artifacts"].items()}
        if wanted != {name: canonical.digest(own) for name, own in files.items()}:
            raise BadInput(self.source_root / package["name"], "code that was changed during this run", AGAIN)
        self._source = self._signature(files), files

    def _signature(self, files: dict[str, dict[str, str]]) -> list[tuple[str, int, int]]:
        every = dict.fromkeys(file for own in files.values() for file in own)
        statuses = {file: (self.source_root / file).stat() for file in every}
        return [(file, status.st_mtime_ns, status.st_size) for file, status in statuses.items()]


def _imported(module: str) -> ModuleType:
    """The module. What imports make stays, so that looking for garbage in it, then and later, is time lost."""
    gc.disable()
    try:
        return importlib.import_module(module)
    finally:
        gc.freeze()
        gc.enable()


def _paths(value: str | list[str]) -> Path | list[Path]:
    return Path(value) if isinstance(value, str) else [Path(each) for each in value]


def _merged(settings: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    merged = dict(settings)
    for name, value in more.items():
        inner = merged.get(name)
        merged[name] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged
