"""From the name of a language model to its network and its tokenizer, or one error that says what is wrong.

A local folder and a model of the hub take the same path, and so does the same architecture with fresh random weights.
A TransformerBridge of transformer_lens says where the blocks of an architecture are and mends what must be mended
after loading.
"""

import copy
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import dispatch_model, infer_auto_device_map
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_FOR_MASKED_LM_MAPPING_NAMES

from sparse_coding.errors import BadInput
from sparse_coding.files.model_files import longest_context, names_a_head, refuse_pointers
from sparse_coding.lm.places import Place, places
from sparse_coding.lm.refusing import WANTED, quiet, refusing, refusing_unknown
from sparse_coding.settings import params

_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True, eq=False)
class Loaded:
    """A network, ready for inference, and what is known of it.

    blocks: path of the list of blocks in `network`; places: where in a block the locations of a site are; n_context:
    most tokens of a pass, None where the configuration does not say; has_head: false where the weights came without
    one, as those of most sentence encoders do, so that the logits of `network` mean nothing.
    """

    network: PreTrainedModel
    blocks: str
    places: dict[str, Place]
    n_layers: int
    n_vocabulary: int
    n_context: int | None
    tokenizer: PreTrainedTokenizerBase
    has_head: bool


def load(model: params.Model, random_seed: int | None = None) -> Loaded:
    """The model that `model` names; with `random_seed`, its architecture with freshly initialised weights.

    A local folder is read without any use of the network. Weights may lack the head where the configuration names no
    class that has one. Raises BadInput where there is no such model, or it has no tokenizer, or its weights are
    missing, incomplete or cut short.
    """
    # Seconds of import, which a stage that only wants the tokenizer should not pay.
    from transformer_lens.model_bridge import TransformerBridge

    tokenizer = tokenizer_of(model)
    refused = refusing(model, "weights that cannot be loaded", "whole weights in safetensors format")
    with quiet(), refused, refusing_unknown(model), torch.random.fork_rng(devices=[]):
        named, known = _classes(model)
        weights = _Weights(model, random_seed, whole=any(map(names_a_head, named)))
        bridge = TransformerBridge.boot_transformers(
            _source(model),
            {"architectures": [*named, *known]},
            device="cpu",
            dtype=getattr(torch, model.dtype),
            revision=model.at,
            trust_remote_code=model.trust_remote_code,
            tokenizer=copy.deepcopy(tokenizer),  # the bridge invents the special tokens that it misses
            model_class=weights,
        )
        network = weights.network
        if bridge.cfg.attn_implementation is None:  # else the architecture needs what it has
            _attend_fast(network)
        bridge.adapter.prepare_model(network)
    with refusing(model, "a device map that does not fit", "module -> device for every module, or auto"):
        network = _placed(network.eval(), model)
    block = bridge.adapter.get_component_mapping()["blocks"]
    longest = longest_context(network.config.get_text_config().to_dict())
    sizes = bridge.cfg.n_layers, bridge.cfg.d_vocab, None if longest is None else longest[1]
    return Loaded(network, str(block.name), places(block), *sizes, tokenizer, weights.has_head)


def _classes(model: params.Model) -> tuple[list[str], list[str]]:
    """The classes that the configuration names, and others of its kind with a head, by which a bridge may know it."""
    config = AutoConfig.from_pretrained(_source(model), **_found_at(model))
    named = list(config.architectures or ())
    kinds = (MODEL_FOR_MASKED_LM_MAPPING_NAMES, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    others = [kind[config.model_type] for kind in kinds if config.model_type in kind]
    return named, [name for name in others if name not in named]


def _found_at(model: params.Model) -> dict[str, Any]:
    """Where and how transformers is to read the files of a model."""
    return {
        "revision": model.at,
        "trust_remote_code": model.trust_remote_code,
        "local_files_only": Path(_source(model)).is_dir(),
    }


def _placed(network: PreTrainedModel, model: params.Model) -> PreTrainedModel:
    """The network on the device or devices that are asked for."""
    if model.device_map is not None:
        indivisible = list(network._no_split_modules or ())
        devices = infer_auto_device_map(network, no_split_module_classes=indivisible)
        return dispatch_model(network, devices if model.device_map == "auto" else model.device_map)
    if model.device == "cuda" and not torch.cuda.is_available():
        raise BadInput("model.device", "cuda, and no GPU that torch sees", "cpu or auto")
    use_gpu = model.device != "cpu" and torch.cuda.is_available()
    return network.to("cuda") if use_gpu else network  # type: ignore[arg-type]


def sharing_weights(network: PreTrainedModel) -> PreTrainedModel:
    """A copy of the modules around the same parameters and buffers."""
    return copy.deepcopy(network, {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())})


def _attend_fast(network: PreTrainedModel) -> None:
    """Fused attention instead of the eager kind, which the bridge asks for and which holds every pattern in memory.

    Not where attention is capped (Gemma 2): the fused kind leaves the cap out without a word.
    """
    if not any(getattr(config, "attn_logit_softcapping", None) for config in _configs(network)):
        with suppress(ValueError):  # an architecture without it
            network.set_attn_implementation("sdpa")


def _configs(network: PreTrainedModel) -> list[Any]:
    return [module.config for module in network.modules() if isinstance(module, PreTrainedModel)]


def tokenizer_of(model: params.Model) -> PreTrainedTokenizerBase:
    """The tokenizer of the model. Raises BadInput where there is no such model, or it has no tokenizer."""
    source = _source(model)
    with quiet(), refusing(model, "no tokenizer that can be loaded", "a tokenizer beside the weights"):
        tokenizer = AutoTokenizer.from_pretrained(source, **_found_at(model))
        # Where the files are missing, transformers may make up a tokenizer from the kind of model.
        if len(set(tokenizer.get_vocab().values()) - set(tokenizer.all_special_ids)) < 2:
            raise ValueError("it has no tokens of text")
    return tokenizer


class _Weights:
    """Stands where TransformerBridge takes a model class: gives whole weights, or fresh ones.

    The bridge puts parts of its own into the model that it gets; `network` is the same model without them. Only
    unless `whole` may they lack the head, and `has_head` says whether they have it.
    """

    network: PreTrainedModel
    has_head: bool = True

    def __init__(self, model: params.Model, random_seed: int | None, whole: bool) -> None:
        self._model, self._seed, self._whole = model, random_seed, whole

    def from_pretrained(self, source: str, **options: Any) -> Any:
        """The model for the bridge to change."""
        self.network = self._loaded(source, **options)
        return sharing_weights(self.network)

    def _loaded(self, source: str, *, config: Any, torch_dtype: torch.dtype, **options: Any) -> Any:
        config.output_attentions = False  # asked for by the bridge for its hooks, which nobody uses here
        config.use_cache = False
        if self._seed is not None:
            allowed = {name: options[name] for name in ("attn_implementation", "trust_remote_code") if name in options}
            torch.manual_seed(self._seed)
            return AutoModelForCausalLM.from_config(config, dtype=torch_dtype, **allowed)
        options |= {"use_safetensors": True, "local_files_only": Path(source).is_dir(), "output_loading_info": True}
        loaded: Any = AutoModelForCausalLM.from_pretrained(source, config=config, dtype=torch_dtype, **options)
        weights, info = loaded
        missing = set(info["missing_keys"])  # which transformers would fill with random numbers
        if not missing:
            return weights
        if self._whole or not _is_head(weights, missing):
            names = ", ".join(sorted(missing)[:3])
            found = f"weights without {len(missing)} of the model's tensors ({names}, ...)"
            raise BadInput(f"model {self._model.name}", found, "whole weights")
        self.has_head = False
        return weights


def _is_head(network: PreTrainedModel, names: set[str]) -> bool:
    """Whether these tensors are the head, all of it: a head of which some is there is a damaged one."""
    body = f"{network.base_model_prefix}."
    head = {name for name, _ in network.named_parameters() if not name.startswith(body)}  # shared ones are the body's
    return network.base_model is not network and head <= names and not any(name.startswith(body) for name in names)


def _source(model: params.Model) -> str:
    """A folder's whole path, or a hub name. Raises BadInput for what can be neither, or is a folder without model.

    Or one with a pointer of git-lfs in the place of a file.
    """
    folder = Path(model.name).expanduser()
    place = f"model {model.name}"
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise BadInput(place, "a folder without config.json", "a language model in Hugging Face format")
        refuse_pointers(folder)
        return str(folder.resolve())
    if not _HUB_NAME.fullmatch(model.name):
        raise BadInput(place, "no such folder", WANTED)
    return model.name
