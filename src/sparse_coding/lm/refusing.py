"""The many errors of loading a language model, each as one line that says what is wrong."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import transformers
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError

from sparse_coding.errors import BadInput
from sparse_coding.settings import params

WANTED = "a folder in Hugging Face format, or the name of a model on the hub (which needs a network the first time)"
_ERRORS = (
    OSError,
    ValueError,
    KeyError,
    RuntimeError,
    SafetensorError,
    ImportError,
    AttributeError,
    TypeError,
)


@contextmanager
def refusing(model: params.Model, found: str, wanted: str) -> Iterator[None]:
    """Raise BadInput for what goes wrong in the block: what the hub says of the model, else `found` and `wanted`."""
    place = f"model {model.name}"
    try:
        yield
    except _ERRORS as error:
        if not Path(model.name).expanduser().is_dir() and (said := _hub_says(model)) is not None:
            raise BadInput(place, *said) from error
        raise BadInput(place, f"{found} ({_line(error)})", wanted) from error


@contextmanager
def refusing_unknown(model: params.Model) -> Iterator[None]:
    """Raise BadInput where TransformerBridge says that it does not know the architecture, and names all it knows."""
    try:
        yield
    except ValueError as error:
        _, unknown, named = str(error).partition("Config architectures: ")
        if not unknown:
            raise
        found = f"an architecture that TransformerBridge of transformer_lens does not know ({_line(named)})"
        raise BadInput(f"model {model.name}", found, "a causal model, BERT or RoBERTa that it knows") from error


def _hub_says(model: params.Model) -> tuple[str, str] | None:
    """What is found and what is wanted where the hub does not give the model; None where it does."""
    revision = model.at or "main"
    try:
        hf_hub_download(model.name, "config.json", revision=revision)
    except GatedRepoError:
        return "a gated model", "its terms accepted on the hub, and a token of that account in HF_TOKEN"
    except RevisionNotFoundError:
        return f"no revision {revision} on the hub", "a branch, tag or commit of this model"
    except RepositoryNotFoundError:
        return "no such folder, and no such model on the hub, or a private one", WANTED
    except LocalEntryNotFoundError as error:
        return f"no such folder, not in the hub's cache at {revision}, no way to the hub ({_line(error)})", WANTED
    except EntryNotFoundError:
        return f"no config.json at revision {revision}", "a language model in Hugging Face format"
    except _ERRORS as error:
        return f"no such folder, and no answer from the hub ({_line(error)})", WANTED
    return None


def _line(error: Exception | str) -> str:
    return " ".join(str(error).split())[:300]


@contextmanager
def quiet() -> Iterator[None]:
    """Loading without progress bars and without the libraries' advice."""
    root, verbosity = logging.root.manager.disable, transformers.logging.get_verbosity()
    had_bars = transformers.logging.is_progress_bar_enabled()
    transformers.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(root)
        transformers.logging.set_verbosity(verbosity)
        if had_bars:
            transformers.logging.enable_progress_bar()
