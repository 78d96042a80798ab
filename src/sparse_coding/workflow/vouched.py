"""Whether a file is the one that the stamp beside it speaks of."""

import hashlib
from pathlib import Path, PurePosixPath

from sparse_coding.errors import BadInput
from sparse_coding.workflow import stamps
from sparse_coding.workflow.stamps import Stamp

_AGAIN = "a file and the stamp that was written with it; a run makes both again"


def check_bytes(path: Path, artifact: Path | None = None) -> Stamp | None:
    """The stamp that vouches for the file `path`: that of `artifact`, whose companion it is, or its own.

    None where there is no stamp. A stamp names files by where they lay when it was written; they may have been moved
    together, so names are compared without folders. Raises BadInput where the stamp is damaged, was edited or is that
    of another file, and where the SHA-256 of `path` is not the one in it.
    """
    artifact = artifact or path
    beside = Path(stamps.path_of(str(artifact)))
    stamp = stamps.read(beside)
    if stamp is None:
        return None
    if not stamp.is_whole:
        raise BadInput(beside, "a stamp that was edited", _AGAIN)
    if (name := PurePosixPath(stamp.artifact).name) != artifact.name:
        raise BadInput(beside, f"the stamp of {name}", _AGAIN)
    if _sha256(path) not in {sha256 for file, sha256 in stamp.files.items() if PurePosixPath(file).name == path.name}:
        raise BadInput(path, f"other bytes than those that {beside.name} names", _AGAIN)
    return stamp


def is_made_from(stamp: Stamp | None, source: Stamp | None) -> bool:
    """Whether what `stamp` vouches for was made from what `source` vouches for, as far as there are stamps to tell."""
    return stamp is None or source is None or stamp.record["inputs"].get(source.artifact) == source.key


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
