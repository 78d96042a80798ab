"""Which files a dictionary of any format is read from, and so those that its key is made of. No torch."""

import os
from pathlib import Path

from sparse_coding.errors import BadInput
from sparse_coding.files.folders import existing, visible_files

KINDS = (".safetensors", ".npz", ".pt", ".pth", ".json", ".yaml")
# What says how tensors in other files are to be read; where one file is named, these lie beside it or one folder above.
BESIDE = (
    "cfg.json", "config.json", "config.yaml", "hyperparams.json", "activation_scaler.json",
    "activation_whitening.safetensors",
)  # fmt: skip


def of(path: Path) -> list[Path]:
    """The files of the dictionary at `path`, sorted. Raises BadInput where there is none.

    Of a folder all that could be read of it; of a file also what may stand beside it.
    """
    wanted = f"a dictionary: a file, or a folder with files, of {', '.join(KINDS)}"
    if path.is_dir():
        found = existing((file for file in visible_files(path) if _could_be(file)), _could_be)
        if not found:
            raise BadInput(path, f"no {', '.join(KINDS)} file", wanted)
        return found
    if not path.is_file():
        raise BadInput(path, "no such file", wanted)
    # `..` is not resolved: of a link into a store of blobs the folder of the link is meant
    places = (path.parent, Path(os.path.normpath(path.absolute().parent / "..")))
    others = [folder / name for folder in places for name in BESIDE if (folder / name).is_file()]
    return sorted({path, *(_named_as(path, other) for other in others)})


def _named_as(path: Path, other: Path) -> Path:
    """Relative where the path is."""
    return other if path.is_absolute() or not other.is_absolute() else Path(os.path.relpath(other))


def _could_be(file: Path) -> bool:
    return file.suffix.lower() in KINDS
