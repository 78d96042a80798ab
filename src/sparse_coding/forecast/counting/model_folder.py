"""Whether a local model's folder holds what is needed, from the heads of its files: seconds before a run, no torch.

What cannot be said for certain passes; whoever loads the model says it then.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparse_coding.errors import BadInput
from sparse_coding.files.model_files import INDEX, names_a_head, refuse_pointers, weights_of
from sparse_coding.forecast.counting import safetensors_head
from sparse_coding.settings import grid, outside
from sparse_coding.settings.params import Params

_WANTED = "whole weights"
_SHOWN = 3
_CONSTANTS = re.compile(r".*\.inv_freq|(attn|attention)\.(bias|masked_bias)")  # that older versions wrote down
_OLD_NAMES = {".gamma": ".weight", ".beta": ".bias"}  # of norms in the first checkpoints of BERT


@dataclass(frozen=True)
class _Family:
    """An architecture whose blocks all have the same tensors.

    blocks: the path of its blocks; outside: tensors beside them, the embedding first; head: one of the head; tied:
    whether this is the embedding where config.json does not say, None where it is a layer before that.
    """

    blocks: str
    outside: str
    head: str
    tied: bool | None = False


_LLAMA = _Family("layers", "embed_tokens.weight norm.weight", "lm_head.weight")
_GEMMA = _Family("layers", "embed_tokens.weight norm.weight", "lm_head.weight", tied=True)
_EMBEDDINGS = " ".join(
    f"embeddings.{part}" for part in ("word_embeddings.weight", "position_embeddings.weight",
                                      "token_type_embeddings.weight", "LayerNorm.weight", "LayerNorm.bias")
)  # fmt: skip
_BLOOM = "word_embeddings_layernorm.weight word_embeddings_layernorm.bias"
_FAMILIES = {
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "phi3", "olmo2"), _LLAMA),
    **dict.fromkeys(("gemma", "gemma2"), _GEMMA),
    "gpt_neox": _Family("layers", "embed_in.weight final_layer_norm.weight final_layer_norm.bias", "embed_out.weight"),
    "gpt2": _Family("h", "wte.weight wpe.weight ln_f.weight ln_f.bias", "lm_head.weight", tied=True),
    "phi": _Family("layers", "embed_tokens.weight final_layernorm.weight final_layernorm.bias", "lm_head.weight"),
    "opt": _Family("layers", "embed_tokens.weight embed_positions.weight", "lm_head.weight", tied=True),
    "bloom": _Family("h", f"word_embeddings.weight {_BLOOM} ln_f.weight ln_f.bias", "lm_head.weight", tied=True),
    "bert": _Family("encoder.layer", _EMBEDDINGS, "cls.predictions.transform.dense.weight", None),
    "roberta": _Family("encoder.layer", _EMBEDDINGS, "lm_head.dense.weight", None),
}


def check(params: Params) -> None:
    """Raise BadInput where the folder of the model lacks weights, or has a pointer of git-lfs in the place of a file.

    Nothing is said of a model of the hub, or of one that is yet to be trained here.
    """
    folder = Path(params.model.name).expanduser()
    if not grid.harvested_sites(params) or outside.makes_model(params) or not folder.is_dir():
        return
    refuse_pointers(folder)
    config = outside.model_config(params) or {}
    missing = _missing({**config, **(config.get("text_config") or {})}, tensors(folder))
    if missing:
        names = ", ".join(missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
        raise BadInput(
            f"model {params.model.name}", f"weights without {len(missing)} of its tensors ({names})", _WANTED
        )


def tensors(folder: Path) -> set[str]:
    """The names of the tensors in the weights of a folder, as transformers reads them.

    Raises BadInput where there are no weights in safetensors format, or a file of them is missing or cut short.
    """
    paths = weights_of(folder)
    for path in paths:
        if not path.is_file():
            raise BadInput(path, f"no such file, though {INDEX} names it", _WANTED)
    return set().union(*map(_names, paths))


def _names(path: Path) -> set[str]:
    try:
        head = safetensors_head.read(path)
    except ValueError as error:
        raise BadInput(path, f"no safetensors file ({' '.join(str(error).split())})", _WANTED) from None
    if head.size < head.wanted:
        raise BadInput(path, f"{head.size:,} bytes of {head.wanted:,}: it was cut short", _WANTED)
    return set(head.shapes)


def _missing(config: dict[str, Any], found: set[str]) -> list[str]:
    """Tensors that a model of this kind has and these are not among; none where the kind is not known here."""
    family, layers = _FAMILIES.get(str(config.get("model_type"))), outside.layers_of(config)
    if family is None or layers is None:
        return []
    found = {_modern(name) for name in found}
    pattern = re.compile(rf"((?:.+\.)?){re.escape(family.blocks)}\.(\d+)\.(.+)")
    matches = [match for match in map(pattern.fullmatch, sorted(found)) if match and int(match[2]) < layers]
    if not matches:
        return [f"{family.blocks}.{layer}" for layer in range(layers)]
    before = matches[0][1]
    wanted = _outside(config, family, before, found)
    parts = [match[3] for match in matches]
    # What half of the blocks have, all have.
    common = {part for part in parts if 2 * parts.count(part) >= layers and not _CONSTANTS.fullmatch(part)}
    wanted += [f"{before}{family.blocks}.{layer}.{part}" for layer in range(layers) for part in sorted(common)]
    return [name for name in wanted if name not in found]


def shares_embedding(config: dict[str, Any]) -> bool:
    """Whether the head is the embedding: as config.json says, else as its kind has it; of others it is supposed."""
    family = _FAMILIES.get(str(config.get("model_type")))
    usual = True if family is None or family.tied is None else family.tied
    return bool(config.get("tie_word_embeddings", usual))


def _outside(config: dict[str, Any], family: _Family, before: str, found: set[str]) -> list[str]:
    """The tensors beside the blocks, and that of the head where config.json names a class that has one.

    Where head and embedding are one tensor, it may be stored under either name.
    """
    is_tied = family.tied is not None and shares_embedding(config)
    has_head = any(map(names_a_head, config.get("architectures") or ()))
    embedding, *others = (before + name for name in family.outside.split())
    if not has_head:
        return [embedding, *others]
    if is_tied:
        return [family.head if family.head in found else embedding, *others]
    return [embedding, *others, family.head]


def _modern(name: str) -> str:
    for old, new in _OLD_NAMES.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name
