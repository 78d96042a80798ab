"""What was fitted of a variant on disk: one safetensors file a dictionary, tied to it by a checksum."""

import hashlib
import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sparse_coding.atomic import whole_file
from sparse_coding.errors import BadInput
from sparse_coding.io.unreadable import SAFETENSORS, check_is_file, what_is


def save(path: Path, variant: str, fitted: dict[str, Tensor], dictionary: Path) -> None:
    """Write what was fitted of the dictionary in the file `dictionary`. The bytes depend on the arguments alone."""
    header = {"format": _format(variant), "dictionary_sha256": _sha256(dictionary)}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in fitted.items()}
    with whole_file(path) as temporary:
        save_file(tensors, temporary, {"sparse_coding": json.dumps(header, sort_keys=True)})


def load(path: Path, variant: str, dictionary: Path) -> dict[str, Tensor]:
    """Read what was fitted of `dictionary`. Raises BadInput where the file is missing, damaged or made for another."""
    wanted = f"the {_words(variant)} that stage evaluation wrote"
    check_is_file(path, wanted)
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("sparse_coding", "{}"))
            kind = header.get("format") if isinstance(header, dict) else header
            if kind != _format(variant):
                raise BadInput(path, f"format {kind!r}", repr(_format(variant)))
            fitted = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError, ValueError) as error:
        raise BadInput(path, what_is(path, SAFETENSORS, error), wanted + "; make it again") from None
    if header.get("dictionary_sha256") != _sha256(dictionary):
        found = f"the {_words(variant)} of another dictionary"
        raise BadInput(path, found, f"that of {dictionary}; run stage evaluation again")
    return fitted


def _words(variant: str) -> str:
    return variant.replace("_", " ")


def _format(variant: str) -> str:
    return f"sparse_coding {_words(variant)} 1"


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
