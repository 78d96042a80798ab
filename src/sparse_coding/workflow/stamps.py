"""Stamps: beside every artifact `X` a small JSON file `X.stamp`, which says what X was made from.

`key` is the digest of `record`: the step, its settings, the digest of its code and the keys of its inputs. Outside
the key stand the SHA-256 of the artifact's files, the code file by file, the records of inputs that stay on this
machine, and the environments (libraries, processor, GPU) that the numbers came from.
"""

import json
import platform
import re
import sys
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from sparse_coding.atomic import write_text
from sparse_coding.errors import BadInput
from sparse_coding.workflow import canonical

FORMAT = "stamp 1"
WANTED = "a stamp as a step wrote it; a run of what it stands beside makes it again"
Record = dict[str, Any]
Environment = dict[str, str]


@dataclass(frozen=True)
class Stamp:
    """What an artifact was made from, and what its files are."""

    key: str
    record: Record
    files: dict[str, str]  # path from the root: SHA-256
    source: dict[str, str] = field(default_factory=dict)  # code file: digest
    upstream: dict[str, Record] = field(default_factory=dict)  # key: record
    environments: list[Environment] = field(default_factory=list)

    @property
    def artifact(self) -> str:
        """The path, from the root, of what the stamp stands beside."""
        return self.record["makes"]

    @property
    def is_whole(self) -> bool:
        """Whether the key is that of the record: false for a stamp that was edited."""
        return self.key == canonical.digest(self.record)


def path_of(artifact: str) -> str:
    """Where the stamp of an artifact lies."""
    return f"{artifact}.stamp"


def write(path: Path, stamp: Stamp) -> None:
    """Write a stamp whole; its bytes depend on its content alone."""
    write_text(path, canonical.text_of({"format": FORMAT, **asdict(stamp)}) + "\n")


def read(path: Path) -> Stamp | None:
    """The stamp in `path`; None where there is no such file. Raises BadInput for a file that is no stamp."""
    try:
        found = json.loads(path.read_bytes())
        if found.pop("format") != FORMAT:
            raise ValueError("another format")
        stamp = Stamp(**found)
        if not isinstance(stamp.record["makes"], str) or not isinstance(stamp.files, dict):
            raise ValueError("no record of what it stands beside")
        return stamp
    except (FileNotFoundError, NotADirectoryError):
        return None
    except IsADirectoryError:
        raise BadInput(path, "a folder", WANTED) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(path, f"a damaged stamp ({error})", WANTED) from None


def environment(libraries: tuple[str, ...]) -> Environment:
    """The versions of `libraries`, of Python, and the type of this processor; of the GPU, if this process used one."""
    versions = {name: metadata.version(name) for name in libraries}
    return {"python": platform.python_version(), "cpu": _cpu(), **_gpu(), **versions}


def _gpu() -> Environment:
    torch = sys.modules.get("torch")  # a step that has not imported it used none
    if torch is None or not torch.cuda.is_initialized():
        return {}
    return {"gpu": torch.cuda.get_device_name()}


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()


def union(several: list[list[Environment]]) -> list[Environment]:
    """Each different environment once, in a fixed order."""
    return [json.loads(text) for text in sorted({canonical.text_of(each) for some in several for each in some})]
