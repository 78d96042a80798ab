"""What readers share: files that are read without executing anything, and checks that name the file."""

import json
from collections.abc import Iterable, Mapping, Sequence
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


class MustBeTold(BadInput):
    """What only a repository's name says has to be told; the files are as they should be."""


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
    """A dict that torch saved, read as `pickled`."""
    found = pickled(path, "tensors that torch saved")
    if not isinstance(found, dict):
        raise BadInput(path, f"a {type(found).__name__}", "a state dict")
    return found


def pickled(path: Path, wanted: str, holders: Sequence[tuple[type, str]] = ()) -> Any:
    """What torch saved, read without executing: tensors and plain containers are built, and objects of `holders` in the
    place of the classes that they are named for. Raises BadInput for anything else."""
    check_is_file(path, wanted)
    allowed: list[Any] = list(holders)
    try:
        with torch.serialization.safe_globals(allowed):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of a damaged file it may be any
        said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        more = "; nothing else is read from such a file, as it could execute what it likes"
        raise BadInput(path, f"a file that cannot be read safely ({said})", wanted + more) from None


def npz_of(path: Path) -> dict[str, Tensor]:
    """All arrays of numbers of an .npz; one of objects is refused, as it is a pickle."""
    check_is_file(path, "its arrays")
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: torch.from_numpy(np.ascontiguousarray(file[name])) for name in file.files}
    except Exception as error:  # of a damaged file it may be any
        raise BadInput(path, f"a file that cannot be read safely ({error})", "an .npz with arrays of numbers") from None


class Tensors:
    """The tensors of a file, taken by name in float64; what is left over at the end is refused."""

    def __init__(self, path: Path, tensors: Mapping[str, Any]) -> None:
        if odd := [name for name in tensors if not isinstance(name, str)]:
            raise BadInput(path, f"tensors called {odd[:3]}", "names")
        self.path, self.left = path, dict(tensors)
        self.dtypes = sorted(
            {str(each.dtype).removeprefix("torch.") for each in tensors.values() if isinstance(each, Tensor)}
        )

    def take(self, name: str, *shape: int) -> Tensor:
        """One of this shape; -1 is any length. Raises BadInput where it is not there, or not so."""
        if name not in self.left:
            has = ", ".join(sorted(self.left)) or "nothing else"
            raise BadInput(self.path, f"no tensor {name}", f"one; it has {has}")
        tensor = self.left.pop(name)
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point() or not _is_dense(tensor):
            raise BadInput(self.path, f"{name} that is no dense floating-point tensor", "numbers")
        fits = tensor.ndim == len(shape) and all(w in (-1, n) for w, n in zip(shape, tensor.shape, strict=True))
        if not fits:
            wanted = ", ".join("any" if n < 0 else str(n) for n in shape)
            raise BadInput(self.path, f"{name} of shape {list(tensor.shape)}", f"[{wanted}]")
        if not bool((wide := tensor.double()).isfinite().all()):
            raise BadInput(self.path, f"{name} with what is no finite number", "numbers")
        return wide

    def put(self, name: str, tensor: Tensor) -> None:
        """What a reader that expects a tensor is to find. Raises BadInput where the file has one of that name."""
        if name in self.left:
            raise BadInput(self.path, f"a tensor {name}", "none: this kind has no such part")
        self.left[name] = tensor

    def drop(self, *names: str) -> None:
        """What does not enter any number."""
        for name in names:
            self.left.pop(name, None)

    def end(self) -> None:
        """Raise BadInput where something was not asked for: it may be what makes the difference."""
        if self.left:
            raise BadInput(self.path, f"tensors that are not known: {', '.join(sorted(self.left))}", "none of them")


def _is_dense(tensor: Tensor) -> bool:
    """Whether it holds all of its numbers; one of the device `meta` holds none."""
    return tensor.layout == torch.strided and not tensor.is_meta


def boolean(place: Path, settings: Mapping[str, Any], name: str, default: bool | None) -> bool:
    """True or false of some settings; default None: it must be there. Raises BadInput for anything else, for "false"
    would be taken for true."""
    found = settings.get(name, default)
    if not isinstance(found, bool):
        raise BadInput(place, f"{name} {found!r}", "true or false")
    return found


def section(place: Path, settings: Settings, name: str) -> Settings:
    """Settings within settings; none where there are none. Raises BadInput for anything else."""
    found = settings.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise BadInput(place, f"{name} {found!r}", "an object, or nothing")
    return found


def number(place: Path, name: str, found: object) -> float:
    """A number above 0. Raises BadInput for anything else."""
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found < float("inf"):
        raise BadInput(place, f"{name} {found!r}", "a number above 0")
    return float(found)


def at_most(place: Path, k: int, n_feat: int) -> int:
    """k codes of so many features. Raises BadInput for more than there are."""
    if k > n_feat:
        raise BadInput(place, f"k {k}", f"at most {n_feat}, the number of features")
    return k


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
