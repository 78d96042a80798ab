"""Transcoder sets of circuit-tracer, a layer at a time: layer_N.safetensors, with config.yaml beside it.

By description: no real file was seen. Encoder rows are features here, where other libraries' W_enc has them as columns.
"""

import re
from pathlib import Path

import yaml
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sparse_coding.errors import BadInput
from sparse_coding.formats.parts import About, Found, Settings, Tensors, safetensors_of
from sparse_coding.formats.raw import Raw
from sparse_coding.io.unreadable import check_is_file

NAME = "circuit_tracer"
_FILE = re.compile(r"layer_(\d+)\.safetensors")
CONFIG = "config.yaml"
THRESHOLD = "activation_function.threshold"


def find(path: Path) -> Path | None:
    """A layer, by its name and its tensors."""
    if not (_FILE.fullmatch(path.name) and path.is_file()):
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            return path if {"W_enc", "W_dec", "b_enc", "b_dec"} <= set(file.keys()) else None
    except (SafetensorError, OSError):
        return None


def read(file: Path) -> Found:
    """Raises BadInput for what cannot be read exactly."""
    tensors, config = Tensors(file, safetensors_of(file)), _config(file.parent / CONFIG)
    kind = config.get("model_kind", "transcoder_set")
    if kind != "transcoder_set":
        raise BadInput(file.parent / CONFIG, f"model_kind {kind!r}", "transcoder_set: single layers")
    if config.get("activation") not in (None, "relu", "jumprelu") or "k" in config:
        found = f"activation {config.get('activation')!r}, k {config.get('k')!r}"
        raise BadInput(file.parent / CONFIG, found, "relu or jumprelu: its topk keeps codes below 0, too")
    encoder = tensors.take("W_enc", -1, -1)
    n_feat, d_in = encoder.shape
    out_bias = tensors.take("b_dec", -1)
    jumps = THRESHOLD in tensors.left
    raw = Raw(
        encoder=encoder, bias=tensors.take("b_enc", n_feat), decoder=tensors.take("W_dec", n_feat, len(out_bias)),
        out_bias=out_bias, activation="jumprelu" if jumps else "relu", is_pair=True,
        threshold=_threshold(tensors, n_feat) if jumps else None,
        skip=tensors.take("W_skip", len(out_bias), d_in).T if "W_skip" in tensors.left else None,
    )  # fmt: skip
    tensors.end()
    rules = ["reads x as it is", "rows of W_enc are features", *(["the skip reads x itself"] * (raw.skip is not None))]
    layer = _FILE.fullmatch(file.name)
    more = {"layer": int(layer[1]) if layer else None, "hook_out": _text(config.get("feature_output_hook"))}
    files = (file, file.parent / CONFIG) if config else (file,)
    about = About(
        file, files, NAME, f"{'jumprelu ' if jumps else ''}transcoder", proven=False, rules=tuple(rules),
        hook=_text(config.get("feature_input_hook")), more=more,
    )  # fmt: skip
    return Found(raw, about)


def _text(given: object) -> str | None:
    return None if given is None else str(given)


def _threshold(tensors: Tensors, n_feat: int) -> Tensor:
    """One of each feature, or one for all."""
    stored = tensors.left[THRESHOLD]
    found = tensors.take(THRESHOLD, n_feat) if stored.ndim else tensors.take(THRESHOLD).expand(n_feat)
    if not bool((found >= 0).all()):
        raise BadInput(tensors.path, "a threshold below 0", "at least 0: it lets codes below 0 through")
    return found


def _config(path: Path) -> Settings:
    if not path.exists():
        return {}
    check_is_file(path, "the settings of a set of transcoders")
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:
        raise BadInput(
            path, f"no YAML ({' '.join(str(error).split())})", "the settings of a set of transcoders"
        ) from None
    if not isinstance(found, dict):
        raise BadInput(path, f"a {type(found).__name__}", "settings by name")
    return {str(name): value for name, value in found.items()}
