"""The files that come from outside the workflow: the model's folder, a local corpus, imported activations.

Read without torch or transformers, at every parse of the Snakefile.
"""

import json
from pathlib import Path
from typing import Any

from sparse_coding import grid, sites
from sparse_coding.errors import BadInput
from sparse_coding.params import Params

# What the transformer stage writes, and what a local model needs to have.
MODEL_FILES = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
EMBEDDED_CORPUS = "pydocs"


def model_files(params: Params) -> list[str]:
    """The files of a local model; none for a model on the hub."""
    folder = Path(params.model.name)
    if folder == Path("models") / params.transformer.name:
        return [str(folder / file) for file in MODEL_FILES]
    return folder_files(str(folder)) if folder.is_dir() else []


def corpus_files(params: Params) -> list[str]:
    """The files of a local corpus; none for the embedded one and for a name on a data hub."""
    corpus = Path(params.dataset.corpus)
    if params.dataset.corpus == EMBEDDED_CORPUS or not corpus.exists():
        return []
    return folder_files(str(corpus)) if corpus.is_dir() else [str(corpus)]


def folder_files(folder: str) -> list[str]:
    """Every file below `folder`, sorted, hidden ones left out. Raises BadInput where there is none."""
    root = Path(folder)
    files = sorted(str(file) for file in root.rglob("*") if file.is_file() and not file.name.startswith("."))
    if not files:
        raise BadInput(folder, "no files" if root.exists() else "no such folder", "a folder with files")
    return files


def check(params: Params) -> None:
    """Hold the grid against a local model's config. Raises BadInput for a layer or ratio it cannot serve."""
    config = _config(params)
    if config is None or not grid.harvested_sites(params):
        return
    n_layers = _first(config, "num_hidden_layers", "n_layer", "num_layers")
    d_model = _first(config, "hidden_size", "n_embd", "d_model")
    for name in grid.harvested_sites(params):
        layer = sites.parse(name).layer
        if n_layers is not None and layer >= n_layers:
            raise BadInput("params.yaml: grid.sites", name, f"a layer from 0 to {n_layers - 1}: {params.model.name}")
    for ratio in params.grid.ratios:
        if d_model is not None and round(ratio * d_model) < 1:
            raise BadInput(
                "params.yaml: grid.ratios", f"{ratio:g}", f"at least {1 / d_model:g}: one feature of {d_model}"
            )


def _config(params: Params) -> dict[str, Any] | None:
    folder = Path(params.model.name)
    if folder == Path("models") / params.transformer.name and not (folder / "config.json").exists():
        return {"num_hidden_layers": params.transformer.layers, "hidden_size": params.transformer.d_model}
    if not folder.is_dir():
        return None
    try:
        return json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(
            f"params.yaml: model.name: {folder}", "no config.json", "a model in Hugging Face format"
        ) from None
    except ValueError as error:
        raise BadInput(folder / "config.json", f"damaged JSON ({error})", "a model in Hugging Face format") from None


def _first(config: dict[str, Any], *keys: str) -> int | None:
    return next((config[key] for key in keys if key in config), None)
