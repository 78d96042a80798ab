"""The language model that is analysed: its residual stream, its logits, and its logits with a part replaced.

The one place that loads such a model. A local folder and a model of the hub take the same path, and so does the
same architecture with fresh random weights: a TransformerBridge of transformer_lens around the transformers model.
"""

import copy
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from jaxtyping import Float, Int
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from sparse_coding import params
from sparse_coding.errors import BadInput
from sparse_coding.sites import Site

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge

_WANTED = "a folder in Hugging Face format, or the name of a model on the hub (which needs a network the first time)"
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


class _EnoughError(Exception):
    """The last block that is wanted has run."""


class LanguageModel:
    """A causal language model in float32, for inference."""

    def __init__(self, bridge: "TransformerBridge", tokenizer: PreTrainedTokenizerBase, name: str) -> None:
        self._bridge = bridge
        self.name = name
        self.tokenizer = tokenizer
        self.n_layers: int = bridge.cfg.n_layers
        self.d_model: int = bridge.cfg.d_model
        self.n_vocabulary: int = bridge.cfg.d_vocab

    @classmethod
    def load(cls, model: params.Model, random_seed: int | None = None) -> "LanguageModel":
        """The model that `model` names; with `random_seed`, its architecture with freshly initialised weights.

        A local folder is read without any use of the network. Raises BadInput where there is no such model, or it
        has no tokenizer, or its weights are missing, incomplete or cut short.
        """
        # Seconds of import, which a stage that only wants the tokenizer should not pay.
        from transformer_lens.model_bridge import TransformerBridge

        tokenizer = tokenizer_of(model)
        refusing = _refusing(model, "weights that cannot be loaded", "whole weights in safetensors format")
        with _quiet(), refusing, torch.random.fork_rng(devices=[]):
            bridge = TransformerBridge.boot_transformers(
                _source(model),
                device="cpu",
                dtype=torch.float32,
                revision=model.revision,
                trust_remote_code=model.trust_remote_code,
                tokenizer=copy.deepcopy(tokenizer),  # the bridge invents the special tokens that it misses
                model_class=_Weights(model, random_seed),
            )
        return cls(bridge.eval(), tokenizer, model.name)

    def twin(self) -> "LanguageModel":
        """The same weights, not copied, with hooks of its own: for another thread."""
        shared = [*self._bridge.parameters(), *self._bridge.buffers()]
        return copy.deepcopy(self, {id(tensor): tensor for tensor in shared})

    @property
    def bos(self) -> int | None:
        """The id of the beginning-of-sequence token, if the tokenizer has one."""
        return self.tokenizer.bos_token_id

    def check(self, site: Site) -> None:
        """Raises BadInput where the model has no such layer."""
        if site.layer >= self.n_layers:
            wanted = f"a layer from 0 to {self.n_layers - 1}: {self.name} has {self.n_layers} layers"
            raise BadInput(f"site {site.name}", f"layer {site.layer}", wanted)

    @torch.inference_mode()
    def harvest(
        self, tokens: Int[Tensor, "batch token"], sites: list[Site]
    ) -> dict[str, Float[Tensor, "batch token d_model"]]:
        """The residual stream after the block of each site, by the site's name, in one forward pass.

        Nothing is computed beyond the last block needed. Raises BadInput for a layer that the model lacks.
        """
        for site in sites:
            self.check(site)
        found: dict[int, Tensor] = {}
        last = max(site.layer for site in sites)

        def keep(layer: int) -> Callable[..., None]:
            def hook(residual: Tensor, hook: Any) -> None:
                found[layer] = residual
                if layer == last:
                    raise _EnoughError

            return hook

        hooks = [(_output_of(layer), keep(layer)) for layer in {site.layer for site in sites}]
        # Not stop_at_layer: after the last block it would still compute the logits, most of the cost.
        with self._bridge.hooks(fwd_hooks=hooks), suppress(_EnoughError):
            self._bridge(tokens, return_type=None)
        return {site.name: found[site.layer] for site in sites}

    @torch.inference_mode()
    def logits(self, tokens: Int[Tensor, "batch token"]) -> Float[Tensor, "batch token vocabulary"]:
        """Logits of the next token, at each token."""
        return self._bridge(tokens, return_type="logits")

    @torch.inference_mode()
    def spliced_logits(
        self,
        tokens: Int[Tensor, "batch token"],
        site: Site,
        replace: Callable[[Float[Tensor, "batch token d_model"]], Float[Tensor, "batch token d_model"]],
    ) -> Float[Tensor, "batch token vocabulary"]:
        """Logits when the residual stream at `site` is what `replace` makes of it.

        `replace` sees every position, BOS too, and must give all of them. Raises BadInput as `harvest`.
        """
        self.check(site)

        def hook(residual: Tensor, hook: Any) -> Tensor:
            return replace(residual)

        with self._bridge.hooks(fwd_hooks=[(_output_of(site.layer), hook)]):
            return self._bridge(tokens, return_type="logits")


def _output_of(layer: int) -> str:
    return f"blocks.{layer}.hook_out"


def tokenizer_of(model: params.Model) -> PreTrainedTokenizerBase:
    """The tokenizer of the model. Raises BadInput where there is no such model, or it has no tokenizer."""
    source = _source(model)
    with _quiet(), _refusing(model, "no tokenizer that can be loaded", "a tokenizer beside the weights"):
        tokenizer = AutoTokenizer.from_pretrained(
            source,
            revision=model.revision,
            trust_remote_code=model.trust_remote_code,
            local_files_only=Path(source).is_dir(),
        )
        # Where the files are missing, transformers may make up a tokenizer from the kind of model.
        if len(set(tokenizer.get_vocab().values()) - set(tokenizer.all_special_ids)) < 2:
            raise ValueError("it has no tokens of text")
    return tokenizer


class _Weights:
    """Stands where TransformerBridge takes a model class: gives whole weights, or fresh ones."""

    def __init__(self, model: params.Model, random_seed: int | None) -> None:
        self._model, self._seed = model, random_seed

    def from_pretrained(self, source: str, *, config: Any, torch_dtype: torch.dtype, **options: Any) -> Any:
        config.output_attentions = False  # asked for by the bridge for its hooks, which nobody uses here
        config.use_cache = False
        if self._seed is not None:
            allowed = {name: options[name] for name in ("attn_implementation", "trust_remote_code") if name in options}
            torch.manual_seed(self._seed)
            return AutoModelForCausalLM.from_config(config, dtype=torch_dtype, **allowed)
        options |= {"use_safetensors": True, "local_files_only": Path(source).is_dir(), "output_loading_info": True}
        loaded: Any = AutoModelForCausalLM.from_pretrained(source, config=config, dtype=torch_dtype, **options)
        weights, info = loaded
        if info["missing_keys"]:  # which transformers would fill with random numbers
            missing = ", ".join(sorted(info["missing_keys"])[:3])
            raise BadInput(
                f"model {self._model.name}",
                f"weights without {len(info['missing_keys'])} of the model's tensors ({missing}, ...)",
                "whole weights",
            )
        return weights


def _source(model: params.Model) -> str:
    """A folder's whole path, or a hub name. Raises BadInput for what can be neither, or is a folder without model."""
    folder = Path(model.name).expanduser()
    place = f"model {model.name}"
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise BadInput(place, "a folder without config.json", "a language model in Hugging Face format")
        return str(folder.resolve())
    if not _HUB_NAME.fullmatch(model.name):
        raise BadInput(place, "no such folder", _WANTED)
    return model.name


@contextmanager
def _refusing(model: params.Model, found: str, wanted: str) -> Iterator[None]:
    """Turn the many errors of loading into BadInput."""
    place = f"model {model.name}"
    try:
        yield
    except (
        OSError,
        ValueError,
        KeyError,
        RuntimeError,
        SafetensorError,
        ImportError,
        AttributeError,
        TypeError,
    ) as error:
        reason = " ".join(str(error).split())[:300]
        if not Path(model.name).expanduser().is_dir() and not _on_hub(model):
            raise BadInput(
                place, f"no such folder, and no such model on the hub or no way to it ({reason})", _WANTED
            ) from error
        raise BadInput(place, f"{found} ({reason})", wanted) from error


def _on_hub(model: params.Model) -> bool:
    try:
        AutoConfig.from_pretrained(model.name, revision=model.revision, trust_remote_code=model.trust_remote_code)
    except Exception:
        return False
    return True


@contextmanager
def _quiet() -> Iterator[None]:
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
