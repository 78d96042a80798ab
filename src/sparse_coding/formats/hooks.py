"""Our sites by the names that TransformerLens has for them, which other libraries write into their files."""

import re
from typing import Any

HOOKS = {
    "residual": "blocks.{}.hook_resid_post",
    "mlp": "blocks.{}.mlp.hook_post",
    "mlpin": "blocks.{}.ln2.hook_normalized",
    "mlpout": "blocks.{}.hook_mlp_out",
    "attn": "blocks.{}.attn.hook_z",
}
_SITE = re.compile(r"layer(\d+)_([a-z]+?)(?:_to_([a-z]+))?")


def named(site: str | None) -> dict[str, Any]:
    """`hook_name`, and `hook_name_out` of a pair of places; a name that is no site of ours as it is."""
    match = _SITE.fullmatch(site or "")
    if match is None or any(place not in (*HOOKS, None) for place in match.groups()[1:]):
        return {"hook_name": site}
    layer, place, to = match.groups()
    found = {"hook_name": HOOKS[place].format(layer)}
    return found | ({"hook_name_out": HOOKS[to].format(layer)} if to else {})
