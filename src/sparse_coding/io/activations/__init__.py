"""Activations on disk: one HDF5 file a site, whole or not there at all.

Groups `train`, `held_out` and `fragments` hold `vectors` [row, d_act] beside the `token`, `document` and
`position` [row] that each vector came from. Datasets are contiguous and not compressed: compression saves nothing
on activations, and what is contiguous can be memory-mapped. Each `block_rows` rows have a checksum, `checksum`
[block]; all that remains, the checksums among it, is under one `seal`.
"""

from sparse_coding.io.activations.layout import Header, SplitName
from sparse_coding.io.activations.pairs import SideBySide, SiteVectors, open_site
from sparse_coding.io.activations.reader import ActivationsFile, Split, open_activations
from sparse_coding.io.activations.writer import ActivationsWriter

__all__ = [
    "ActivationsFile",
    "ActivationsWriter",
    "Header",
    "SideBySide",
    "SiteVectors",
    "Split",
    "SplitName",
    "open_activations",
    "open_site",
]
