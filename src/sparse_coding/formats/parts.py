"""What readers share: files that are read without executing anything, and checks that name the file."""

import json
import pickle
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sparse_coding.errors import BadInput
from sparse_coding.formats.raw import Raw
from sparse_coding.io.unreadable import SAFETENSORS, check_is_file, what_is

Settings = dict[str, Any]


@dataclass(frozen=True)
class About:
    """What was read: by which rules, and what the file says of itself.

    version: of the library, where the file tells. proven: the reader was held against files that the library wrote.
    rules: what was applied, in words. traps: what may be wrong with the file, and cannot be told from it. model and
    hook: where its vectors come from, if it is said.
    """

    path: Path
    files: tuple[Path, ...]
    format: str
    architecture: str
    version: str | None = None
    proven: bool = True
    rules: tuple[str, ...] = ()
    traps: tuple[str, ...] = ()
    model: str | None = None
    hook: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """A sparse autoencoder and where it came from."""

    raw: Raw
    about: About


def settings_of(path: Path) -> Settings:
    """A JSON object. Raises BadInput for anything else."""
    check_is_file(path, "its settings")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise BadInput(path, f"no JSON ({error})", "the settings of a dictionary") from None
    if not isinstance(found, dict):
        raise BadInput(path, f"a {type(found).__name__}", "a JSON object")
    return found


def safetensors_of(path: Path) -> dict[str, Tensor]:
    """All tensors of a file, as stored."""
    check_is_file(path, "its tensors")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise BadInput(path, what_is(path, SAFETENSORS, error), "the tensors of a dictionary") from None


def pickled_tensors_of(path: Path) -> Settings:
    """A dict that torch saved, read without executing: only tensors and plain containers are built."""
    check_is_file(path, "its tensors")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError) as error:
        said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        wanted = "tensors that torch saved; nothing else is read from such a file, as it could execute what it likes"
        raise BadInput(path, f"a file that cannot be read safely ({said})", wanted) from None
    if not isinstance(found, dict):
        raise BadInput(path, f"a {type(found).__name__}", "a state dict")
    return found


def npz_of(path: Path) -> dict[str, Tensor]:
    """All arrays of numbers of an .npz; one of objects is refused, as it is a pickle."""
    check_is_file(path, "its arrays")
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: torch.from_numpy(np.ascontiguousarray(file[name])) for name in file.files}
    except (ValueError, OSError, zipfile.BadZipFile, TypeError, EOFError, KeyError) as error:
        raise BadInput(path, f"a file that cannot be read safely ({error})", "an .npz with arrays of numbers") from None


class Tensors:
    """The tensors of a file, taken by name in float64; what is left over at the end is refused."""

    def __init__(self, path: Path, tensors: Mapping[str, Any]) -> None:
        self.path, self.left = path, dict(tensors)
        self.dtypes = sorted({str(each.dtype).removeprefix("torch.") for each in tensors.values() if _is_tensor(each)})

    def take(self, name: str, *shape: int) -> Tensor:
        """One of this shape; -1 is any length. Raises BadInput where it is not there, or not so."""
        if name not in self.left:
            has = ", ".join(sorted(self.left)) or "nothing else"
            raise BadInput(self.path, f"no tensor {name}", f"one; it has {has}")
        tensor = self.left.pop(name)
        if not _is_tensor(tensor) or not tensor.is_floating_point():
            raise BadInput(self.path, f"{name} that is no floating-point tensor", "numbers")
        fits = tensor.ndim == len(shape) and all(w in (-1, n) for w, n in zip(shape, tensor.shape, strict=True))
        if not fits:
            wanted = ", ".join("any" if n < 0 else str(n) for n in shape)
            raise BadInput(self.path, f"{name} of shape {list(tensor.shape)}", f"[{wanted}]")
        if not bool(tensor.isfinite().all()):
            raise BadInput(self.path, f"{name} with what is no finite number", "numbers")
        return tensor.double()

    def drop(self, *names: str) -> None:
        """What does not enter any number."""
        for name in names:
            self.left.pop(name, None)

    def end(self) -> None:
        """Raise BadInput where something was not asked for: it may be what makes the difference."""
        if self.left:
            raise BadInput(self.path, f"tensors that are not known: {', '.join(sorted(self.left))}", "none of them")


def _is_tensor(given: object) -> bool:
    return isinstance(given, Tensor)


def whole(place: Path, settings: Settings, name: str) -> int:
    """A whole number above 0 of some settings. Raises BadInput for anything else."""
    found = settings.get(name)
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise BadInput(place, f"{name} {found!r}", "a whole number above 0")
    return found


def one_of(place: Path, what: str, found: object, known: Iterable[str]) -> str:
    """`found`, if it is known. Raises BadInput with what is."""
    choices = list(known)
    if found not in choices:
        raise BadInput(place, f"{what} {found!r}", f"one of {', '.join(choices)}")
    return str(found)
