"""The files that come from outside the workflow: the model's folder, a local corpus, imported activations.

Read without torch or transformers, at every parse of the Snakefile.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sparse_coding.errors import BadInput
from sparse_coding.files import corpus_columns, corpus_files, dictionary_files, vector_files
from sparse_coding.files.folders import existing, visible_files
from sparse_coding.files.model_files import TEXTS, WEIGHTS
from sparse_coding.settings import grid, sites
from sparse_coding.settings.known import EMBEDDED_CORPUS, WEIGHT_ENDINGS
from sparse_coding.settings.params import Params, PublishedDictionary
from sparse_coding.settings.params.transformer import TRAINED
from sparse_coding.workflow import stamps
from sparse_coding.workflow.graph import Leaf

# What stage transformer writes: the weights first, by which the model is known; then what else a model needs to have.
MODEL_FILES = ("model.safetensors", "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")
MODEL_PROSE = ("README.md", "loss_curve.png", "training.json")  # what stage transformer writes for people
PROMPTS = "prompts"
LEDGER = ".work/llm/ledger.sqlite"  # the book of what language models cost
EMBEDDED_LOCK = Path(__file__).parents[1] / "lm" / "corpora" / "pydocs.lock.json"


def makes_model(params: Params) -> bool:
    """Whether the analysed model is one that stage transformer makes here: it has no weights yet, or they are stamped.

    A model folder that came with its weights is read like any other.
    """
    folder = Path(params.model.name)
    weights = folder / WEIGHTS
    own = folder == Path("models") / params.transformer.name
    return own and (not weights.exists() or Path(stamps.path_of(str(weights))).exists())


def made_weights(params: Params) -> str:
    """The weights that stage transformer makes, by the path of its output: `models/mine/` is `models/mine`."""
    return str(Path(params.model.name) / WEIGHTS)


def tokenizer(params: Params) -> Leaf:
    """All of the model but its weights: its architecture and its tokenizer."""
    return _model_leaf(params, "configuration and tokenizer", _is_small_part)


def weights(params: Params) -> Leaf:
    """The weights of the model."""
    return _model_leaf(params, "weights", _is_weights)


def _model_leaf(params: Params, part: str, wanted: Callable[[str], bool]) -> Leaf:
    name, folder = f"model: {part}", Path(params.model.name).expanduser()
    if not folder.is_dir():
        return Leaf(name, version=params.model.at or "")
    return Leaf(name, tuple(filter(wanted, folder_files(str(folder), _is_read))), root=str(folder))


def _is_read(file: Path) -> bool:
    return _is_weights(file.name) or (file.suffix in TEXTS and _is_small_part(file.name))


def _is_weights(file: str) -> bool:
    return file.endswith(WEIGHT_ENDINGS)


def _is_small_part(file: str) -> bool:
    return not _is_weights(file) and not _is_prose(file)


def _is_prose(file: str) -> bool:
    """What people read beside a model, and what a stage of this project writes for them."""
    return file.endswith((".md", ".png", ".stamp")) or Path(file).name in (*MODEL_PROSE, "LICENSE")


def prompts() -> Leaf:
    """What language models are asked, word by word."""
    return Leaf("prompts", tuple(folder_files(PROMPTS)), root=PROMPTS)


def embedder(folder: str) -> Leaf:
    """A sentence-embedding model, by content."""
    root = str(Path(folder).expanduser())
    files = folder_files(root, _is_read)
    return Leaf("embedder", tuple(file for file in files if not _is_prose(file)), root=root)


def corpus(params: Params) -> Leaf:
    """The files of a local corpus; the lock of the embedded one; the revision of one on a data hub."""
    return _corpus_leaf("corpus", params.dataset.corpus, params.dataset.revision)


def training(params: Params) -> list[Leaf]:
    """What stage transformer reads: its corpus, and a tokenizer that it does not train itself."""
    own = params.transformer
    found = [_corpus_leaf("corpus of the model", own.corpus, own.corpus_revision)]
    if own.tokenizer == TRAINED:
        return found
    folder = Path(own.tokenizer).expanduser()
    if not folder.is_dir():
        return [*found, Leaf("tokenizer", version=own.tokenizer_revision or "")]
    files = filter(_is_small_part, folder_files(str(folder), _is_read))
    return [*found, Leaf("tokenizer", tuple(files), root=str(folder))]


def _corpus_leaf(what: str, name: str, revision: str | None) -> Leaf:
    path = Path(name).expanduser()
    if name == EMBEDDED_CORPUS:
        return Leaf(what, version=json.loads(EMBEDDED_LOCK.read_text(encoding="utf-8"))["sha256"])
    if not path.exists():
        return Leaf(what, version=revision or "")
    files, description = corpus_files.read_of(path)
    root = path if path.is_dir() else path.parent  # of one file, the name says what it holds
    return Leaf(what, tuple(map(str, files)), version=description, root=str(root))


def imported(folder: str) -> Leaf:
    """Vectors made elsewhere."""
    return Leaf("vectors", tuple(map(str, vector_files.of(Path(folder)))), root=folder)


def published(one: PublishedDictionary) -> Leaf:
    """A dictionary that was trained elsewhere: what it is read from; the revision of one on a model hub."""
    path = Path(one.path).expanduser() / (one.inside or "")
    if not Path(one.path).expanduser().exists():
        return Leaf("dictionary", version=one.revision or "")
    root = path if path.is_dir() else path.parent
    # its own name may say what it is: of sparsify, the place of its vectors
    return Leaf("dictionary", tuple(map(str, dictionary_files.of(path))), version=path.name, root=str(root))


def folder_files(folder: str, read: Callable[[Path], bool] = lambda file: True) -> list[str]:
    """Every file below `folder`, through links, sorted, without what is hidden.

    Raises BadInput where there is none, or a link to nothing stands for one that is `read`.
    """
    root = Path(folder)
    files = list(map(str, existing(visible_files(root), read))) if root.is_dir() else []
    if not files:
        raise BadInput(folder, "no files" if root.exists() else "no such folder", "a folder with files")
    return files


def check(params: Params) -> None:
    """Hold the settings against what lies here. Raises BadInput.

    A corpus without the column of its text; a layer or ratio that a local model cannot serve.
    """
    _check_corpora(params)
    _check_imported(params)
    config = model_config(params)
    if config is None or not grid.harvested_sites(params):
        return
    n_layers = layers_of(config)
    for name in grid.harvested_sites(params):
        site = sites.parse(name)
        if n_layers is not None and site.layer >= n_layers:
            raise BadInput("params.yaml: grid.sites", name, f"a layer from 0 to {n_layers - 1}: {params.model.name}")
        width, ratio = width_of(config, site.location), min(params.grid.ratios)
        if width is not None and round(ratio * width) < 1:
            raise BadInput("params.yaml: grid.ratios", f"{ratio:g}", f"at least {1 / width:g}: one feature of {width}")


def _check_imported(params: Params) -> None:
    """Evaluation, the last stage, reads held-out vectors; an import alone may do without."""
    for site in params.grid.sites:
        if site in params.activations.imported and not params.dataset.held_out_share:
            wanted = f"a share above 0: evaluation of {site} reads vectors that are held out"
            raise BadInput("params.yaml: dataset.held_out_share", "0", wanted)


def _check_corpora(params: Params) -> None:
    own, trained = params.dataset, params.transformer
    if not grid.harvested_sites(params):
        return
    if own.corpus != EMBEDDED_CORPUS:
        corpus_columns.check(Path(own.corpus).expanduser(), own.text_field, "params.yaml: dataset.text_field")
    if makes_model(params) and trained.corpus != EMBEDDED_CORPUS:
        place = "params.yaml: transformer.text_field"
        corpus_columns.check(Path(trained.corpus).expanduser(), trained.text_field, place)


def layers_of(config: dict[str, Any]) -> int | None:
    """The number of blocks, as far as the config says so."""
    return first_of(config, "num_hidden_layers", "n_layer", "num_layers")


def width_of(config: dict[str, Any], location: str) -> int | None:
    """The dimensions at `location`, as far as the config says so; what runs reads them from the model."""
    d_model = first_of(config, "hidden_size", "n_embd", "d_model")
    if location == "mlp":
        return first_of(config, "intermediate_size", "n_inner", "ffn_dim")
    if location == "attn" and (d_head := first_of(config, "head_dim")) is not None:
        return d_head * (first_of(config, "num_attention_heads") or 1)
    return d_model


def model_config(params: Params) -> dict[str, Any] | None:
    """The config of the model; None where it is on a hub. Raises BadInput for a folder without a readable one."""
    if makes_model(params):  # also again: what is there may be of other settings
        return {"num_hidden_layers": params.transformer.layers, "hidden_size": params.transformer.d_model}
    folder = Path(params.model.name).expanduser()
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


def first_of(config: dict[str, Any], *keys: str) -> int | None:
    """The first of these whole numbers that a config has: architectures name them differently, some list them."""
    return next((config[key] for key in keys if isinstance(config.get(key), int)), None)
