"""Our sites by the names that TransformerLens has for them, which other libraries write into their files."""

from typing import Any

from sparse_coding.errors import BadInput
from sparse_coding.settings import sites

HOOKS = {
    "residual": "blocks.{}.hook_resid_post",
    "mlp": "blocks.{}.mlp.hook_post",
    "mlpin": "blocks.{}.ln2.hook_normalized",
    "mlpout": "blocks.{}.hook_mlp_out",
    "attn": "blocks.{}.attn.hook_z",
}


def named(site: str | None) -> dict[str, Any]:
    """`hook_name`, and `hook_name_out` of a pair of places; what is no site of a trained model as it is."""
    try:
        known = sites.parse(site or "")
    except BadInput:
        return {"hook_name": site}
    if known.random_weights:
        return {"hook_name": site}
    places = [HOOKS[place.location].format(place.layer) for place in known.places]
    return dict(zip(("hook_name", "hook_name_out"), places, strict=False))
