"""The codes of chosen features on the fragments."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int

from sparse_coding.core.dictionary import Dictionary
from sparse_coding.core.finder import largest_codes
from sparse_coding.errors import BadInput
from sparse_coding.interp.fragments import Choice, choose_features
from sparse_coding.io import dictionaries as dictionary_files
from sparse_coding.io.activations import Split
from sparse_coding.io.tokens import Tokens
from sparse_coding.portions.encoding import ENCODE_ROWS


def fragment_ids(path: Path, fragments: Split, text: Tokens) -> Int[np.ndarray, "fragment token"]:
    """Token ids without BOS. Raises BadInput where the rows of the activations are not these, in this order."""
    ids = text.fragments[:, text.fragments.shape[1] - text.fragment_tokens :]
    if not np.array_equal(fragments.token, ids.ravel()):
        raise BadInput(f"{path}: fragments", "other tokens", "the tokens of the token file; make the activations again")
    return ids


def chosen_codes(
    path: Path, fragments: Split, d_act: int, wanted: int, seed: int, choice: Choice = "sample"
) -> tuple[Int[np.ndarray, " chosen"], Float[np.ndarray, "chosen row"]]:
    """The features of a dictionary to score, and their codes on every vector of the fragments.

    Raises BadInput for a dictionary of another width.
    """
    dictionary = dictionary_files.load(path)
    if dictionary.d_act != d_act:
        raise BadInput(path, f"d_act {dictionary.d_act}", f"{d_act}, as the activations have")
    features = choose_features(dictionary.n_feat, wanted, seed, choice)
    return features, _encode(dictionary, fragments, features)


def _encode(
    dictionary: Dictionary, fragments: Split, features: Int[np.ndarray, " chosen"]
) -> Float[np.ndarray, "chosen row"]:
    codes, chosen = np.empty((len(features), fragments.n_rows), np.float32), torch.from_numpy(features)
    for start in range(0, fragments.n_rows, ENCODE_ROWS):
        stop = min(start + ENCODE_ROWS, fragments.n_rows)
        codes[:, start:stop] = dictionary.encode_features(fragments.read(start, stop), chosen, largest_codes).numpy().T
    return codes
