"""SAELens: a folder with cfg.json and sae_weights.safetensors; read as SAELens 6.54.12 reads it, or refused.

What SAELens passes over in silence is refused or said: a normalisation that is in no weight, another activation.
Where files of older versions mean something else, what they say of their version decides.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from sparse_coding.errors import BadInput
from sparse_coding.formats import saelens_before_6
from sparse_coding.formats.parts import (
    About,
    Found,
    Settings,
    Tensors,
    at_most,
    boolean,
    number,
    one_of,
    safetensors_of,
    section,
    settings_of,
    whole,
)
from sparse_coding.formats.raw import Kind, Raw

NAME = "saelens"
CFG, WEIGHTS, SCALER, WHITENING = (
    "cfg.json",
    "sae_weights.safetensors",
    "activation_scaler.json",
    "activation_whitening.safetensors",
)
AT_RUN_TIME = ("layer_norm", "constant_norm_rescale")  # of each vector, so that no weight can hold it
FOLDED = ("expected_average_only_in", "covariance_whitening")  # into the weights, when training ends
RESCALED = "rescale_acts_by_decoder_norm"
OF_BATCH = ("batchtopk", "matryoshka_batchtopk")
TRANSCODERS = ("transcoder", "skip_transcoder", "jumprelu_transcoder", "jumprelu_skip_transcoder")
NOT_YET = {"matching_pursuit": "codes by its own rule to stop", "temporal": "attention over tokens"}
THRESHOLD_OFF = "6.54.9"  # before, a folded scale was left out of BatchTopK's threshold (#763)


def find(path: Path) -> Path | None:
    """The folder that `path` is or lies in, where SAELens wrote it."""
    folder = path if path.is_dir() else path.parent
    fits = path.is_dir() or path.name in (CFG, WEIGHTS)
    return folder if fits and (folder / CFG).is_file() and (folder / WEIGHTS).is_file() else None


def read(folder: Path) -> Found:
    """Raises BadInput for what cannot be read exactly."""
    cfg, tensors = settings_of(folder / CFG), Tensors(folder / WEIGHTS, safetensors_of(folder / WEIGHTS))
    version = version_of(cfg)
    rules: list[str] = []
    if version is None or int(version.split(".")[0]) < 6:
        cfg = saelens_before_6.renamed(folder / CFG, cfg, tensors, rules)
    architecture = one_of(folder / CFG, "architecture", cfg.get("architecture"), [*READERS, *NOT_YET])
    if architecture in NOT_YET:
        raise BadInput(folder / CFG, f"{architecture} ({NOT_YET[architecture]})", "an architecture that is read here")
    raw = READERS[architecture](folder, cfg, tensors)
    tensors.end()
    raw = _of_activations(folder, cfg, raw, rules)
    said = section(folder / CFG, cfg, "metadata")
    if cfg.get("reshape_activations", "none") != "none":
        rules.append("heads side by side in one vector, as it flattens them")
    about = About(
        folder, tuple(each for each in (folder / CFG, folder / WEIGHTS, folder / SCALER, folder / WHITENING)
                      if each.is_file()),
        NAME, architecture, version, rules=tuple([*rules, *_rules(cfg, raw, tensors)]),
        traps=tuple(_traps(folder, said, version)), model=said.get("model_name"), hook=said.get("hook_name"),
        more={name: said[name] for name in ("hook_name_out", "training_architecture", "prepend_bos", "context_size")
              if said.get(name) is not None},
    )  # fmt: skip
    return Found(raw, about)


def version_of(cfg: Settings) -> str | None:
    """Of SAELens; None where the file does not tell, as those before 6 do not."""
    said = cfg.get("metadata") if isinstance(cfg.get("metadata"), dict) else {}
    found = (said or {}).get("sae_lens_version", cfg.get("sae_lens_version"))
    return found if isinstance(found, str) and re.match(r"[0-9]+\.", found) else None


def _shape(folder: Path, cfg: Settings) -> tuple[int, int, int]:
    d_in, n_feat = whole(folder / CFG, cfg, "d_in"), whole(folder / CFG, cfg, "d_sae")
    return n_feat, d_in, whole(folder / CFG, cfg, "d_out") if "d_out" in cfg else d_in


def _plain(folder: Path, cfg: Settings, tensors: Tensors) -> Raw:
    """Encoder, decoder and biases."""
    n_feat, d_in, d_out = _shape(folder, cfg)
    b_dec = tensors.take("b_dec", d_out)
    centred = boolean(folder / CFG, cfg, "apply_b_dec_to_input", True)
    return Raw(
        encoder=tensors.take("W_enc", d_in, n_feat).T,
        bias=tensors.take("b_enc", n_feat),
        decoder=tensors.take("W_dec", n_feat, d_out),
        out_bias=b_dec,
        read_bias=b_dec if centred else None,
    )


def _topk(folder: Path, cfg: Settings, tensors: Tensors) -> Raw:
    raw = _plain(folder, cfg, tensors)
    kind: Kind = "abstopk" if cfg["architecture"] == "abstopk" else "topk"
    rescaled = boolean(folder / CFG, cfg, RESCALED, False)
    k = at_most(folder / CFG, whole(folder / CFG, cfg, "k"), len(raw.bias))
    return replace(raw, activation=kind, k=k, rescaled=rescaled)


def _jumprelu(folder: Path, cfg: Settings, tensors: Tensors) -> Raw:
    raw = _plain(folder, cfg, tensors)
    return replace(raw, activation="jumprelu", threshold=tensors.take("threshold", len(raw.bias)))


def _of_batch(folder: Path, cfg: Settings, tensors: Tensors) -> Raw:
    """A checkpoint of training: in use one threshold, of codes that are scaled by the decoder's norms."""
    raw = _plain(folder, cfg, tensors)
    norms = raw.norms if boolean(folder / CFG, cfg, RESCALED, True) else torch.ones_like(raw.bias)
    safe = norms.where(norms > 0, 1.0)
    threshold = tensors.take("topk_threshold").expand(len(raw.bias))
    return replace(
        raw, encoder=raw.encoder * norms[:, None], bias=raw.bias * norms, decoder=raw.decoder / safe[:, None],
        activation="jumprelu", threshold=threshold,
    )  # fmt: skip


def _gated(folder: Path, cfg: Settings, tensors: Tensors) -> Raw:
    n_feat, *_ = _shape(folder, cfg)
    bias, gate, r_mag = (tensors.take(name, n_feat) for name in ("b_mag", "b_gate", "r_mag"))
    tensors.put("b_enc", bias)
    return replace(_plain(folder, cfg, tensors), activation="gated", gate_bias=gate, r_mag=r_mag)


def _transcoder(folder: Path, cfg: Settings, tensors: Tensors) -> Raw:
    if cfg.get("apply_b_dec_to_input", True) is not False:
        found = f"apply_b_dec_to_input {cfg.get('apply_b_dec_to_input', 'missing')}"
        raise BadInput(folder / CFG, found, "false: what a transcoder puts together is of another place")
    whole(folder / CFG, cfg, "d_out")
    jumps = cfg["architecture"].startswith("jumprelu")
    raw = replace((_jumprelu if jumps else _plain)(folder, cfg, tensors), is_pair=True)
    if "skip" not in cfg["architecture"]:
        return raw
    return replace(raw, skip=tensors.take("W_skip", len(raw.out_bias), raw.encoder.shape[1]).T)


READERS: dict[str, Callable[[Path, Settings, Tensors], Raw]] = {
    "standard": _plain,
    "topk": _topk,
    "abstopk": _topk,
    "jumprelu": _jumprelu,
    "gated": _gated,
    **dict.fromkeys(OF_BATCH, _of_batch),
    **dict.fromkeys(TRANSCODERS, _transcoder),
}


def _of_activations(folder: Path, cfg: Settings, raw: Raw, rules: list[str]) -> Raw:
    """What reads activations as the model has them: of a checkpoint, with what it was trained on folded in."""
    normalised = cfg.get("normalize_activations", "none")
    if normalised in AT_RUN_TIME:
        found = f"normalize_activations {normalised}: a rule for each vector, which no weight can hold"
        raise BadInput(folder / CFG, found, f"none, or {' or '.join(FOLDED)} with what was folded")
    one_of(folder / CFG, "normalize_activations", normalised, ("none", *FOLDED))
    if normalised == "none":
        return raw
    if raw.is_pair:  # the input alone is normalised there, and its skip reads what is not
        raise BadInput(folder / CFG, f"a transcoder with normalize_activations {normalised}", "none")
    scaler = settings_of(folder / SCALER) if (folder / SCALER).is_file() else None
    if scaler is None:
        found = f"normalize_activations {normalised}, and no {SCALER} that says by how much"
        raise BadInput(folder / CFG, found, "weights in which it is folded (none), or a checkpoint with that file")
    if missing := {"has_whitening", "scaling_factor"} - scaler.keys():
        raise BadInput(folder / SCALER, f"no {', '.join(sorted(missing))}", "what it says of both")
    if boolean(folder / SCALER, scaler, "has_whitening", False):
        rules.append("whitening of activations folded into the weights")
        return _whitened(folder, raw)
    if (scale := scaler.get("scaling_factor")) is None:
        return raw  # the last checkpoint: folded already
    scale = number(folder / SCALER, "scaling_factor", scale)
    rules.append(f"the scale of activations, {scale:.6g}, folded into the weights")
    return _scaled(raw, scale)


def _scaled(raw: Raw, scale: float) -> Raw:
    """Of x what `raw` is of scale * x."""
    read = None if raw.read_bias is None else raw.read_bias / scale
    return replace(
        raw, encoder=raw.encoder * scale, decoder=raw.decoder / scale, out_bias=raw.out_bias / scale, read_bias=read
    )


def _whitened(folder: Path, raw: Raw) -> Raw:
    """Of x what `raw` is of (x - mean) @ matrix. The norms of rows enter before: they change."""
    file, d_in = Tensors(folder / WHITENING, safetensors_of(folder / WHITENING)), raw.encoder.shape[1]
    mean, matrix = file.take("mean", d_in), file.take("matrix", d_in, d_in)
    inverse = file.take("inverse_matrix", d_in, d_in)
    raw = _without_norms(raw)
    offset = mean @ matrix if raw.read_bias is None else mean @ matrix + raw.read_bias
    return replace(
        raw, encoder=raw.encoder @ matrix.T, bias=raw.bias - raw.encoder @ offset, decoder=raw.decoder @ inverse,
        out_bias=raw.out_bias @ inverse + mean, read_bias=None,
    )  # fmt: skip


def _without_norms(raw: Raw) -> Raw:
    """The same with the norms of the decoder's rows in the encoder, where codes are of both."""
    if not raw.rescaled:
        return raw
    norms, safe = raw.norms, raw.norms.where(raw.norms > 0, 1.0)
    encoder, bias = raw.encoder * norms[:, None], raw.bias * norms
    return replace(raw, encoder=encoder, bias=bias, decoder=raw.decoder / safe[:, None], rescaled=False)


def _rules(cfg: Settings, raw: Raw, tensors: Tensors) -> list[str]:
    found = ["reads x - b_dec" if raw.read_bias is not None else "reads x as it is"]
    if raw.rescaled or (cfg["architecture"] in OF_BATCH and cfg.get(RESCALED, True)):
        found.append("codes are times the norms of the decoder's rows before they are compared")
    if cfg["architecture"] in OF_BATCH:
        found.append("a state of training: codes above its running threshold, as it is saved for use")
    if raw.skip is not None:
        found.append("the skip reads x itself")
    if raw.activation == "abstopk":
        found.append("signed codes, each as two: 2 d_sae features")
    if tensors.dtypes != ["float32"]:
        found.append(f"weights of {', '.join(tensors.dtypes)}, computed with in float32")
    if cfg.get("dtype") not in ("float32", "float64", *tensors.dtypes):
        found.append(
            f"cfg.json says dtype {cfg.get('dtype')}, to which SAELens would round; here weights are as stored"
        )
    return found


def _traps(folder: Path, said: Settings, version: str | None) -> list[str]:
    details = section(folder / CFG, said, "training_architecture_details")
    of_batch = said.get("training_architecture") in OF_BATCH
    if of_batch and details.get(RESCALED, True) and _is_before(version, THRESHOLD_OFF):
        return [
            f"BatchTopK saved by {version}, before {THRESHOLD_OFF}: where a scale was folded, its threshold is without"
        ]
    return []


def _is_before(version: str | None, other: str) -> bool:
    numbers = [int(part) for part in (version or "0").split("-")[0].split(".") if part.isdigit()]
    return numbers < [int(part) for part in other.split(".")]
