"""Dictionaries on disk: one safetensors file each, with its settings and a checksum in the header."""

import hashlib
import json
from itertools import islice
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sparse_coding.atomic import whole_file
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.core.dictionary_checks import ACTIVATIONS, FIRST, TENSORS
from sparse_coding.errors import BadInput
from sparse_coding.io.unreadable import SAFETENSORS, check_is_file, what_is

# What format 1 can hold is written as it ever was; 2 is for a threshold, for other activations and tensors, and for
# what encodes one place and puts together another. A reader that knows 1 alone refuses 2, where it would compute
# something else, and one that knows fewer activations names the one that it does not know.
FORMAT, FORMAT_2 = "sparse_coding dictionary 1", "sparse_coding dictionary 2"
DIRECTIONS = ("encoder", "decoder")  # [n_feat, d_act]
MATRICES = (*DIRECTIONS, "hidden")
EXAMINED, NAMED = 200, 5  # files of a folder that was given in place of one


def save(path: Path, dictionary: Dictionary, settings: dict) -> None:
    """Write `dictionary` whole; `settings` (JSON) says how it was made and enters the header.

    The bytes depend on the arguments alone. A tied decoder is stored once, and so is each direction of a dictionary
    that holds all of them as +d and -d.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in dictionary.tensors.items()}
    is_first = tensors.keys() == set(TENSORS) and dictionary.activation in FIRST
    shape: dict[str, object] = {
        "activation": dictionary.activation,
        "k": dictionary.k,
        "iterations": dictionary.iterations,
    }
    if dictionary.pursuit:
        shape["pursuit"] = True
    if dictionary.momentum is not None:
        shape["momentum"] = dictionary.momentum
    if all(_is_signed(tensors[name]) for name in DIRECTIONS):
        shape["signed"] = True
        tensors |= {name: tensors[name].chunk(2)[0].contiguous() for name in DIRECTIONS}
    if torch.equal(tensors["encoder"], tensors["decoder"]):
        del tensors["encoder"]
    header = {
        "format": FORMAT if is_first and not dictionary.pursuit else FORMAT_2,
        "dictionary": json.dumps(shape, sort_keys=True),
        "settings": json.dumps(settings, sort_keys=True),
    }
    header["sha256"] = checksum(tensors, header)
    with whole_file(path) as temporary:
        # One header entry: safetensors writes several in an order of its own.
        save_file(tensors, temporary, metadata={"sparse_coding": json.dumps(header, sort_keys=True)})


def load(path: Path) -> Dictionary:
    """Read a dictionary. Raises BadInput, naming the file, where it is cut short, edited or something else."""
    return load_with_settings(path)[0]


def load_with_settings(path: Path) -> tuple[Dictionary, dict]:
    """A dictionary and the settings it was saved with. Raises as `load`."""
    wanted = "the file of a dictionary that sparse_coding wrote"
    check_is_file(path, f"{wanted}{_those_in(path)}" if path.is_dir() else wanted)
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("sparse_coding", "{}"))
            kind = header.get("format") if isinstance(header, dict) else header
            if kind not in (FORMAT, FORMAT_2):
                raise BadInput(path, f"format {kind!r}", f"{FORMAT!r} or {FORMAT_2!r}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError, ValueError) as error:
        raise BadInput(path, what_is(path, SAFETENSORS, error), wanted) from None
    if header.pop("sha256", None) != checksum(tensors, header):
        raise BadInput(path, "bytes that were changed after it was written", "its own checksum; make it again")
    try:
        shape, settings = (dict(json.loads(header[part])) for part in ("dictionary", "settings"))
    except (TypeError, ValueError, KeyError) as error:
        raise BadInput(path, f"a header that no version of this program writes ({error})", wanted) from None
    _check_is_known(path, shape, tensors)
    tensors.setdefault("encoder", tensors["decoder"])
    if shape.pop("signed", False):
        tensors |= {name: torch.cat([tensors[name], -tensors[name]]) for name in DIRECTIONS}
    try:
        return Dictionary(**tensors, **shape), settings
    except (TypeError, IndexError, BadInput) as error:
        raise BadInput(path, f"what no version of this program writes ({error})", wanted) from None


def _check_is_known(path: Path, shape: dict, tensors: dict[str, Tensor]) -> None:
    """Raise BadInput for an activation that there is not, and for what is missing, no number or not whole."""
    if (activation := shape.get("activation")) not in ACTIVATIONS:
        found = f"a dictionary of activation {activation!r}, of a kind that this version does not know"
        raise BadInput(path, found, f"one of {', '.join(ACTIVATIONS)}")
    if missing := [name for name in TENSORS if name not in tensors and name != "encoder"]:
        raise BadInput(path, f"no {', '.join(missing)}", f"a file with {', '.join(TENSORS)}; make it again")
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not bool(tensor.isfinite().all()):
            raise BadInput(path, f"{name} with what is no finite number", "numbers; make it again")
        if name in MATRICES and tensor.ndim != 2:
            raise BadInput(path, f"{name} of shape {list(tensor.shape)}", "a matrix; make it again")
    for name in ("k", "iterations"):
        if (number := shape.get(name)) is not None and type(number) is not int:
            raise BadInput(path, f"{name} {number!r}", "a whole number; make it again")


def _those_in(folder: Path) -> str:
    """Which dictionaries lie in a folder, or in the folders of it: where one was asked for."""
    near = (path for depth in ("", "*/", "*/*/") for path in sorted(folder.glob(f"{depth}*.safetensors")))
    those = [path.relative_to(folder).as_posix() for path in islice(near, EXAMINED) if _says_it_is_one(path)]
    if not those:
        return "; there is none in this folder"
    more = f" and {len(those) - NAMED} more" if len(those) > NAMED else ""
    return f": in this folder are {', '.join(those[:NAMED])}{more}"


def _says_it_is_one(path: Path) -> bool:
    try:
        with safe_open(path, framework="pt") as file:
            says = (file.metadata() or {}).get("sparse_coding", "")
            return FORMAT in says or FORMAT_2 in says
    except (SafetensorError, OSError):
        return False


def _is_signed(directions: Tensor) -> bool:
    """Whether the second half of the rows is the first one with the other sign."""
    if not len(directions) or len(directions) % 2:
        return False
    first, second = directions.chunk(2)
    return torch.equal(first, -second)


def checksum(tensors: dict[str, Tensor], header: dict[str, str]) -> str:
    """Of tensors and of what a header says of them."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        flat = tensors[name].contiguous().reshape(-1)  # a tensor of no dimension has no view as bytes
        digest.update(flat.view(torch.uint8).numpy().tobytes())  # numpy has no bfloat16
    return digest.hexdigest()
