"""What was read in code files, remembered for as long as a file's size, times and inode stay the same.

A small JSON file beside the digests of other files. It appears whole; whoever finds none, or one that was written by
other code than the present, reads again.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sparse_coding.workflow.hashes import Signature, is_settled, signature_of, write_memory


class ReadBefore:
    """In the file `memory`; nothing is remembered where it is None. by: the files of the code that reads."""

    def __init__(self, memory: Path | None, *by: str) -> None:
        self.memory = memory
        self._known: dict[str, tuple[Signature, dict[str, Any]]] = {}
        self._changed = False
        if memory is not None:
            self._reader = hashlib.sha256(b"".join(Path(file).read_bytes() for file in by)).hexdigest()
            self._known = _read(memory, self._reader)

    def of(self, path: Path, what: str, read: Callable[[], Any]) -> Any:
        """What `read` finds in the file `path`, which `what` names; it is called where that is not remembered."""
        if self.memory is None:
            return read()
        signature, name = signature_of(path), str(path)
        known = self._known.get(name)
        found = known[1] if known is not None and known[0] == signature else {}
        if what not in found:
            found[what] = read()
            if is_settled(path, signature):
                self._known[name], self._changed = (signature, found), True
        return found[what]

    def save(self) -> None:
        """Write what is new."""
        if self.memory is not None and self._changed:
            write_memory(self.memory, {"reader": self._reader, "files": self._known})
            self._changed = False


def _read(memory: Path, reader: str) -> dict[str, tuple[Signature, dict[str, Any]]]:
    try:
        found = json.loads(memory.read_bytes())
        if found["reader"] != reader:
            return {}
        return {str(name): (list(entry[0]), dict(entry[1])) for name, entry in found["files"].items()}
    except (OSError, ValueError, AttributeError, TypeError, KeyError, IndexError):  # whatever was written there instead
        return {}
