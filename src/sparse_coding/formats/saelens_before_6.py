"""Files of SAELens before 6: other names for the same, by the rules of its loader; what it passes over is refused."""

from pathlib import Path

import torch
from torch import Tensor

from sparse_coding.errors import BadInput
from sparse_coding.formats.parts import Settings, Tensors, section

RENAMED = {"hook_point": "hook_name", "hook_point_head_index": "hook_head_index", "activation_fn_str": "activation_fn"}
NORMALISATIONS = {True: "expected_average_only_in", False: "none", None: "none"}
SAID = ("model_name", "hook_name", "prepend_bos", "context_size", "sae_lens_training_version")


def renamed(place: Path, cfg: Settings, tensors: Tensors, rules: list[str]) -> Settings:
    """As a file of version 6 has it. Raises BadInput for an activation or a scale that cannot be read."""
    cfg = dict(cfg)
    for old, new in RENAMED.items():
        if old in cfg:
            cfg[new] = cfg.pop(old)
    rules.append("no sae_lens_version of 6 or later: read by the rules for files before 6")
    found = {"architecture": "standard", "apply_b_dec_to_input": True} | cfg
    found["metadata"] = {name: cfg[name] for name in SAID if name in cfg} | section(place, cfg, "metadata")
    normalised = cfg.get("normalize_activations")
    if normalised is None or isinstance(normalised, bool):
        found["normalize_activations"] = NORMALISATIONS[normalised]
    activation = cfg.get("activation_fn", "relu")
    if activation == "topk":
        found |= {"architecture": "topk", "k": section(place, cfg, "activation_fn_kwargs").get("k")}
        rules.append("activation_fn topk: architecture topk")
    elif activation != "relu":
        raise BadInput(place, f"activation_fn {activation!r}", "relu or topk: SAELens takes others for relu")
    scale = tensors.left.pop("scaling_factor", None)
    if scale is not None and not (isinstance(scale, Tensor) and torch.equal(scale, torch.ones_like(scale))):
        raise BadInput(tensors.path, "a scaling_factor other than 1, which SAELens 6 cannot load", "ones, or none")
    return found
