"""How far what was written is from what was read: both computed in float64 on the same seeded rows.

Rows are ordinary ones around the centre, tiny and offset ones, a row of zeros, rows on both sides of where a feature
begins to fire, and large ones; ordinary ones are as large as makes a moderate number of codes. Differences are relative
to the largest value, that of large rows or that of the others. A code that one has and the other has not counts as a
flip where it is larger than the tolerance: smaller ones are ties with a border.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding import atomic
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput
from sparse_coding.formats.raw import Raw

NAME = "certificate.json"
TOLERANCE = 1e-5  # of the largest value; float32 in and out
SEED, ORDINARY, LARGE, TINY, OFFSET = 20260101, 224, 24, 7, 64
SIZES = [10.0**power for power in range(-4, 5)]
BORDERS, FAR, HALVINGS = 256, 1e5, 80  # features that are looked at, and how their borders are found


@dataclass(frozen=True)
class Computes:
    """What a dictionary computes, in float64: codes in our units, and x_hat. directions: in which features fire."""

    centre: Float[Tensor, " d_in"]
    directions: Float[Tensor, "n_feat d_in"]
    codes: Callable[[Tensor], Tensor]
    x_hat: Callable[[Tensor], Tensor]

    @classmethod
    def of_raw(cls, raw: Raw) -> "Computes":
        """By the formulas of the other library."""
        centre = torch.zeros(raw.encoder.shape[1], dtype=torch.float64) if raw.is_pair else raw.out_bias
        directions = torch.cat([raw.encoder, -raw.encoder]) if raw.activation == "abstopk" else raw.encoder
        return cls(centre, directions, lambda x: raw.as_ours(raw.encode(x)), raw.reconstruct)

    @classmethod
    def of_ours(cls, dictionary: Dictionary) -> "Computes":
        """By our own class."""
        wide = dictionary.to(torch.float64)
        directions = wide.encoder if wide.hidden is None else wide.encoder @ wide.hidden
        return cls(wide.centre, directions, wide.encode, wide.reconstruct)


@dataclass(frozen=True)
class Compared:
    """codes, x_hat: the largest differences, as shares of the largest value. l0: mean number of codes, of rows that are
    not large."""

    rows: int
    seed: int
    l0: float
    codes: float
    x_hat: float
    flips: int
    tolerance: float = TOLERANCE

    @property
    def holds(self) -> bool:
        """Whether they compute the same."""
        return max(self.codes, self.x_hat) <= self.tolerance and not self.flips


def rows_for(given: Computes, tolerance: float) -> tuple[Float[Tensor, "row d_in"], Float[Tensor, "large d_in"]]:
    """The same for the same dictionary, on every machine; large ones by themselves."""
    generator = torch.Generator().manual_seed(SEED)
    n_feat, d_in = given.directions.shape
    drawn = torch.randn(ORDINARY + LARGE + TINY + OFFSET, d_in, generator=generator, dtype=torch.float64)
    wanted = min(32.0, n_feat / 4)
    l0 = [float((given.codes(given.centre + size * drawn[:ORDINARY]) > 0).double().sum(1).mean()) for size in SIZES]
    size = min(zip(SIZES, l0, strict=True), key=lambda each: abs(each[1] - wanted))[0]
    ordinary, large, tiny, offset = (size * drawn).split([ORDINARY, LARGE, TINY, OFFSET])
    chosen = torch.randperm(n_feat, generator=generator)[:BORDERS]
    zeros = torch.zeros(1, d_in, dtype=torch.float64)
    rows = [given.centre + ordinary, 0.01 * tiny, offset + 3 * size, zeros, beside_borders(given, chosen, tolerance)]
    return torch.cat(rows), 40 * large


def beside_borders(given: Computes, features: Tensor, tolerance: float) -> Float[Tensor, "row d_in"]:
    """Rows from the centre in the direction of each feature, before it fires and behind, by a share `tolerance` of the
    whole way: a border that is off by more shows there, which other rows need not come near."""
    norms = given.directions[features].norm(dim=1, keepdim=True)
    towards = given.directions[features] / norms.where(norms > 0, 1.0)
    at = torch.arange(len(features))

    def fires(far: Tensor) -> Tensor:
        return given.codes(given.centre + far[:, None] * towards)[at, features] > 0

    low, high = (torch.full((len(features),), sign * FAR, dtype=torch.float64) for sign in (-1, 1))
    has_one = ~fires(low) & fires(high)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        on = fires(middle)
        low, high = torch.where(on, low, middle), torch.where(on, middle, high)
    border, own = high[has_one], towards[has_one]
    beside = tolerance * (border.abs() + given.centre.norm())
    return given.centre + torch.cat([(border - beside)[:, None] * own, (border + beside)[:, None] * own])


def compare(source: Computes, written: Computes, tolerance: float = TOLERANCE) -> Compared:
    """What one computes beside the other."""
    l0, apart, off, flips, rows = [], 0.0, 0.0, 0, 0
    for x in rows_for(source, tolerance):
        codes, own, x_hat = source.codes(x), written.codes(x), source.x_hat(x)
        largest = codes.max().clamp(min=torch.finfo(torch.float32).tiny)
        difference = (codes - own).abs() / largest
        apart = max(apart, float(difference.max()))
        flips += int(((codes > 0) != (own > 0)).logical_and(difference > tolerance).sum())
        off = max(off, float((x_hat - written.x_hat(x)).abs().max() / x_hat.abs().max().clamp(min=1e-30)))
        l0.append(float((codes > 0).double().sum(1).mean()))
        rows += len(x)
    return Compared(rows=rows, seed=SEED, l0=round(l0[0], 3), codes=apart, x_hat=off, flips=flips, tolerance=tolerance)


def sha256_of(files: tuple[Path, ...], folder: Path) -> dict[str, str]:
    """Of each file, by its path in a folder."""
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(files)
    }


def write(path: Path, source: dict[str, Any], written: dict[str, Any], compared: Compared) -> None:
    """As JSON; its bytes hang on nothing else."""
    text = json.dumps({"certificate": 1, "read": source, "written": written, "compared": asdict(compared)}, indent=1)
    atomic.write_text(path, text + "\n")


def check(path: Path) -> dict[str, Any]:
    """A certificate whose files are still those that it speaks of. Raises BadInput where one is not."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        files = dict(told["written"]["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(path, f"no certificate ({error})", "what `sparse_coding convert` writes") from None
    for name, digest in files.items():
        file = path.parent / name
        if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            found = "other bytes" if file.is_file() else "no such file"
            raise BadInput(file, found, f"what {path} speaks of: convert it again")
    return told
