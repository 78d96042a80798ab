"""The fragments of the corpus on which each feature is strongest, of all features at once."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from sparse_coding.core.dictionary import Dictionary
from sparse_coding.core.finder import largest_codes
from sparse_coding.io.activations import Split
from sparse_coding.publishing.sparsity import rows_at_a_time

KEPT = 2**26  # codes that are kept at a time: 256 MiB


@dataclass(frozen=True, eq=False)
class TopFragments:
    """Of features `first`, `first` + 1, ...: fragments with their largest codes, the strongest first; of equal ones
    that which comes first in the corpus. Where a feature has fewer, those that are left have codes of 0."""

    first: int
    fragment: Int[Tensor, "feature rank"]
    codes: Float[Tensor, "feature rank token"]


def strongest(
    dictionary: Dictionary, vectors: Split, fragment_tokens: int, n: int, at_once: int
) -> Iterator[TopFragments]:
    """Of each feature the `n` fragments in `vectors`, which has `fragment_tokens` rows for each, with the largest code.

    In parts of `at_once` features. One pass over the vectors serves as many of these as there is room for: KEPT.
    Raises as `Split.read`.
    """
    room = max(KEPT // (n * fragment_tokens) // at_once, 1) * at_once
    for first in range(0, dictionary.n_feat, room):
        features = torch.arange(first, min(first + room, dictionary.n_feat))
        whole = _pass(dictionary, vectors, fragment_tokens, n, features)
        for start in range(0, len(features), at_once):
            part = slice(start, start + at_once)
            yield TopFragments(first + start, whole.fragment[part], whole.codes[part])


def _pass(dictionary: Dictionary, vectors: Split, length: int, n: int, features: Tensor) -> TopFragments:
    """One over all vectors, some fragments at a time; only features that have found a stronger one are changed."""
    n_feat, n_fragments = len(features), vectors.n_rows // length
    n = min(n, n_fragments)
    fragment = torch.zeros(n_feat, n, dtype=torch.int64)
    codes, peaks = torch.zeros(n_feat, n, length), torch.zeros(n_feat, n)
    step = max(rows_at_a_time(dictionary.n_feat) // length, 1)
    label = f"fragments, features {int(features[0])} to {int(features[-1])}"
    for start in tqdm(range(0, n_fragments, step), desc=label, unit="part", delay=2):
        stop = min(start + step, n_fragments)
        rows = vectors.read(start * length, stop * length)[:, : dictionary.d_in]
        found = dictionary.encode_features(rows, features, largest_codes).reshape(stop - start, length, n_feat)
        changed = (found.amax(dim=(0, 1)) > peaks[:, -1]).nonzero()[:, 0]
        new = found[:, :, changed].permute(2, 0, 1)
        both = torch.cat([peaks[changed], new.amax(dim=2)], dim=1)
        order = both.argsort(dim=1, descending=True, stable=True)[:, :n]
        numbers = torch.arange(start, stop).expand(len(changed), -1)
        fragment[changed] = torch.cat([fragment[changed], numbers], dim=1).gather(1, order)
        both_codes = torch.cat([codes[changed], new], dim=1)
        codes[changed] = both_codes.gather(1, order[:, :, None].expand(-1, -1, length))
        peaks[changed] = both.gather(1, order)
    return TopFragments(int(features[0]), fragment, codes)
