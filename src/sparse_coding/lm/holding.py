"""Where a site is in a model that somebody holds: one of transformers, or a TransformerBridge around one."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from transformers import PreTrainedModel

from sparse_coding.errors import BadInput
from sparse_coding.lm.places import places
from sparse_coding.settings import sites
from sparse_coding.settings.sites import Site

WANTED = "a model of transformers, or a TransformerBridge of transformer_lens"


@dataclass(frozen=True)
class Spot:
    """A module, and which side of it a site is."""

    module: nn.Module
    side: Literal["input", "output"]


@dataclass(frozen=True)
class Held:
    """A model: its network, through which tokens go, and what is known of the parts of such models."""

    network: nn.Module
    mapping: Any

    def spots(self, site: Site) -> list[Spot]:
        """One, or both of a pair. Raises BadInput for a layer or a location that is not there."""
        return [self._spot(place) for place in site.places]

    def _spot(self, site: Site) -> Spot:
        block = self.mapping["blocks"]
        known = places(block)
        if site.location not in known:
            raise BadInput(f"site {site.name}", f"no {site.location} in this model", f"one of {', '.join(known)}")
        place = known[site.location]
        path = ".".join(filter(None, (block.name, str(site.layer), place.path)))
        try:
            return Spot(self.network.get_submodule(path), place.side)
        except AttributeError:
            raise BadInput(f"site {site.name}", f"no {path} in this model", "a layer that it has") from None

    def final_norm(self) -> nn.Module | None:
        """What stands before the unembedding, if there is such a part."""
        part = self.mapping.get("ln_final")
        return None if part is None or part.name is None else self.network.get_submodule(part.name)


def held(model: object) -> Held:
    """What can be said of a model. Raises BadInput for another object, and for a kind that transformer_lens lacks."""
    # Seconds of import.
    from transformer_lens.model_bridge import TransformerBridge

    if isinstance(model, TransformerBridge):
        return Held(model.original_model, model.adapter.get_component_mapping())
    if not isinstance(model, PreTrainedModel):
        raise BadInput("model", f"a {type(model).__name__}", WANTED)
    return Held(model, _mapping(model))


def _mapping(network: PreTrainedModel) -> Any:
    from transformer_lens.factories.architecture_adapter_factory import ArchitectureAdapterFactory
    from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_config_from_hf

    name = type(network).__name__
    try:
        config = build_bridge_config_from_hf(network.config, name, name, torch.float32)
        adapter: Any = ArchitectureAdapterFactory.select_architecture_adapter(config)
    except (ValueError, KeyError, AttributeError) as error:
        found = f"{name}, which transformer_lens does not know ({' '.join(str(error).split())[:200]})"
        raise BadInput("model", found, WANTED) from None
    return adapter.get_component_mapping()


def site_of(given: str | Site | None, told: str | None) -> Site:
    """The site that is meant: what is given, or what a dictionary says of itself."""
    if isinstance(given, Site):
        return given
    name = given or told
    if name is None:
        raise BadInput("site", "none, and a dictionary that names none", "its name, as layer2_residual")
    return sites.parse(name)
