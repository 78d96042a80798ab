"""How far what was written is from what was read: both computed in float64 on the same seeded rows.

Of every feature: its direction in what is put together, and its code by itself on rows of its own, just before and
just behind where it begins to fire, and beyond. Of the whole: x_hat on ordinary, large, tiny and offset rows and one of
zeros, where it is also seen which codes are kept. Differences are relative to the largest value of the same feature, or
the same dimension: nothing large hides what is small.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sparse_coding import atomic
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput
from sparse_coding.formats.raw import Raw

NAME = "certificate.json"
TOLERANCE = 1e-5  # of the largest value; float32 in and out
SEED = 20260101
PLAIN = ("relu", "jumprelu", "topk")  # of ours, whose features can be computed one by one
SIZES = (0.5, 1.0, 4.0)  # of ordinary rows, times how far from the centre features begin to fire
EACH, LARGE, TINY, OFFSET = 64, 24, 7, 32  # rows
BEYOND = 3  # rows of each feature behind its border
NEAREST, FURTHEST = 1e-9, 1e12  # of a border from the centre
HALVINGS, UNIT = 60, 2.0**-24
SAID = ("codes", "atoms", "x_hat", "flips", "rows", "l0")  # that who shows a certificate reads
BLOCK = 2**22  # numbers of rows that are held at a time

OfFeature = Callable[[Tensor, Tensor], Tensor]  # rows [n, d_in], features [n]: the code of each feature on its row [n]


@dataclass(frozen=True)
class Computes:
    """What a dictionary computes, in float64, in our units: codes, x_hat. of_feature: the code of one feature, before
    any choice of the k largest; None where features cannot be computed one by one. directions: in which they fire."""

    centre: Float[Tensor, " d_in"]
    directions: Float[Tensor, "n_feat d_in"]
    atoms: Float[Tensor, "n_feat d_out"]
    codes: Callable[[Tensor], Tensor]
    x_hat: Callable[[Tensor], Tensor]
    of_feature: OfFeature | None

    @classmethod
    def of_raw(cls, raw: Raw) -> "Computes":
        """By the formulas of the other library."""
        centre = torch.zeros(raw.encoder.shape[1], dtype=torch.float64) if raw.is_pair else raw.out_bias
        directions, atoms = raw.encoder, raw.decoder / raw.norms.where(raw.norms > 0, 1.0)[:, None]
        if raw.activation == "abstopk":
            directions, atoms = torch.cat([directions, -directions]), torch.cat([atoms, -atoms])
        return cls(
            centre, directions, atoms, lambda x: raw.as_ours(raw.encode(x)), raw.reconstruct, raw.code_of_feature
        )

    @classmethod
    def of_ours(cls, dictionary: Dictionary) -> "Computes":
        """By our own class."""
        wide = dictionary.to(torch.float64)
        directions = wide.encoder if wide.hidden is None else wide.encoder @ wide.hidden
        is_plain = wide.activation in PLAIN and wide.hidden is None and not wide.pursuit

        def of_feature(x: Tensor, features: Tensor) -> Tensor:
            m = ((x - wide.centre) * wide.encoder[features]).sum(1) + wide.bias[features]
            codes = m.relu() * wide.gain[features]
            return codes if wide.threshold is None else codes * (m > wide.threshold[features])

        own = of_feature if is_plain else None
        return cls(wide.centre, directions, wide.atoms, wide.encode, wide.reconstruct, own)


@dataclass(frozen=True)
class Compared:
    """Largest differences as shares of the largest value: codes and directions (atoms) of single features, x_hat of
    whole rows. flips: codes, of single features or on whole rows, that one has and the other has not. fired: features
    that had a code on a row. l0: mean number of codes of whole rows. tolerance: None where fewer digits were asked
    for."""

    rows: int
    seed: int
    l0: float
    fired: int
    codes: float
    atoms: float
    x_hat: float
    flips: int
    tolerance: float | None = TOLERANCE

    @property
    def holds(self) -> bool:
        """Whether they compute the same."""
        numbers = self.codes, self.atoms, self.x_hat
        within = self.tolerance is None or (max(numbers) <= self.tolerance and not self.flips)
        return all(map(math.isfinite, numbers)) and within


def compare(source: Computes, written: Computes, tolerance: float = TOLERANCE) -> Compared:
    """What one computes beside the other."""
    far, fired, codes, flips = _by_feature(source, written, tolerance)
    apart, l0, n = 0.0, [], 0
    for x in _rows(source, far):
        own, other, x_hat = source.codes(x), written.codes(x), source.x_hat(x)
        apart = _largest(apart, _share(written.x_hat(x) - x_hat, x_hat))
        ties = (own - other).abs() <= tolerance * own.max(dim=1, keepdim=True).values
        flips += int((((own > 0) != (other > 0)) & ~ties).sum())
        fired |= (own > 0).any(0)
        l0.append((own > 0).double().sum(1))
        n += len(x)
    off = (source.atoms - written.atoms).abs().amax(1)[fired]  # of others the direction says nothing
    atoms = float(off.max()) if len(off) else 0.0
    mean = round(float(torch.cat(l0).mean()), 3)
    return Compared(n, SEED, mean, int(fired.sum()), codes, atoms, apart, flips, tolerance)


def _largest(one: float, other: float) -> float:
    """The larger one; no number is the largest of all."""
    return math.inf if math.isnan(one) or math.isnan(other) else max(one, other)


def _share(difference: Tensor, of: Tensor) -> float:
    """The largest of each column as a share of the largest value there; columns of zeros by what differs."""
    largest = of.abs().amax(0)
    floor = largest.max().clamp(min=torch.finfo(torch.float32).tiny) * 1e-9
    return float((difference.abs().amax(0) / largest.clamp(min=floor)).max())


def _by_feature(source: Computes, written: Computes, tolerance: float) -> tuple[Tensor, Tensor, float, int]:
    """How far from the centre features begin to fire; which have fired; the largest difference of codes; flips."""
    n_feat, d_in = source.directions.shape
    far, fired, apart, flips = torch.ones(n_feat, dtype=torch.float64), torch.zeros(n_feat, dtype=torch.bool), 0.0, 0
    if source.of_feature is None or written.of_feature is None:
        return far, fired, apart, flips
    generator = torch.Generator().manual_seed(SEED)
    for features in torch.arange(n_feat).split(max(BLOCK // d_in, 1)):
        norms = source.directions[features].norm(dim=1, keepdim=True)
        towards = source.directions[features] / norms.where(norms > 0, 1.0)
        border, has_one = _borders(source, source.of_feature, features, towards)
        own_far = torch.where(has_one, border.abs(), 1.0).clamp(min=NEAREST)
        far[features] = own_far
        beside = tolerance * (own_far + source.centre.norm())
        rows = [source.centre + (border + side * beside)[:, None] * towards for side in (-1, 1)]
        for _ in range(BEYOND):
            aside = torch.randn(len(features), d_in, generator=generator, dtype=torch.float64) / d_in**0.5
            rows.append(source.centre + (border + 2 * own_far)[:, None] * towards + own_far[:, None] * aside)
        codes = torch.stack([source.of_feature(x, features) for x in rows])
        others = torch.stack([written.of_feature(x, features) for x in rows])
        flips += int((((codes > 0) != (others > 0)) & has_one).sum())
        fired[features] = (codes > 0).any(0)
        # A row in float32 is itself off by that much; where features begin to fire near the centre it is more.
        rounding = 4 * UNIT * (own_far + source.centre.norm()) / own_far
        apart = _largest(apart, _share((codes - others) / (1 + rounding / tolerance), codes))
    return far, fired, apart, flips


def _borders(
    source: Computes, of_feature: OfFeature, features: Int[Tensor, " n"], towards: Float[Tensor, "n d_in"]
) -> tuple[Tensor, Tensor]:
    """Where each feature begins to fire, on the way through the centre in its direction; and whether it does."""

    def fires(at: Tensor) -> Tensor:
        return of_feature(source.centre + at[:, None] * towards, features) > 0

    zero = torch.zeros(len(features), dtype=torch.float64)
    is_on = fires(zero)
    sign, reach = torch.where(is_on, -1.0, 1.0), torch.full_like(zero, NEAREST)
    while bool((beyond := (fires(sign * reach) == is_on) & (reach < FURTHEST)).any()):
        reach = torch.where(beyond, reach * 8, reach)
    has_one = fires(sign * reach) != is_on
    low, high = torch.where(is_on, sign * reach, zero), torch.where(is_on, zero, sign * reach)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        on = fires(middle)
        low, high = torch.where(on, low, middle), torch.where(on, middle, high)
    return torch.where(has_one, high, zero), has_one


def _rows(given: Computes, far: Float[Tensor, " n_feat"]) -> Iterator[Float[Tensor, "row d_in"]]:
    """The same for the same dictionary, on every machine; large ones by themselves."""
    generator, d_in = torch.Generator().manual_seed(SEED), given.directions.shape[1]
    usual = float(far.median()) * d_in**0.5  # a drawn row has a part of its length in the direction of a feature

    def drawn(n: int) -> Tensor:
        return torch.randn(n, d_in, generator=generator, dtype=torch.float64) / d_in**0.5

    ordinary = [given.centre + size * usual * drawn(EACH) for size in SIZES]
    large = given.centre + 40 * usual * drawn(LARGE)
    tiny, zero = 0.01 * usual * drawn(TINY), torch.zeros(1, d_in, dtype=torch.float64)
    yield torch.cat([*ordinary, tiny, zero, given.centre + usual * (drawn(OFFSET) + drawn(1))])
    yield large


def sha256_of(files: tuple[Path, ...], folder: Path) -> dict[str, str]:
    """Of each file, by its path in a folder."""
    return {file.relative_to(folder).as_posix(): _sha256(file) for file in sorted(files)}


def _sha256(file: Path) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def write(
    path: Path, source: dict[str, Any], written: dict[str, Any], compared: Compared, narrow: Compared | None = None
) -> None:
    """As JSON; its bytes hang on nothing else. narrow: what fewer digits cost, where they were asked for."""
    told = {"certificate": 1, "read": source, "written": written, "compared": asdict(compared)}
    told |= {} if narrow is None else {"narrow": asdict(narrow)}
    text = json.dumps(told, indent=1, default=str)
    atomic.write_text(path, text + "\n")


def check(path: Path) -> dict[str, Any]:
    """A certificate whose files are still those that it speaks of. Raises BadInput where one is not."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        parts = {name: dict(told[name]) for name in ("read", "written", "compared")}
        files = {str(name): str(digest) for name, digest in dict(parts["written"]["files"]).items()}
        _ = (*(parts["compared"][name] for name in SAID), parts["read"]["format"], parts["written"]["format"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(path, f"no certificate ({error})", "what `sparse_coding convert` writes") from None
    for name, digest in files.items():
        file = path.parent / name
        if not file.is_file() or _sha256(file) != digest:
            found = "other bytes" if file.is_file() else "no such file"
            raise BadInput(file, found, f"what {path} speaks of: convert it again")
    return told
