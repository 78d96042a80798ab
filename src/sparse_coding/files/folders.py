"""The files of a folder that comes from outside, in an order that does not depend on the machine."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from sparse_coding.errors import BadInput


def visible_files(root: Path) -> list[Path]:
    """Every file below `root`, through symbolic links, sorted, without what is hidden: itself, or its folder.

    A downloader of models keeps times in a hidden folder. Links that lead nowhere are among them: whoever knows which
    files are read holds those against `existing`. Raises BadInput, naming the link, where one leads into a folder that
    it lies in, and naming a folder that cannot be read.
    """
    found = sorted(_below(root, "", (root.resolve(),)))
    return [root / name for name in found]


def existing(files: Iterable[Path], read: Callable[[Path], bool] = lambda file: True) -> list[Path]:
    """The files without links that lead nowhere. Raises BadInput, naming the link, for one that would be `read`."""
    found = []
    for file in files:
        if os.path.exists(file):
            found.append(file)
        elif read(file):
            leads = f"a symbolic link to {os.readlink(file)}, where no file or folder is"
            raise BadInput(file, leads, "a link to what is read")
    return found


def _below(folder: Path, prefix: str, above: tuple[Path, ...]) -> Iterator[str]:
    """Names from the root. above: the real paths of `folder` and of all that it was reached through."""
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise BadInput(folder, f"a folder that cannot be read ({error.strerror})", "one that can be read") from None
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if _leads_nowhere(entry) or entry.is_file():
            yield f"{prefix}{entry.name}"
        elif entry.is_dir():
            path = folder / entry.name
            real = path.resolve()
            if entry.is_symlink() and any(each.is_relative_to(real) for each in above):
                raise BadInput(path, f"a symbolic link to {real}, in which it lies itself", "links without a loop")
            yield from _below(path, f"{prefix}{entry.name}/", (*above, real))


def _leads_nowhere(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and not os.path.exists(entry.path)
