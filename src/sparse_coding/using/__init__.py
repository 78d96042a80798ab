"""What one does with a dictionary in hand: look at its features, and change them in a model.

from sparse_coding.using import features_of, splice

features_of(dictionary, "a text")
with splice(model, "layer2_residual", dictionary):
    ...
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparse_coding.using.edits import ablate, clamp, splice, steer
    from sparse_coding.using.looking import features_of, logit_lens, nearest, top_texts, top_tokens

__all__ = ["ablate", "clamp", "features_of", "logit_lens", "nearest", "splice", "steer", "top_texts", "top_tokens"]
_EDITS = ("ablate", "clamp", "splice", "steer")


def __getattr__(name: str) -> object:
    # Imported when asked for: torch and transformers take seconds.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{'edits' if name in _EDITS else 'looking'}"), name)
