"""Parts that some kinds of dictionary play in what is compared.

Apart from the rows of `methods`, which reach a step as settings: these are a part of its code.
"""

REFERENCE = "random"  # whose scores those of others are held against
MAP = "linear_map"  # of a pair of places: whole, a level that others are held against
LINEAR = "pca"  # against the FVU of whose top-k variants that of others is held
