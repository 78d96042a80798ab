"""Our dictionaries as files of other libraries: what each of them can hold, exactly, or a reason why it cannot.

Gains are in the encoder where a code hangs on no other code, and there rows stay of unit norm and codes ours; the k
largest are chosen before gains, which are then in the decoder, and their codes are ours divided by them.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput

Tensors = dict[str, Tensor]
SAELENS_VERSION = "6.54.12"  # whose format it is: without one that is 6 or later, files are taken for older ones
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
HELD = {"relu": "a ReLU", "jumprelu": "thresholds", "topk": "the k largest"}


def saelens(dictionary: Dictionary, folder: Path, dtype: str, said: Mapping[str, Any]) -> None:
    """cfg.json and sae_weights.safetensors. Raises BadInput for what it cannot hold."""
    _check_held(dictionary, "saelens", tuple(HELD))
    pair = _is_pair(dictionary)
    if pair and dictionary.activation == "topk":
        raise BadInput(
            "convert --to saelens",
            "a transcoder with the k largest",
            "one with a ReLU or thresholds; sparsify holds it",
        )
    parts, gain = _in_encoder(dictionary)
    kind = {"relu": "standard", "topk": "topk", "jumprelu": "jumprelu"}[dictionary.activation]
    cfg: dict[str, Any] = {"d_in": dictionary.d_in, "d_sae": dictionary.n_feat, "dtype": dtype, "device": "cpu"}
    heads = "hook_z" if str(said.get("hook_name")).endswith("hook_z") else "none"  # there the hook has them apart
    cfg |= {"apply_b_dec_to_input": not pair, "normalize_activations": "none", "reshape_activations": heads}
    tensors = {"W_enc": parts["encoder"].T, "b_enc": parts["bias"], "b_dec": parts["centre"]}
    tensors["W_dec"] = gain[:, None] * dictionary.decoder.double()
    if dictionary.activation == "jumprelu":
        tensors["threshold"] = parts["threshold"]
    if dictionary.activation == "topk":
        cfg |= {"k": min(dictionary.k or 1, dictionary.n_feat), "rescale_acts_by_decoder_norm": False}
    if pair:
        plain = "skip_transcoder" if dictionary.skip is not None else "transcoder"
        kind = plain if kind == "standard" else f"jumprelu_{plain}"
        cfg["d_out"] = dictionary.d_out
        tensors |= _of_pair(dictionary, parts)
        if dictionary.skip is not None:
            tensors["W_skip"] = dictionary.skip.double().T
    metadata = {"sae_lens_version": SAELENS_VERSION, "sae_lens_training_version": None, **said}
    (folder / "cfg.json").write_text(json.dumps(cfg | {"architecture": kind, "metadata": metadata}, indent=1) + "\n")
    _save(tensors, folder / "sae_weights.safetensors", dtype)


def sparsify(dictionary: Dictionary, folder: Path, dtype: str, said: Mapping[str, Any]) -> None:
    """cfg.json and sae.safetensors. Raises BadInput for what it cannot hold."""
    _check_held(dictionary, "sparsify", ("topk",))
    if dictionary.d_in != dictionary.d_out:
        raise BadInput(
            folder, f"from {dictionary.d_in} to {dictionary.d_out} dimensions", "one width: sparsify has one"
        )
    pair = _is_pair(dictionary)
    cfg = {"activation": "topk", "expansion_factor": 32, "normalize_decoder": False, "num_latents": dictionary.n_feat}
    cfg |= {"k": min(dictionary.k or 1, dictionary.n_feat), "multi_topk": False, "transcode": pair}
    cfg |= {"skip_connection": dictionary.skip is not None, "d_in": dictionary.d_in}
    parts, gain = _in_encoder(dictionary)
    tensors = {"encoder.weight": parts["encoder"], "encoder.bias": parts["bias"], "b_dec": parts["centre"]}
    tensors["W_dec"] = gain[:, None] * dictionary.decoder.double()
    if pair:
        own = _of_pair(dictionary, parts)
        tensors |= {"encoder.bias": own["b_enc"], "b_dec": own["b_dec"]}
        if dictionary.skip is not None:
            tensors["W_skip"] = dictionary.skip.double().T
    (folder / "cfg.json").write_text(json.dumps(cfg) + "\n")
    _save(tensors, folder / "sae.safetensors", dtype)


def dictionary_learning(dictionary: Dictionary, folder: Path, dtype: str, said: Mapping[str, Any]) -> None:
    """config.json and ae.pt. Raises BadInput for what it cannot hold."""
    _check_held(dictionary, "dictionary_learning", tuple(HELD))
    if _is_pair(dictionary):
        raise BadInput(
            "convert --to dictionary_learning",
            "vectors of two places",
            "of one; SAELens holds transcoders, and sparsify those of TopK",
        )
    parts, gain = _in_encoder(dictionary)
    decoder = gain[:, None] * dictionary.decoder.double()
    layers = {"encoder.weight": parts["encoder"], "encoder.bias": parts["bias"], "decoder.weight": decoder.T}
    trainer: dict[str, Any] = {"activation_dim": dictionary.d_act, "dict_size": dictionary.n_feat}
    if dictionary.activation == "relu":
        kind, state = "AutoEncoder", layers | {"bias": parts["centre"]} | _unit_rows(parts, decoder)
    elif dictionary.activation == "topk":
        k = min(dictionary.k or 1, dictionary.n_feat)
        kind, state = "AutoEncoderTopK", layers | {"b_dec": parts["centre"]}
        trainer["k"] = k
    else:  # it reads x as it is
        kind = "JumpReluAutoEncoder"
        bias = parts["bias"] - parts["encoder"] @ parts["centre"]
        state = {"W_enc": parts["encoder"].T, "b_enc": bias, "W_dec": decoder, "b_dec": parts["centre"]}
        state["threshold"] = parts["threshold"]
    rounded = {name: each.to(DTYPES[dtype]).contiguous() for name, each in state.items()}
    if dictionary.activation == "topk":
        rounded |= {"k": torch.tensor(trainer["k"], dtype=torch.int32), "threshold": torch.tensor(-1.0)}
    names = {"lm_name": said.get("model_name"), "submodule_name": said.get("hook_name")}
    config = {"trainer": {"dict_class": kind, "trainer_class": "sparse_coding", **trainer, **names}}
    (folder / "config.json").write_text(json.dumps(config, indent=4) + "\n")
    torch.save(rounded, folder / "ae.pt")


WRITERS: dict[str, Callable[[Dictionary, Path, str, Mapping[str, Any]], None]] = {
    "saelens": saelens,
    "dictionary_learning": dictionary_learning,
    "sparsify": sparsify,
}


def _check_held(dictionary: Dictionary, form: str, activations: tuple[str, ...]) -> None:
    """Raise BadInput for codes that the format has no name for."""
    held = ", ".join(HELD[each] for each in activations)
    found = None
    if dictionary.activation not in activations:
        found = f"codes by {dictionary.activation}"
    elif dictionary.pursuit:
        found = "codes by matching pursuit"
    elif dictionary.hidden is not None:
        found = "an encoder with a hidden layer"
    if found is not None:
        nearest = "" if len(activations) > 1 else "; saelens and dictionary_learning hold ReLU and thresholds"
        raise BadInput(f"convert --to {form}", found, f"{held}, of one layer{nearest}")


def _is_pair(dictionary: Dictionary) -> bool:
    return dictionary.out_centre is not None or dictionary.skip is not None


def _in_encoder(dictionary: Dictionary) -> tuple[Tensors, Tensor]:
    """Encoder, bias, threshold with the gains in them, and the gains that are left for the decoder; float64."""
    gain, ones = dictionary.gain.double(), torch.ones_like(dictionary.gain, dtype=torch.float64)
    own, left = (ones, gain) if dictionary.activation == "topk" else (gain, ones)
    parts = {"encoder": own[:, None] * dictionary.encoder.double(), "bias": own * dictionary.bias.double()}
    parts["centre"] = dictionary.centre.double()
    if dictionary.threshold is not None:
        parts["threshold"] = own * dictionary.threshold.double()
    return parts, left


def _of_pair(dictionary: Dictionary, parts: Tensors) -> Tensors:
    """Biases where x is read as it is, by encoder and skip."""
    centre = dictionary.centre.double()
    out = centre if dictionary.out_centre is None else dictionary.out_centre.double()
    if dictionary.skip is not None:
        out = out - centre @ dictionary.skip.double()
    return {"b_enc": parts["bias"] - parts["encoder"] @ centre, "b_dec": out}


def _unit_rows(parts: Tensors, decoder: Tensor) -> Tensors:
    """Its loader divides by the norms of rows: one of zeros becomes one that no code ever reads."""
    dead = ~decoder.any(dim=1)
    if not bool(dead.any()):
        return {}
    rows, encoder, bias = decoder.clone(), parts["encoder"].clone(), parts["bias"].clone()
    rows[dead, 0], encoder[dead], bias[dead] = 1.0, 0.0, 0.0
    return {"decoder.weight": rows.T, "encoder.weight": encoder, "encoder.bias": bias}


def _save(tensors: Tensors, path: Path, dtype: str) -> None:
    save_file({name: each.to(DTYPES[dtype]).contiguous() for name, each in tensors.items()}, path)
