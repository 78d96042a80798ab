"""What to tell where `datasets` cannot open a corpus."""

import re
from typing import Any

from sparse_coding.errors import BadInput
from sparse_coding.lm.corpora.documents import Source

WANTED = "`pydocs`, a local file or folder, or the name of a corpus on the hub (which needs a network the first time)"


def refusal(source: Source, arguments: dict[str, Any], error: Exception) -> BadInput:
    """The message for an error of `load_dataset` or `load_dataset_builder` with these arguments."""
    from datasets import get_dataset_config_names

    place, reason = source.place, " ".join(str(error).split())[:300]
    if re.search("BuilderConfig .* not found|Config name is missing", reason):
        subsets = get_dataset_config_names(arguments["path"], revision=arguments.get("revision"))
        wanted = f"one of {', '.join(subsets)}: the subsets of {place}"
        return BadInput(f"{source.section}.subset", arguments["name"] or "null", wanted)
    if source.path.exists():
        reason = reason.replace(arguments["path"], str(source.path))
        return BadInput(place, f"data that cannot be read ({reason})", "whole files, as `datasets` or the hub has them")
    if "gated" in reason:
        wanted = "its terms accepted on its page, and `hf auth login` or HF_TOKEN on this machine"
        return BadInput(place, f"a gated corpus, and no access to it ({reason})", wanted)
    why = "no way to the hub: " if isinstance(error, OSError) and "reach" in reason else ""
    return BadInput(place, f"no such file or folder, and nothing usable on the hub ({why}{reason})", WANTED)
