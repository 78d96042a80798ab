"""Where the features fire that are nearest to the scored ones: text for hard negatives."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Int

from sparse_coding.core.finder import largest_codes
from sparse_coding.io import dictionaries as dictionary_files
from sparse_coding.io.activations import Split
from sparse_coding.portions.encoding import ENCODE_ROWS

NEIGHBOURS = 10  # of each feature, of highest cosine between decoder directions


def near(
    path: Path, fragments: Split, features: Int[np.ndarray, " chosen"], tokens: int
) -> Bool[np.ndarray, "chosen neighbour fragment"]:
    """In which fragments each neighbour of each feature fires, the nearest first; equal cosines by number.

    tokens: of a fragment. A dictionary of fewer features has fewer neighbours.
    """
    dictionary = dictionary_files.load(path)
    neighbours = nearest(dictionary.atoms.numpy(), features, NEIGHBOURS)
    wanted, places = np.unique(neighbours, return_inverse=True)
    n_fragments, some = fragments.n_rows // tokens, max(1, ENCODE_ROWS // tokens)
    fires = np.zeros((len(wanted), n_fragments), bool)
    for start in range(0, n_fragments, some):
        stop = min(start + some, n_fragments)
        x = fragments.read(start * tokens, stop * tokens)
        codes = dictionary.encode_features(x, torch.from_numpy(wanted), largest_codes)
        fires[:, start:stop] = (codes > 0).T.reshape(len(wanted), -1, tokens).any(dim=2).numpy()
    return fires[places.reshape(neighbours.shape)]


def nearest(atoms: np.ndarray, features: Int[np.ndarray, " chosen"], n: int) -> Int[np.ndarray, "chosen neighbour"]:
    """The `n` other features with the highest cosines; atoms: [feature, dimension]."""
    lengths = np.linalg.norm(atoms, axis=1, keepdims=True)
    unit = atoms / np.where(lengths > 0, lengths, 1)
    cosines = unit[features] @ unit.T
    cosines[np.arange(len(features)), features] = -np.inf
    return np.argsort(-cosines, axis=1, kind="stable")[:, : min(n, len(atoms) - 1)]
