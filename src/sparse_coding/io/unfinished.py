"""A dictionary in the middle of its training, on disk: one safetensors file, gone when the dictionary is there."""

import json
import sys
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sparse_coding.atomic import whole_file
from sparse_coding.core.training.keeping import NEVER, Keeping
from sparse_coding.core.training.marks import Marks
from sparse_coding.core.training.trainee import Trainee
from sparse_coding.errors import BadInput
from sparse_coding.io.dictionaries import checksum

FORMAT = "sparse_coding training 1"

Unfinished = tuple[dict[str, Tensor], dict[str, Any]]


def save(path: Path, tensors: dict[str, Tensor], numbers: dict[str, Any], of: str) -> None:
    """Write it whole. of: what it is trained on, so that it goes on with nothing else."""
    header = {"format": FORMAT, "numbers": json.dumps(numbers), "of": of}
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header["sha256"] = checksum(kept, header)
    with whole_file(path) as temporary:
        save_file(kept, temporary, metadata={"sparse_coding": json.dumps(header, sort_keys=True)})


def load(path: Path, of: str) -> Unfinished | None:
    """What `save` wrote; None where nothing is, or something that is not whole or of something else: it begins anew."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["sparse_coding"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        sha256 = header.pop("sha256")
        if (header["format"], header["of"], checksum(tensors, header)) != (FORMAT, of, sha256):
            raise ValueError("it is of something else")
        return tensors, json.loads(header["numbers"])
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"{path}: cannot be gone on with ({error}); this training begins anew", file=sys.stderr)
        return None


def take_up(member: Trainee, at: dict[str, Path], of: str) -> None:
    """Go on where a member was broken off, if that is kept in `at`; of: as `save` was told."""
    before = load(at[member.name], of) if member.name in at else None
    if before is not None:
        try:
            member.take_up(*before)
        except BadInput as error:
            print(f"{at[member.name]}: {error}; this training begins anew", file=sys.stderr)


def keep(members: list[Trainee], at: dict[str, Path], of: str) -> None:
    """Write members in training. Where that cannot be, on a full disk say, it goes on: to end it would cost more."""
    for member in members:
        try:
            save(at[member.name], *member.kept(), of)
        except (BadInput, OSError, SafetensorError) as error:
            print(f"{at[member.name]}: not kept ({error}); training goes on", file=sys.stderr)


def keeping(members: list[Trainee], at: dict[str, Path], of: str, minutes: float) -> Keeping:
    """When they are kept; never where there is no place for it."""
    return Keeping(partial(keep, members, at, of), 60 * minutes) if at else NEVER


def let_go(
    going: list[Trainee], by_name: dict[str, Marks], stop: int, failed: Collection[str], at: dict[str, Path]
) -> None:
    """Of those that have nothing more to give, after `stop` steps, nothing is kept."""
    for member in list(going):
        if member.name in failed or by_name[member.name].last <= stop:
            going.remove(member)
            if member.name in at:
                at[member.name].unlink(missing_ok=True)
