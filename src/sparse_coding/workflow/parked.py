"""What finished work in the content store takes, said at the end of a run once it is worth a thought."""

from pathlib import Path

# A third of what a run of the default writes in all. Less is not missed, and a line at every run would not be read.
WORTH_SAYING = 500_000_000  # bytes


def line(store: Path, threshold: int = WORTH_SAYING) -> str:
    """A line for people where what `make clean` would free passes `threshold`; else nothing."""
    size = freed(store)
    if size <= threshold:
        return ""
    kept = f"{store.parent.name}/{store.name} keeps {size / 1e6:,.0f} MB of finished work for later"
    return f"{kept}; `make clean` shows and deletes it."


def freed(folder: Path) -> int:
    """Bytes below `folder` that have no second name elsewhere: what deleting it would free."""
    found = (file.lstat() for file in folder.rglob("*") if file.is_file())
    return sum(status.st_size for status in found if status.st_nlink == 1)
