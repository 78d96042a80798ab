"""Which files a folder of vectors made elsewhere is: those that are read, and so those that its key is made of."""

import re
from pathlib import Path

from sparse_coding.errors import BadInput
from sparse_coding.files.folders import existing, visible_files

KINDS = (".npy", ".safetensors", ".pt")
NAMED = f"{', '.join(KINDS[:-1])} or {KINDS[-1]}"


def of(folder: Path) -> list[Path]:
    """The files of vectors below `folder`, in natural order: 9.pt before 10.pt. Raises BadInput where there is none."""
    if not folder.is_dir():
        raise BadInput(folder, "no such folder", f"a folder of {NAMED} files")
    files = existing(file for file in visible_files(folder) if file.suffix.lower() in KINDS)
    if not files:
        raise BadInput(folder, f"no {NAMED} file", "at least one")
    return sorted(files, key=lambda file: natural(file.relative_to(folder).as_posix()))


def natural(name: str) -> tuple[list[str | int], str]:
    """A key that sorts 9 before 10; the name itself decides between 1 and 01."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)], name
