"""Places in a language model, by name: `layer2_residual`, and its control `random_layer2_residual`.

A pair of places is a site too: `layer2_mlpin_to_mlpout`, from what one holds to what the other does.
"""

import re
from dataclasses import dataclass, replace

from sparse_coding.errors import BadInput

LOCATIONS = ("residual", "mlp", "mlpout", "attn", "mlpin")
PAIRS = (("mlpin", "mlpout"),)
_PLACE = r"(?P<random>random_)?layer(?P<layer>0|[1-9]\d*)_(?P<location>[a-z]+)"
_NAME, _PAIR = re.compile(_PLACE), re.compile(rf"{_PLACE}_to_(?P<to>\w+)")
WANTED = f"layerN_{{{', '.join(LOCATIONS)}}} with N counted from 0, e.g. layer2_residual"
PAIR_WANTED = "two places of one layer of one model: layerN_mlpin_to_mlpout"


@dataclass(frozen=True)
class Site:
    """A place in a model: `location` of block `layer` (from 0); `random_weights` for the untrained control.

    to: of a pair, the location that is put together from `location`.
    """

    layer: int
    location: str
    random_weights: bool = False
    to: str | None = None

    @property
    def name(self) -> str:
        """What `parse` reads."""
        pair = f"_to_{self.to}" if self.to else ""
        return f"{'random_' if self.random_weights else ''}layer{self.layer}_{self.location}{pair}"

    @property
    def control(self) -> "Site":
        """The same place in the same model before any training."""
        return replace(self, random_weights=True)

    @property
    def trained(self) -> "Site":
        """The same place in the trained model."""
        return replace(self, random_weights=False)

    @property
    def places(self) -> tuple["Site", ...]:
        """The place, or both of a pair: what is encoded, then what is put together."""
        first = replace(self, to=None)
        return (first, replace(first, location=self.to)) if self.to else (first,)


def parse(name: str) -> Site:
    """The site that `name` means. Raises BadInput for anything else."""
    match = _PAIR.fullmatch(name)
    to = match["to"] if match else None
    if match and (match["location"], to) not in PAIRS:
        raise BadInput("site", repr(name), PAIR_WANTED)
    match = match or _NAME.fullmatch(name)
    if match is None or match["location"] not in LOCATIONS:
        raise BadInput("site", repr(name), WANTED)
    return Site(int(match["layer"]), match["location"], bool(match["random"]), to)


def is_pair(name: str) -> bool:
    """Whether a site is a pair of places, by its name alone."""
    return _PAIR.fullmatch(name) is not None


def places(name: str) -> tuple[str, ...]:
    """The names of what a site is of: its own, or those of both places of a pair. Raises as `parse`, of a pair."""
    return tuple(place.name for place in parse(name).places) if is_pair(name) else (name,)
