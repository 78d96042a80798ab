"""Which settings are paths of something that is known by its content, which may be moved and makes nothing stale.

What lies there is a leaf (outside.py): its names below that path, and its bytes.
"""

from pathlib import Path

from sparse_coding.files.model_files import WEIGHTS
from sparse_coding.settings.params.transformer import TRAINED

EMBEDDED_CORPUS = "pydocs"
NO_PATHS = (EMBEDDED_CORPUS, TRAINED)  # also where something of that name lies here
WEIGHT_ENDINGS = (".safetensors", ".safetensors.index.json", ".bin", ".pt", ".pth")


def by_content(value: object, place: object) -> bool:
    """Whether a value of a setting is such a path. place: what params.section.setting says of it.

    A name on a hub is none, nor is a model that is made here: its weights are an artifact, known by their path.
    """
    if place is None or not isinstance(value, str) or value in NO_PATHS:
        return False
    path = Path(value).expanduser()
    if place != "model":
        return path.exists()
    is_made_here = (path / f"{WEIGHTS}.stamp").exists()
    return path.is_dir() and not is_made_here and any(each.name.endswith(WEIGHT_ENDINGS) for each in path.iterdir())
