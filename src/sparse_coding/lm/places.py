"""Where in a block of a network the locations of a site are, for any architecture that a TransformerBridge knows."""

import re
from dataclasses import dataclass
from typing import Any, Literal

# Normalises what the MLP puts out, before it is added to the residual stream (Gemma 2, OLMo 2, GLM 4).
_AFTER_MLP = re.compile(r"post_(feedforward|mlp|ffn)_\w+")


@dataclass(frozen=True)
class Place:
    """What module `path` of a block is given, or puts out; the block itself is ""."""

    path: str
    side: Literal["input", "output"]


def places(block: Any) -> dict[str, Place]:
    """The locations that an architecture has, from the component mapping of its blocks.

    `attn` and `mlp` are what enters the output projections: the heads' outputs side by side; the activations after
    the non-linearity, times the gate where there is one. `mlpout` is what the MLP adds to the residual stream. A
    mixture of experts has no `mlp`, because it has no one output projection. `mlpin` is what enters the MLP, after the
    norm before it.
    """
    found = {"residual": Place("", "output")}
    if (projection := _path(block, "mlp", "out")) is not None:
        found["mlp"] = Place(projection, "input")
    after = [each.name for each in block.submodules.values() if _AFTER_MLP.fullmatch(each.name or "")]
    # The projection, not the MLP: the MLP of BLOOM and MPT adds the residual stream itself.
    for path in (*after, projection, _path(block, "mlp")):
        if path is not None:
            found["mlpout"] = Place(path, "output")
            break
    # Where the MLP is no module of its own (BERT, OPT), it begins with its projection.
    if (entrance := _path(block, "mlp") or _path(block, "mlp", "in")) is not None:
        found["mlpin"] = Place(entrance, "input")
    if (projection := _path(block, "attn", "o")) is not None:
        found["attn"] = Place(projection, "input")
    return found


def _path(component: Any, *names: str) -> str | None:
    """The path below `component` of the part with these names; None where there is none. Some parts are names only."""
    path = []
    for name in names:
        if name not in component.submodules:
            return None
        component = component.submodules[name]
        path.append(component.name)
    return ".".join(filter(None, path)) or None
