"""What a dictionary must be, so that its codes and reconstructions are what it says."""

from typing import TYPE_CHECKING, Literal, get_args

from torch import Tensor

from sparse_coding.errors import BadInput

if TYPE_CHECKING:
    from sparse_coding.core.dictionary import Dictionary

Activation = Literal["relu", "topk", "nnls", "jumprelu", "ramp", "lista"]
ACTIVATIONS = get_args(Activation)
FIRST = ("relu", "topk", "nnls")  # that format 1 of files knows
BY_FEATURE = ("relu", "jumprelu", "ramp")  # the code of a feature hangs on no other feature
WITH_THRESHOLD = ("jumprelu", "ramp")
OF_ONE_PLACE = ("nnls", "lista")  # what is read is held against what is put together
TENSORS = ("encoder", "bias", "decoder", "centre", "gain")
OPTIONAL = ("threshold", "out_centre", "skip", "hidden", "hidden_bias")

PLACE = "Dictionary"


def check(of: "Dictionary") -> None:
    """Raise BadInput for the first thing that is wrong. Whether all numbers are finite is not looked at."""
    _check_shapes(of)
    if of.activation not in ACTIVATIONS:
        raise BadInput(PLACE, f"activation {of.activation!r}", f"one of {', '.join(ACTIVATIONS)}")
    _check_numbers(of)
    if (of.activation in WITH_THRESHOLD) != (of.threshold is not None):
        found = "no threshold" if of.threshold is None else "a threshold"
        wanted = f"one for {' and '.join(WITH_THRESHOLD)}, and for nothing else"
        raise BadInput(PLACE, f"{of.activation} with {found}", wanted)
    for name, tensor in (("threshold", of.threshold), ("gain", of.gain)):
        if tensor is not None and not tensor.is_meta and not bool((tensor >= 0).all()):  # there it has no numbers
            raise BadInput(PLACE, f"a {name} below 0, or not a number", "at least 0: codes are never negative")
    _check_places(of)
    if (of.hidden is None) != (of.hidden_bias is None) or (of.hidden is not None and of.activation != "relu"):
        raise BadInput(PLACE, f"{of.activation} with a part of a hidden layer", "a whole one, and for relu alone")


def _check_places(of: "Dictionary") -> None:
    """What holds codes against what they put together has vectors of one place."""
    if of.d_in == of.d_out and of.out_centre is None and of.skip is None:
        return
    if of.activation in OF_ONE_PLACE:
        raise BadInput(PLACE, f"{of.activation} of vectors of another place", "codes of what they put together")
    if of.pursuit:
        raise BadInput(PLACE, "pursuit of vectors of another place", "an encoder of the same")


def _check_numbers(of: "Dictionary") -> None:
    """k, iterations, momentum."""
    if of.pursuit and of.activation == "nnls":
        raise BadInput(PLACE, "pursuit of nnls", "an encoder, which says how many codes there are")
    if of.activation == "topk" and (not _is_whole(of.k) or (of.k or 0) < 1):
        raise BadInput(PLACE, f"topk with k {of.k}", "a k of at least 1, whole")
    if of.iterations is not None and (not _is_whole(of.iterations) or of.iterations < 1):
        raise BadInput(PLACE, f"{of.activation} with {of.iterations} iterations", "at least 1, whole")
    if of.activation == "lista" and (of.iterations is None or of.momentum is None):
        raise BadInput(PLACE, f"lista with iterations {of.iterations}, momentum {of.momentum}", "both")


def _is_whole(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool)


def _check_shapes(of: "Dictionary") -> None:
    """Others might broadcast."""
    tensors: dict[str, Tensor] = of.tensors
    reads = of.encoder if of.hidden is None else of.hidden
    n_feat, d_in, d_out = of.decoder.shape[0], reads.shape[-1], of.decoder.shape[-1]
    n_hidden = of.encoder.shape[-1]
    wanted = dict(zip(TENSORS, ((n_feat, n_hidden), (n_feat,), (n_feat, d_out), (d_in,), (n_feat,)), strict=True))
    wanted |= {"threshold": (n_feat,), "out_centre": (d_out,), "skip": (d_in, d_out)}
    wanted |= {"hidden": (n_hidden, d_in), "hidden_bias": (n_hidden,)}
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if any(shape != wanted[name] for name, shape in shapes.items()) or (d_in != d_out and of.out_centre is None):
        found = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
        others = "; threshold [n_feat]; of two widths, out_centre [d_out]; skip [d_in, d_out]"
        more = others if shapes.keys() != set(TENSORS) else ""
        one = "[n_feat, d_act], [n_feat], [n_feat, d_act], [d_act], [n_feat]"
        raise BadInput(PLACE, found, one + more)
