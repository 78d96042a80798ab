"""Pointers of git-lfs: three lines of text that stand where a large file should be."""

from pathlib import Path

from sparse_coding.errors import BadInput

MARK = b"version https://git-lfs.github.com/spec/"  # https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md


def refuse_pointer(path: Path) -> None:
    """Raise BadInput, naming `path`, where it is a pointer of git-lfs instead of the file itself.

    A path that cannot be opened passes: whoever reads it says why.
    """
    try:
        with path.open("rb") as file:
            head = file.read(len(MARK))
    except OSError:
        return
    if head == MARK:
        raise BadInput(path, "a pointer of git-lfs instead of the file", "the file itself: run `git lfs pull` there")
