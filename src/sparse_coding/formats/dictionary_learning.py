"""dictionary_learning 0.1.0: a folder with config.json, which names its class, and ae.pt; or a checkpoint.

Biases and thresholds were multiplied by the norm of its activations when the file was saved, so they fit vectors as the
model has them.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from sparse_coding.errors import BadInput
from sparse_coding.formats.parts import (
    About,
    Found,
    Settings,
    Tensors,
    at_most,
    one_of,
    pickled_tensors_of,
    settings_of,
    whole,
)
from sparse_coding.formats.raw import Raw

NAME = "dictionary_learning"
CONFIG, WEIGHTS, CHECKPOINTS = "config.json", "ae.pt", "checkpoints"
NEVER_SET = -1  # a threshold


def find(path: Path) -> Path | None:
    """The file of weights that `path` is or holds, where a config.json belongs to it."""
    file = path / WEIGHTS if path.is_dir() else path
    if file.suffix != ".pt" or not file.is_file() or not _config(file).is_file():
        return None
    try:  # many folders have a config.json
        told = json.loads(_config(file).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None if file.name != WEIGHTS else file
    return file if isinstance(told, dict) and (isinstance(told.get("trainer"), dict) or file.name == WEIGHTS) else None


def _config(file: Path) -> Path:
    folder = file.parent.parent if file.parent.name == CHECKPOINTS else file.parent
    return folder / CONFIG


def read(file: Path) -> Found:
    """Raises BadInput for what cannot be read exactly."""
    config = settings_of(_config(file))
    trainer = config.get("trainer")
    if not isinstance(trainer, dict):
        raise BadInput(_config(file), "no trainer", "what dictionary_learning writes beside a dictionary")
    state, rules = pickled_tensors_of(file), []
    if "ae" in state and isinstance(state["ae"], dict):  # a backup of later versions
        if "norm_factor" not in state:
            raise BadInput(file, "a backup without a norm_factor", "what its vectors were divided by, or None")
        factor = state["norm_factor"]
        if not (factor is None or (isinstance(factor, int | float) and factor == 1)):
            found = f"a backup of an unfinished training, of vectors divided by {factor}"
            raise BadInput(file, found, "the file of the finished one, or a checkpoint: there that is folded")
        state = state["ae"]
        rules.append("a backup of a training: its dictionary alone")
    tensors = Tensors(file, state)
    kind = one_of(_config(file), "dict_class", trainer.get("dict_class"), READERS)
    if kind == "AutoEncoder" and "bias" not in state:
        kind = "AutoEncoderNew"
        rules.append(
            "config.json says AutoEncoder, tensors say AutoEncoderNew: these are right, no trainer writes that"
        )
    raw = READERS[kind](_config(file), trainer, tensors)
    tensors.end()
    about = About(
        file, (file, _config(file)), NAME, kind, proven="ae" not in state and not any("backup" in r for r in rules),
        rules=tuple([*rules, *_rules(kind, raw, trainer)]), model=trainer.get("lm_name"),
        hook=trainer.get("submodule_name"), more={k: trainer[k] for k in ("layer", "steps", "seed") if k in trainer},
    )  # fmt: skip
    return Found(raw, about)


def _shape(place: Path, trainer: Settings) -> tuple[int, int]:
    return whole(place, trainer, "dict_size"), whole(place, trainer, "activation_dim")


def _linear(place: Path, trainer: Settings, tensors: Tensors, centre: str, centred: bool = True) -> Raw:
    """As layers of torch have them, [out, in]."""
    n_feat, d_act = _shape(place, trainer)
    out_bias = tensors.take(centre, d_act)
    return Raw(
        encoder=tensors.take("encoder.weight", n_feat, d_act), bias=tensors.take("encoder.bias", n_feat),
        decoder=tensors.take("decoder.weight", d_act, n_feat).T, out_bias=out_bias,
        read_bias=out_bias if centred else None,
    )  # fmt: skip


def _matrices(place: Path, trainer: Settings, tensors: Tensors, centred: bool) -> Raw:
    n_feat, d_act = _shape(place, trainer)
    out_bias = tensors.take("b_dec", d_act)
    return Raw(
        encoder=tensors.take("W_enc", d_act, n_feat).T, bias=tensors.take("b_enc", n_feat),
        decoder=tensors.take("W_dec", n_feat, d_act), out_bias=out_bias, read_bias=out_bias if centred else None,
    )  # fmt: skip


def _standard(place: Path, trainer: Settings, tensors: Tensors) -> Raw:
    return _linear(place, trainer, tensors, "bias")


def _new(place: Path, trainer: Settings, tensors: Tensors) -> Raw:
    return _linear(place, trainer, tensors, "decoder.bias", centred=False)


def _gated(place: Path, trainer: Settings, tensors: Tensors) -> Raw:
    n_feat, _ = _shape(place, trainer)
    bias, gate, r_mag = (tensors.take(name, n_feat) for name in ("mag_bias", "gate_bias", "r_mag"))
    tensors.put("encoder.bias", bias)
    raw = _linear(place, trainer, tensors, "decoder_bias")
    return replace(raw, activation="gated", gate_bias=gate, r_mag=r_mag)


def _k(place: Path, trainer: Settings, tensors: Tensors) -> int:
    """That of the tensors, which encode reads; config.json has it too."""
    stored = tensors.left.pop("k", None)
    if stored is None:
        return at_most(place, whole(place, trainer, "k"), whole(place, trainer, "dict_size"))
    is_whole = isinstance(stored, torch.Tensor) and stored.ndim == 0 and not stored.is_floating_point()
    k = whole(tensors.path, {"k": int(stored) if is_whole else stored}, "k")
    if "k" in trainer and trainer["k"] != k:
        raise BadInput(place, f"k {trainer['k']}", f"{k}, as {tensors.path.name} has it")
    return at_most(tensors.path, k, whole(place, trainer, "dict_size"))


def _topk(place: Path, trainer: Settings, tensors: Tensors) -> Raw:
    tensors.drop("threshold")  # its encode does not use it
    k = _k(place, trainer, tensors)
    return replace(_linear(place, trainer, tensors, "b_dec"), activation="topk", k=k)


def _by_threshold(raw: Raw, tensors: Tensors) -> Raw:
    threshold = tensors.take("threshold")
    if float(threshold) == NEVER_SET:
        return raw
    return replace(raw, activation="jumprelu", threshold=threshold.expand(len(raw.bias)))


def _batchtopk(place: Path, trainer: Settings, tensors: Tensors) -> Raw:
    _k(place, trainer, tensors)
    return _by_threshold(_linear(place, trainer, tensors, "b_dec"), tensors)


def _matryoshka(place: Path, trainer: Settings, tensors: Tensors) -> Raw:
    _k(place, trainer, tensors)
    tensors.drop("group_sizes")
    return _by_threshold(_matrices(place, trainer, tensors, centred=True), tensors)


def _jumprelu(place: Path, trainer: Settings, tensors: Tensors) -> Raw:
    raw = _matrices(place, trainer, tensors, centred=False)
    return replace(raw, activation="jumprelu", threshold=tensors.take("threshold", len(raw.bias)))


READERS: dict[str, Callable[[Path, Settings, Tensors], Raw]] = {
    "AutoEncoder": _standard,
    "AutoEncoderNew": _new,
    "GatedAutoEncoder": _gated,
    "AutoEncoderTopK": _topk,
    "BatchTopKSAE": _batchtopk,
    "MatryoshkaBatchTopKSAE": _matryoshka,
    "JumpReluAutoEncoder": _jumprelu,
}


def _rules(kind: str, raw: Raw, trainer: Settings) -> list[str]:
    found = ["reads x - bias" if raw.read_bias is not None else "reads x as it is"]
    if kind == "AutoEncoderTopK":
        found.append("the k largest, as its encode has it; a threshold in the file is not used")
    if kind in ("BatchTopKSAE", "MatryoshkaBatchTopKSAE"):
        never = "no threshold was set: all positive codes, as its encode has it"
        found.append(never if raw.threshold is None else "codes above the threshold, as its encode has it")
    return found
