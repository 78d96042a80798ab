"""`learned_dicts.pt` of the code behind Cunningham et al. 2023: a list of (dictionary, settings), as pickled objects.

By description: no real file was seen. Objects of its classes are built as holders of their tensors; nothing of theirs
runs, and any other class is refused.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from sparse_coding.errors import BadInput
from sparse_coding.formats.parts import About, Found, MustBeTold, Tensors, boolean, pickled
from sparse_coding.formats.raw import Raw

NAME = "original"
FILE = "learned_dicts.pt"
MODULE = "autoencoders.learned_dict"
SMALLEST = 1e-8  # a norm that rows are divided by


class TiedSAE:
    """What such an object holds."""


class UntiedSAE:
    """What such an object holds."""


HOLDERS = (TiedSAE, UntiedSAE)


def find(path: Path) -> Path | None:
    """The file, by its name."""
    file = path / FILE if path.is_dir() else path
    return file if file.name == FILE and file.is_file() else None


def read(file: Path, which: int | None = None) -> Found:
    """which: of the dictionaries in the file, from 0. Raises BadInput without it, and for what cannot be read."""
    all_of_them = _unpickled(file)
    if not isinstance(which, int) or isinstance(which, bool) or not 0 <= which < len(all_of_them):
        found = "nothing that says which" if which is None else f"which {which}"
        raise (MustBeTold if which is None else BadInput)(
            file, found, f"which= from 0 to {len(all_of_them) - 1}, of {len(all_of_them)} dictionaries"
        )
    one, made = all_of_them[which]
    tensors = Tensors(file, {name: each for name, each in vars(one).items() if isinstance(each, torch.Tensor)})
    raw, rules = (_tied if isinstance(one, TiedSAE) else _untied)(tensors, vars(one))
    tensors.end()
    more = {name: value for name, value in made.items() if isinstance(value, str | int | float | bool)}
    kind = "tied" if isinstance(one, TiedSAE) else "untied"
    return Found(raw, About(file, (file,), NAME, kind, proven=False, rules=tuple(rules), more={"which": which} | more))


def _tied(tensors: Tensors, held: dict[str, Any]) -> tuple[Raw, list[str]]:
    """Codes of (x - trans) turned and scaled; what is put together is turned back."""
    encoder = tensors.take("encoder", -1, -1)
    n_feat, d_in = encoder.shape
    bias = tensors.take("encoder_bias", n_feat)
    rows = encoder / encoder.norm(dim=1, keepdim=True).clamp(min=SMALLEST)
    read = rows if boolean(tensors.path, held, "norm_encoder", None) else encoder
    raw = Raw(encoder=read, bias=bias, decoder=rows, out_bias=torch.zeros(d_in, dtype=torch.float64))
    if "center_trans" not in tensors.left:
        return raw, ["rows of unit norm put together"]
    trans, scale = tensors.take("center_trans", d_in), tensors.take("center_scale", d_in)
    turn = tensors.take("center_rot", d_in, d_in)
    if not bool(scale.all()):
        raise BadInput(tensors.path, "a center_scale of 0", "none: it cannot be undone")
    if float((turn @ turn.T - torch.eye(d_in, dtype=torch.float64)).abs().max()) > 1e-4:
        raise BadInput(tensors.path, "center_rot that is no rotation", "one: it is turned back by its transpose")
    raw = replace(
        raw, encoder=(read * scale) @ turn, decoder=(rows / scale) @ turn, out_bias=trans, read_bias=trans
    )  # fmt: skip
    return raw, ["rows of unit norm put together", "its centring, rotation and scale folded into the weights"]


def _untied(tensors: Tensors, held: dict[str, Any]) -> tuple[Raw, list[str]]:
    encoder = tensors.take("encoder", -1, -1)
    n_feat, d_in = encoder.shape
    decoder = tensors.take("decoder", n_feat, d_in)
    rows = decoder / decoder.norm(dim=1, keepdim=True).clamp(min=SMALLEST)
    bias = tensors.take("encoder_bias", n_feat)
    raw = Raw(encoder=encoder, bias=bias, decoder=rows, out_bias=torch.zeros(d_in, dtype=torch.float64))
    return raw, ["rows of unit norm put together", "no centre"]


def _unpickled(file: Path) -> list[tuple[Any, dict[str, Any]]]:
    wanted = f"a list of (dictionary, settings), of {' or '.join(each.__name__ for each in HOLDERS)}"
    found = pickled(file, wanted, [(each, f"{MODULE}.{each.__name__}") for each in HOLDERS])
    is_list = isinstance(found, list) and all(isinstance(each, tuple) and len(each) == 2 for each in found)
    if not is_list or not all(isinstance(one, HOLDERS) and isinstance(made, dict) for one, made in found):
        raise BadInput(file, "something else", wanted)
    return found
