"""The files of a folder that comes from outside, in an order that does not depend on the machine."""

import os
from collections.abc import Iterator
from pathlib import Path

from sparse_coding.errors import BadInput


def visible_files(root: Path) -> list[Path]:
    """Every file below `root`, through symbolic links, sorted, without what is hidden: itself, or its folder.

    A downloader of models keeps times in a hidden folder. Raises BadInput, naming the link, where one leads nowhere
    or into a folder that it lies in, and naming a folder that cannot be read.
    """
    found = sorted(_below(root, "", (root.resolve(),)))
    return [root / name for name in found]


def _below(folder: Path, prefix: str, above: tuple[Path, ...]) -> Iterator[str]:
    """Names from the root. above: the real paths of `folder` and of all that it was reached through."""
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise BadInput(folder, f"a folder that cannot be read ({error.strerror})", "one that can be read") from None
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_file():
            yield f"{prefix}{entry.name}"
        elif entry.is_dir():
            path = folder / entry.name
            real = path.resolve()
            if entry.is_symlink() and any(each.is_relative_to(real) for each in above):
                raise BadInput(path, f"a symbolic link to {real}, in which it lies itself", "links without a loop")
            yield from _below(path, f"{prefix}{entry.name}/", (*above, real))
        elif entry.is_symlink():
            found = f"a symbolic link to {os.readlink(entry.path)}, where no file or folder is"
            raise BadInput(folder / entry.name, found, "a link to what is read")
