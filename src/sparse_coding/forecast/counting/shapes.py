"""The shape of the language model: widths, blocks, vocabulary, parameters; from its config."""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparse_coding.errors import BadInput
from sparse_coding.files.model_files import weights_of
from sparse_coding.forecast.counting import model_folder
from sparse_coding.settings import outside
from sparse_coding.settings.params import Model, Params

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class ModelShape:
    """What a forecast needs of a model; `parameters` counts weights, `begins`: whether blocks begin with BOS."""

    layers: int
    d_model: int
    d_mlp: int
    d_attn: int
    vocabulary: int
    parameters: int
    begins: bool
    config: dict[str, Any]

    @property
    def stored(self) -> str:
        """The number format of its files."""
        return str(self.config.get("dtype") or self.config.get("torch_dtype") or "float32")

    def width(self, location: str) -> int:
        """The dimensions at a location of a block."""
        return {"mlp": self.d_mlp, "attn": self.d_attn}.get(location, self.d_model)


def of_params(params: Params) -> ModelShape:
    """The shape of the model that params name. Raises BadInput where its config is not on this machine."""
    config = config_of(params)
    first = outside.first_of
    d_model, layers = first(config, "hidden_size", "n_embd", "d_model"), outside.layers_of(config)
    if d_model is None or layers is None or config.get("vocab_size") is None:
        raise BadInput(f"{params.model.name}: config.json", "no width, number of blocks or vocabulary", "all of them")
    d_mlp = outside.width_of(config, "mlp") or 4 * d_model
    shape = ModelShape(
        layers, d_model, d_mlp, outside.width_of(config, "attn") or d_model, int(config["vocab_size"]), 0,
        first(config, "bos_token_id") is not None, config,
    )  # fmt: skip
    return ModelShape(**{**vars(shape), "parameters": _parameters(params, shape)})


def config_of(params: Params) -> dict[str, Any]:
    """The config of the model, or of the text part of one. Raises BadInput where it is not on this machine."""
    config = _config(params)
    return {**config, **(config.get("text_config") or {})}


def _config(params: Params) -> dict[str, Any]:
    own = params.transformer
    if outside.makes_model(params):
        return {
            "num_hidden_layers": own.layers, "hidden_size": own.d_model, "vocab_size": own.vocabulary,
            "num_attention_heads": own.heads, "bos_token_id": 0, "max_position_embeddings": own.context,
            "model_type": own.architecture, "tie_word_embeddings": own.architecture == "gpt2",
        }  # fmt: skip
    config = outside.model_config(params)
    return _from_cache(params.model) if config is None else config


def _from_cache(model: Model) -> dict[str, Any]:
    """The config of a model of the hub, where it was downloaded before: at the revision that is meant."""
    path = _cached(model)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        wanted = "its config.json in the hub's cache: a first run, or `sparse_coding forecast` online, puts it there"
        raise BadInput(f"model {model.name}", f"no config at {model.at or 'main'} on this machine", wanted) from None


def _cached(model: Model) -> Path:
    home = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub") / f"models--{model.name.replace('/', '--')}"
    revision = model.at or "main"
    with suppress(OSError):  # a branch or tag stands for a commit
        revision = (hub / "refs" / revision).read_text(encoding="utf-8").strip()
    return hub / "snapshots" / revision / "config.json"


def fetch(model: Model) -> None:
    """Have the config of a model of the hub in its cache, by the network where it is not there; quiet if it fails."""
    if Path(model.name).is_dir() or _cached(model).is_file():
        return
    from huggingface_hub import hf_hub_download

    # The client and its transport have exceptions of their own; what is missing is said when it is read.
    with suppress(Exception):
        hf_hub_download(model.name, "config.json", revision=model.at)


def _parameters(params: Params, shape: ModelShape) -> int:
    """Of a folder with weights what their bytes are, else by the usual shape of blocks."""
    folder = Path(params.model.name)
    weights: list[int] = []
    with suppress(BadInput, OSError):
        weights = [path.stat().st_size for path in weights_of(folder)]
    if weights:
        return sum(weights) // BYTES.get(shape.stored, 4)
    gated = shape.config.get("hidden_act") in ("silu", "swiglu", "gelu_pytorch_tanh")
    block = 4 * shape.d_model * shape.d_attn + (3 if gated else 2) * shape.d_model * shape.d_mlp
    embeddings = 1 if model_folder.shares_embedding(shape.config) else 2
    positions = shape.config.get("n_positions") or 0
    return shape.layers * block + (embeddings * shape.vocabulary + positions) * shape.d_model
