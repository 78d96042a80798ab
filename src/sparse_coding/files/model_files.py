"""What a folder of a model in Hugging Face format holds, and what its config.json says. No torch."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sparse_coding.errors import BadInput
from sparse_coding.files.lfs import refuse_pointer

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"  # the first that is there is read
_LONGEST_CONTEXT = ("max_position_embeddings", "n_positions")  # what a configuration calls it
_WITH_HEAD = re.compile("LMHead|For(CausalLM|MaskedLM|PreTraining|ConditionalGeneration)")
TEXTS = (".json", ".txt", ".model", ".jinja", ".tiktoken", ".py")  # what transformers reads beside weights


def longest_context(config: Mapping[str, Any]) -> tuple[str, int] | None:
    """What a model's config.json calls its longest context, and the tokens of that; None where it does not say."""
    key = next((key for key in _LONGEST_CONTEXT if isinstance(config.get(key), int)), None)
    if key is None:
        return None
    # RoBERTa counts places from the number of its padding token on, and keeps a vector for each number before.
    padding = config.get("pad_token_id", 1) if config.get("model_type") == "roberta" else None
    return key, config[key] - (0 if padding is None else padding + 1)


def names_a_head(architecture: str) -> bool:
    """Whether a class of transformers, as a config.json names it, predicts tokens: most sentence encoders do not."""
    return _WITH_HEAD.search(architecture) is not None


def weights_of(folder: Path) -> list[Path]:
    """The files of weights that transformers reads of a folder; shards that its index names may be missing.

    Raises BadInput where there are no weights in safetensors format, or their index is damaged.
    """
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / INDEX).is_file():
        raise BadInput(folder, f"neither {WEIGHTS} nor {INDEX}", "weights in safetensors format")
    try:
        listed = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"]
        return [folder / shard for shard in sorted(set(listed.values()))]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(folder / INDEX, f"a damaged index ({error!r})", "a weight_map of tensors to files") from None


def refuse_pointers(folder: Path) -> None:
    """Raise BadInput where a file that is read of a model's folder is a pointer of git-lfs.

    Others may be: weights in formats that nobody reads here or beside those that are read, or in folders below.
    """
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix in TEXTS:
            refuse_pointer(path)
    weights: list[Path] = []
    with suppress(BadInput):  # whoever reads the weights says that there are none
        weights = weights_of(folder)
    for path in weights:
        refuse_pointer(path)
