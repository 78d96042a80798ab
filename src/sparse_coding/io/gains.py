"""Refitted gains on disk: one safetensors file a dictionary, tied to it by a checksum."""

import hashlib
import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sparse_coding.atomic import whole_file
from sparse_coding.errors import BadInput
from sparse_coding.io.unreadable import SAFETENSORS, check_is_file, what_is

FORMAT = "sparse_coding gain refit 1"


def save(path: Path, gain: Tensor, dictionary: Path) -> None:
    """Write the gains, [n_feat], of the dictionary in the file `dictionary`. The bytes depend on both alone."""
    header = {"format": FORMAT, "dictionary_sha256": _sha256(dictionary)}
    with whole_file(path) as temporary:
        save_file(
            {"gain": gain.detach().cpu().contiguous()}, temporary, {"sparse_coding": json.dumps(header, sort_keys=True)}
        )


def load(path: Path, dictionary: Path) -> Tensor:
    """Read the gains of `dictionary`. Raises BadInput where the file is missing, damaged or made for another."""
    wanted = "the gains that stage evaluation wrote"
    check_is_file(path, wanted)
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("sparse_coding", "{}"))
            kind = header.get("format") if isinstance(header, dict) else header
            if kind != FORMAT:
                raise BadInput(path, f"format {kind!r}", repr(FORMAT))
            gain = file.get_tensor("gain")
    except (SafetensorError, OSError, ValueError) as error:
        raise BadInput(path, what_is(path, SAFETENSORS, error), wanted + "; make it again") from None
    if header.get("dictionary_sha256") != _sha256(dictionary):
        raise BadInput(path, "gains of another dictionary", f"those of {dictionary}; run stage evaluation again")
    return gain


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
