"""Every kind of dictionary, and every optimiser, a row each: whoever wants to know something of one asks here.

No torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sparse_coding.errors import BadInput

Strength = Literal["l1", "k", "l0"]  # the lists of `grid` that make members of one cell
WISHED: Strength = "l0"
COUNTING: tuple[Strength, ...] = ("k", "l0")  # codes of a vector, so that there are no more of them than features
STRENGTHS: dict[Strength, str] = {"l1": "L1", "k": "k", "l0": "L0 target"}  # as figures name them
# What a dictionary may be trained without, to see what that adds: core.controls. As figures name them.
Control = Literal["frozen_decoder", "soft_frozen_decoder", "frozen_encoder", "step0"]
CONTROLS: dict[Control, str] = {
    "frozen_decoder": "frozen decoder",
    "soft_frozen_decoder": "soft-frozen decoder",
    "frozen_encoder": "frozen encoder",
    "step0": "before training",
}
# What a wished L0 comes to, of a kind that differs in these without one.
INSIDE: dict[Strength, str] = {"l1": "L1", "k": "k", "l0": "L0 in the penalty"}
# As tables name them: there `l0` is the measured one.
COLUMNS: dict[Strength, str] = {"l1": "l1", "k": "k", "l0": "l0_target"}


@dataclass(frozen=True)
class Method:
    """One kind. strength: what its members differ in, beside a wished L0, which learned ones take but those that are
    `dense`, whose codes are never 0; None for a baseline, which has one. whole: it keeps so many codes of each vector,
    so that a wished L0 is a whole number.

    matrices, vectors: of [n_feat, d_act] and of [n_feat] (bias, gain, threshold), in its file. colour, marker, dashes:
    in figures. source: who described it first.
    signed: it holds each direction as +d and -d; a baseline that does has top-k variants. solved: one whose codes
    are found by non-negative least squares. reads: what its fit is told, {name: setting in the section `baselines`},
    and so all of them that its key sees. original: what of it the code of Cunningham et al. 2023 had otherwise.
    pairs: one of a pair of places, from one to the other, and of no single place. skip: with a matrix of [d_in, d_out]
    beside the codes. constant: a baseline without features. cut: a threshold may cut its codes, and leaves those above
    it as they were: they are of one layer, with a ReLU or thresholds. hidden: its encoder reads a layer of 2 d_act.
    """

    kind: str
    label: str
    strength: Strength | None
    matrices: int
    colour: str
    marker: str
    source: str
    dashes: Any = "-"
    vectors: int = 2
    signed: bool = False
    solved: bool = False
    whole: bool = False
    reads: Mapping[str, str] = field(default_factory=dict)
    original: Literal["none", "all", "variants"] = "none"
    pairs: bool = False
    skip: bool = False
    constant: bool = False
    cut: bool = True
    dense: bool = False
    hidden: bool = False

    @property
    def is_learned(self) -> bool:
        """Whether it is trained by gradient descent, in a cell of the grid."""
        return self.strength is not None

    def has_control(self, control: Control | None) -> bool:
        """Whether it has such a control; None: itself. One matrix is not frozen by halves."""
        return self.matrices > 1 or control != "frozen_encoder"

    @property
    def lists(self) -> tuple[Strength, ...]:
        """The lists of `grid` that make members of it."""
        if self.strength is None:
            return ()
        return (self.strength,) if self.dense else tuple(dict.fromkeys((self.strength, WISHED)))

    @property
    def varies_in(self) -> Strength:
        """What dictionaries of it differ in without a wish: those of a baseline in the k of its variants."""
        return self.strength or "k"

    def variant(self, k: object) -> str:
        """What figures add to the name of a baseline with k codes for each vector."""
        return f" of rank {k}" if self.pairs else f" top-{k}"

    @property
    def column(self) -> str:
        """Where tables have what `varies_in` says."""
        return COLUMNS[self.varies_in]


@dataclass(frozen=True)
class Optimiser:
    """What gradient descent of learned ones follows. moments: numbers that it keeps beside each that it moves."""

    name: str
    moments: int
    source: str


# Learned ones have a hue of the palette of Okabe & Ito, "Color Universal Design" (2008), but for its yellow, which is
# lost on white, and its black; more kinds than hues have dashes, and each a marker. Baselines are grey.
_ROWS = (
    Method("tied", "tied", "l1", 1, "#0072B2", "o", "Cunningham et al. 2023"),
    Method("untied", "untied", "l1", 2, "#009E73", "s", "Bricken et al. 2023"),
    Method("topk", "TopK", "k", 2, "#D55E00", "^", "Gao et al. 2024", whole=True),
    Method("jumprelu", "JumpReLU", "l0", 2, "#CC79A7", "d", "Rajamanoharan et al. 2024", vectors=3),
    Method("batchtopk", "BatchTopK", "k", 2, "#56B4E9", "<", "Bussmann et al. 2024", vectors=3),
    Method("topk_aux", "TopK, aux-k", "k", 2, "#D55E00", ">", "Gao et al. 2024", (0, (5, 2)), whole=True),
    Method("gated", "Gated", "l1", 2, "#E69F00", "p", "Rajamanoharan et al. 2024", vectors=3),
    Method("matryoshka", "Matryoshka", "k", 2, "#56B4E9", "8", "Bussmann et al. 2025", (0, (5, 2)), vectors=3),
    Method("transcoder", "transcoder", "k", 2, "#0072B2", "H", "Dunefsky et al. 2024", pairs=True, whole=True),
    Method(
        "skip_transcoder", "skip transcoder", "k", 2, "#D55E00", "P", "Paulo et al. 2025", pairs=True, skip=True,
        whole=True,
    ),
    Method("thresholding", "thresholding", "l1", 1, "#0072B2", "h", "Cunningham et al. 2023", (0, (5, 2)), vectors=3,
           cut=False),
    Method("reverse", "reverse", "l1", 1, "#009E73", "$\u2660$", "Cunningham et al. 2023", (0, (5, 2)), vectors=3),
    Method("positive", "positive", "l1", 1, "#CC79A7", "$\u2665$", "Cunningham et al. 2023", (0, (5, 2))),
    Method("lista", "LISTA", "l1", 2, "#E69F00", "$\u2663$", "Gregor & LeCun 2010", (0, (5, 2)), cut=False),
    Method("semilinear", "semi-linear", "l1", 3, "#D55E00", "$\u2666$", "Cunningham et al. 2023", (0, (5, 2, 1, 2)),
           cut=False, hidden=True),
    Method("rica", "RICA", "l1", 1, "#0072B2", "*", "Le et al. 2011", (0, (5, 2, 1, 2)), dense=True, signed=True),
    Method("pca", "PCA", None, 1, "#111111", "D", "Pearson 1901", (0, (5, 2)), signed=True, original="all"),
    Method(
        "ica", "ICA", None, 2, "#555555", "X", "Hyvärinen & Oja 2000", (0, (5, 2, 1, 2)), signed=True,
        reads={"seed": "seed", "rows": "ica_rows", "iterations": "ica_iterations"}, original="variants",
    ),
    Method(
        "nmf", "NMF", None, 1, "#777777", ".", "Lee & Seung 1999", solved=True,
        reads={"seed": "seed", "rows": "nmf_rows", "iterations": "nmf_iterations",
               "encode_iterations": "nmf_encode_iterations"},
    ),
    Method(
        "neuron_basis", "neuron basis", None, 1, "#8c8c8c", "v", "Cunningham et al. 2023", (0, (2, 2)), signed=True,
        original="all",
    ),
    Method(
        "random", "random directions", None, 1, "#aaaaaa", ",", "Cunningham et al. 2023", signed=True,
        reads={"seed": "seed"}, original="all",
    ),
    Method(
        "linear_map", "linear map", None, 2, "#111111", "$\u25b3$", "Izenman 1975", (0, (5, 2)), signed=True,
        reads={"ridge": "ridge"}, pairs=True,
    ),
    Method("mean", "mean", None, 1, "#777777", "x", "Dunefsky et al. 2024", pairs=True, whole=True, constant=True),
)  # fmt: skip
# Trained elsewhere; of which kind its own file says: `published:topk`. The one yellow, with a black edge.
PUBLISHED, PUBLISHED_PAIR = "published", "published_pair"  # before their files are read; the latter of a pair of places
_PUBLISHED = Method(PUBLISHED, PUBLISHED, None, 2, "#F0E442", "*", "whoever published it", vectors=4)
OPTIMISERS = {row.name: row for row in (Optimiser("adam", 2, "Kingma & Ba 2015"),)}
BY_KIND = {row.kind: row for row in _ROWS}
LEARNED = tuple(row.kind for row in _ROWS if row.is_learned)
BASELINES = tuple(row.kind for row in _ROWS if not row.is_learned)
OF_PAIRS = tuple(row.kind for row in _ROWS if row.pairs and not row.is_learned)  # baselines
OF_SITES = tuple(kind for kind in BASELINES if kind not in OF_PAIRS)
SIGNED = tuple(kind for kind in OF_SITES if BY_KIND[kind].signed)


def published(architecture: str) -> str:
    """The kind of a dictionary that was trained elsewhere, whose format calls it so."""
    return f"{PUBLISHED}:{architecture}"


def architecture_of(kind: str) -> str:
    """What the format of a dictionary that was trained elsewhere calls it; of others their kind."""
    return kind.partition(":")[2] or kind


def is_published(kind: object) -> bool:
    """Whether a kind is one of dictionaries that were trained elsewhere."""
    return isinstance(kind, str) and (kind in (PUBLISHED, PUBLISHED_PAIR) or kind.startswith(f"{PUBLISHED}:"))


def is_known(kind: object) -> bool:
    """Whether there is such a kind."""
    return kind in BY_KIND or is_published(kind)


def of(kind: str, place: object = "kind of dictionary") -> Method:
    """The row of a kind. Raises BadInput, naming `place`, for one that there is not."""
    if is_published(kind):
        return replace(_PUBLISHED, kind=kind, label=kind.replace(":", " "), pairs=kind == PUBLISHED_PAIR)
    if kind not in BY_KIND:
        raise BadInput(place, f"kind {kind!r}", f"one of {', '.join(BY_KIND)}")
    return BY_KIND[kind]


def strength_of(row: Mapping[str, Any]) -> Strength:
    """What a row of a table differs in from others of its kind: its wished L0 where it has one. Raises as `of`.

    The rest that the row has of `l1` and `k` is then what came of the wish.
    """
    return WISHED if _is_there(row[COLUMNS[WISHED]]) else of(row["kind"]).varies_in


def value_of(row: Mapping[str, Any]) -> Any:
    """That of the strength of a row of a table."""
    return row[COLUMNS[strength_of(row)]]


def in_words(row: Mapping[str, Any]) -> str:
    """The strength of a row of a table as figures name it, e.g. `L1 0.002`, `L0 target 16`."""
    return f"{STRENGTHS[strength_of(row)]} {float(value_of(row)):g}"


def _is_there(value: Any) -> bool:
    """Tables in memory have null as None, or as NaN."""
    return value is not None and value == value


def is_trained(kind: str) -> bool:
    """Whether gradient descent made it, here or elsewhere. Raises as `of`."""
    return is_published(kind) or is_learned(kind)


def is_learned(kind: str) -> bool:
    """Whether a kind is trained by gradient descent here. Raises as `of`."""
    return of(kind).is_learned
