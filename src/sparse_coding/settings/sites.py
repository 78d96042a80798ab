"""Places in a language model, by name: `layer2_residual`, and its control `random_layer2_residual`."""

import re
from dataclasses import dataclass

from sparse_coding.errors import BadInput

LOCATIONS = ("residual", "mlp", "mlpout", "attn")
_NAME = re.compile(r"(?P<random>random_)?layer(?P<layer>0|[1-9]\d*)_(?P<location>[a-z]+)")
WANTED = f"layerN_{{{', '.join(LOCATIONS)}}} with N counted from 0, e.g. layer2_residual"


@dataclass(frozen=True)
class Site:
    """A place in a model: `location` of block `layer` (from 0); `random_weights` for the untrained control."""

    layer: int
    location: str
    random_weights: bool = False

    @property
    def name(self) -> str:
        """What `parse` reads."""
        return f"{'random_' if self.random_weights else ''}layer{self.layer}_{self.location}"

    @property
    def control(self) -> "Site":
        """The same place in the same model before any training."""
        return Site(self.layer, self.location, random_weights=True)

    @property
    def trained(self) -> "Site":
        """The same place in the trained model."""
        return Site(self.layer, self.location)


def parse(name: str) -> Site:
    """The site that `name` means. Raises BadInput for anything else."""
    match = _NAME.fullmatch(name)
    if match is None or match["location"] not in LOCATIONS:
        raise BadInput("site", repr(name), WANTED)
    return Site(int(match["layer"]), match["location"], bool(match["random"]))
