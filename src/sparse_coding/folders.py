"""The files of a folder that comes from outside, in an order that does not depend on the machine."""

import os
from pathlib import Path

from sparse_coding.errors import BadInput


def visible_files(root: Path) -> list[Path]:
    """Every file below `root`, through symbolic links, sorted, without what is hidden: itself, or its folder.

    A downloader of models keeps times in a hidden folder. Raises BadInput, naming the link, where one leads nowhere
    or into a folder that it lies in, and naming a folder that cannot be read.
    """
    return sorted(_below(root, (root.resolve(),)), key=lambda file: file.relative_to(root).as_posix())


def _below(folder: Path, above: tuple[Path, ...]) -> list[Path]:
    """above: the real paths of `folder` and of all that it was reached through."""
    found: list[Path] = []
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise BadInput(folder, f"a folder that cannot be read ({error.strerror})", "one that can be read") from None
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_symlink() and not path.exists():
            raise BadInput(path, f"a symbolic link to {os.readlink(path)}, and nothing there", "a link to what is read")
        if entry.is_file():
            found.append(path)
        elif entry.is_dir():
            real = path.resolve()
            if entry.is_symlink() and any(each.is_relative_to(real) for each in above):
                raise BadInput(path, f"a symbolic link to {real}, in which it lies itself", "links without a loop")
            found += _below(path, (*above, real))
    return found
