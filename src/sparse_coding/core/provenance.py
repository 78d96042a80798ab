"""What is known of a dictionary beside its numbers."""

from dataclasses import dataclass


@dataclass(frozen=True, eq=False, kw_only=True)
class Provenance:
    """Where a dictionary comes from and what was measured of it; None where that is not known.

    name, site, kind (`tied`, `topk`, `pca`, ...); control: what was held in its training (core.controls); variant: a
    row of `variants`; l0, fvu: on held-out vectors, as in the tables of stage evaluation; path: the file that it was
    read from.
    """

    name: str | None = None
    site: str | None = None
    kind: str | None = None
    control: str | None = None
    variant: str | None = None
    l0: float | None = None
    fvu: float | None = None
    path: str | None = None
