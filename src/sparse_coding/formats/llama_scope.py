"""Llama Scope: a folder with hyperparams.json and checkpoints/final.safetensors; of scaled activations.

By description: no real file was seen. Another activation or norm, a bias before the encoder or a gate is refused.
"""

from dataclasses import replace
from pathlib import Path

from sparse_coding.errors import BadInput
from sparse_coding.formats.parts import (
    About,
    Found,
    Tensors,
    boolean,
    number,
    one_of,
    safetensors_of,
    section,
    settings_of,
    whole,
)
from sparse_coding.formats.raw import Raw

NAME = "llama_scope"
CONFIG, WEIGHTS = "hyperparams.json", Path("checkpoints") / "final.safetensors"
UNIT = 1e-3  # how far norms may be from 1, where codes are compared times the norms


def find(path: Path) -> Path | None:
    """The folder."""
    folder = path if path.is_dir() else path.parent.parent if path.name == WEIGHTS.name else path.parent
    fits = path.is_dir() or path.name in (CONFIG, WEIGHTS.name)
    return folder if fits and (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file() else None


def read(folder: Path) -> Found:
    """Raises BadInput for what cannot be read exactly."""
    place, config = folder / CONFIG, settings_of(folder / CONFIG)
    tensors = Tensors(folder / WEIGHTS, safetensors_of(folder / WEIGHTS))
    d_in, n_feat = whole(place, config, "d_model"), whole(place, config, "d_sae")
    one_of(place, "act_fn", config.get("act_fn"), ("jumprelu",))
    one_of(place, "norm_activation", config.get("norm_activation"), ("dataset-wise",))
    for name in ("apply_decoder_bias_to_pre_encoder", "use_glu_encoder"):
        if boolean(place, config, name, False):
            raise BadInput(place, f"{name} true", "false, as it is described")
    threshold = number(place, "jump_relu_threshold", config.get("jump_relu_threshold"))
    norms = section(place, config, "dataset_average_activation_norm")
    read_norm = number(place, "dataset_average_activation_norm.in", norms.get("in"))
    if norms.get("out", read_norm) != read_norm:
        raise BadInput(place, f"dataset_average_activation_norm {norms}", "one place: in and out are the same")
    raw = Raw(
        encoder=tensors.take("encoder.weight", n_feat, d_in), bias=tensors.take("encoder.bias", n_feat),
        decoder=tensors.take("decoder.weight", d_in, n_feat).T, out_bias=tensors.take("decoder.bias", d_in),
        activation="jumprelu",
    )  # fmt: skip
    tensors.end()
    if boolean(place, config, "sparsity_include_decoder_norm", False) and float((raw.norms - 1).abs().max()) > UNIT:
        raise BadInput(place, "sparsity_include_decoder_norm true, and rows of other norms than 1", "rows of unit norm")
    scale = d_in**0.5 / read_norm
    raw = replace(
        raw, encoder=raw.encoder * scale, decoder=raw.decoder / scale, out_bias=raw.out_bias / scale,
        threshold=raw.bias.new_full((n_feat,), threshold),
    )  # fmt: skip
    rules = ["reads x as it is", f"the scale of activations, {scale:.6g}, folded into the weights", "one threshold"]
    about = About(
        folder, (place, folder / WEIGHTS), NAME, "jumprelu", proven=False, rules=tuple(rules),
        hook=config.get("hook_point_in"),
    )  # fmt: skip
    return Found(raw, about)
