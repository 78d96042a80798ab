"""Dictionaries of interpretable features, from text and a language model.

from sparse_coding import load_dictionary

dictionary = load_dictionary("results/dictionaries/layer2_residual/tied_r4_l1-0.002_s0.safetensors")
codes = dictionary.encode(x)
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparse_coding.core.dictionary import Dictionary
    from sparse_coding.load import load_dictionary

__all__ = ["Dictionary", "load_dictionary"]


def __getattr__(name: str) -> object:
    # Imported when asked for: the Snakefile needs the settings, not torch.
    if name == "load_dictionary":
        from sparse_coding.load import load_dictionary

        return load_dictionary
    if name == "Dictionary":
        from sparse_coding.core.dictionary import Dictionary

        return Dictionary
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
