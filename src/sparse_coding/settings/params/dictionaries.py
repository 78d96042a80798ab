"""Section dictionaries: how sparse autoencoders are trained; what only one architecture reads, under its name.

A new architecture has a section here, and a field of its name in `Dictionaries`.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from sparse_coding import methods
from sparse_coding.settings.params.choices import LONG, OfCodes, Own, WithK, WithResample, grows_to
from sparse_coding.settings.params.originals import LISTA, RICA, Positives, Reverse, SemiLinear, Thresholding
from sparse_coding.settings.params.section import (
    Architecture,
    Count,
    NonNegative,
    Positive,
    Share,
    WithL1,
    distinct,
    refused,
    setting,
)
from sparse_coding.settings.params.training import Training


class _Weights(Own):
    initial_weights: Literal["unit", "xavier"] = setting(
        "unit",
        "`unit`: random unit rows, the encoder equal to the decoder; `xavier`: both drawn apart, Xavier-uniform.",
        source="Glorot & Bengio 2010",
    )
    free_lengths: bool = setting(
        False, "Decoder rows are made unit by a division in the loss, and not after each step.", source="docs/paper.md"
    )


class Tied(WithL1, WithResample, _Weights):
    """One matrix encodes and decodes."""

    lr: Positive = setting(2e-2, "Peak learning rate of Adam.", source="docs/decisions.md: default grid")


class Untied(WithL1, WithResample, _Weights):
    """An encoder and a decoder."""

    lr: Positive = setting(2e-2, "Peak learning rate of Adam.", source="docs/decisions.md: learning rates")
    learned_centre: bool = setting(True, "Learn a centre.", source="Bricken et al. 2023")


class TopK(WithK, _Weights):
    """The k largest codes are kept."""

    lr: Positive = setting(1e-2, "Peak learning rate of Adam.", source="docs/decisions.md: learning rates")
    learned_centre: bool = setting(True, "Learn a centre.", source="Bricken et al. 2023")


class JumpReLU(OfCodes, Own):
    """Codes are kept above a threshold that each feature learns."""

    lr: Positive = setting(1e-2, "Peak learning rate of Adam.", source="docs/decisions.md: JumpReLU")
    vector_length: Literal["unit", "root"] = LONG
    bandwidth: Positive = setting(
        0.05,
        "Width of the window in which a threshold hears of the pre-activations around it, on activations scaled to "
        "unit mean norm.",
        unit="code",
        source="docs/decisions.md: JumpReLU",
    )
    l0_weight: NonNegative = setting(
        10.0,
        "Weight of (L0 / wished L0 - 1)^2, beside the squared error summed over dimensions.",
        unit="loss",
        source="docs/decisions.md: JumpReLU",
    )
    l0_warmup_share: Share = setting(0.1, "Steps of linear warm-up of that weight.", unit="share of steps")
    initial_density: Annotated[float, Field(gt=0, lt=1)] = setting(
        0.1, "Codes that are above a threshold before the first step, by one for all features.", unit="share of codes"
    )

    @property
    def penalty_warmup(self) -> float:
        """Share of the steps in which the penalty is warmed up."""
        return self.l0_warmup_share


class TopKAux(WithK, Own):
    """The k largest codes are kept, and dead features learn what the others leave."""

    lr: Positive = setting(1e-2, "Peak learning rate of Adam.", source="docs/decisions.md: TopK with aux-k")
    aux_weight: NonNegative = setting(
        1.0,
        "Weight of the auxiliary loss; 0: none.",
        unit="loss",
        source="docs/decisions.md: TopK with aux-k; Gao et al. 2024 have 1/32",
    )
    dead_after: Count = setting(
        20_000,
        "A feature is dead that none of so many vectors in a row kept.",
        unit="vectors",
        source="docs/decisions.md: TopK with aux-k; Gao et al. 2024 have 10 million, of billions",
    )


class BatchTopK(TopKAux):
    """The k * batch largest codes of a batch are kept; in use, those above one threshold."""

    lr: Positive = setting(1e-2, "Peak learning rate of Adam.", source="docs/decisions.md: BatchTopK")
    threshold_rate: Annotated[float, Field(gt=0, le=1)] = setting(
        0.01,
        "How far the threshold goes in a step towards the smallest code that was kept; at first it is their mean.",
        unit="share",
        source="docs/decisions.md: BatchTopK",
    )


class Gated(WithL1, WithResample, Own):
    """A gate says which codes there are, a magnitude how large they are."""

    lr: Positive = setting(2e-2, "Peak learning rate of Adam.", source="docs/decisions.md: learning rates")


def _ascending(values: tuple[float, ...]) -> tuple[float, ...]:
    if not values or list(values) != sorted(set(values)):
        raise ValueError("at least one value, ascending")
    return values


class Matryoshka(BatchTopK):
    """As BatchTopK, and prefixes of the features are trained to do by themselves."""

    lr: Positive = setting(1e-2, "Peak learning rate of Adam.", source="docs/decisions.md: Matryoshka")
    lr_grows_to: Count | None = grows_to(None)
    vector_length: Literal["unit", "root"] = LONG
    prefixes: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], AfterValidator(_ascending)] = setting(
        (1 / 32, 3 / 32, 7 / 32, 15 / 32),
        "Lengths of the prefixes, ascending; all features are one more.",
        unit="share of features",
        source="Bussmann et al. 2025",
    )


class Transcoder(WithK, Own):
    """Of a pair of places: the k largest codes of one are kept, and the other is put together from them."""

    lr: Positive = setting(1e-2, "Peak learning rate of Adam.", source="docs/decisions.md: transcoders")
    lr_grows_to: Count | None = grows_to(None)
    aux_weight: NonNegative = setting(
        1.0,
        "Weight of the auxiliary loss of dead features; 0: none.",
        unit="loss",
        source="docs/decisions.md: transcoders; Gao et al. 2024 have 1/32",
    )
    dead_after: Count = setting(
        20_000, "A feature is dead that none of so many vectors in a row kept.", unit="vectors",
        source="docs/decisions.md: TopK with aux-k",
    )  # fmt: skip


class SkipTranscoder(Transcoder):
    """With a linear map from one place to the other beside the codes."""


class Dictionaries(Training):
    """How sparse autoencoders are trained: all of them, and each architecture by its name."""

    l0_rows: Count = setting(
        4096,
        "Held-out vectors, spread over all of them, whose codes are counted for members with a wished L0 (`grid.l0`). "
        "The count steers the L1 or the threshold; nothing else of them enters training.",
        unit="vectors",
        source="docs/decisions.md: a wished L0",
    )
    tied: Tied = setting(Tied(), "What only `tied` reads.")
    untied: Untied = setting(Untied(), "What only `untied` reads.")
    topk: TopK = setting(TopK(), "What only `topk` reads.")
    jumprelu: JumpReLU = setting(JumpReLU(), "What only `jumprelu` reads.")
    batchtopk: BatchTopK = setting(BatchTopK(), "What only `batchtopk` reads.")
    topk_aux: TopKAux = setting(TopKAux(), "What only `topk_aux` reads.")
    gated: Gated = setting(Gated(), "What only `gated` reads.")
    matryoshka: Matryoshka = setting(Matryoshka(), "What only `matryoshka` reads.")

    transcoder: Transcoder = setting(Transcoder(), "What only `transcoder` reads.")
    skip_transcoder: SkipTranscoder = setting(SkipTranscoder(), "What only `skip_transcoder` reads.")
    thresholding: Thresholding = setting(Thresholding(), "What only `thresholding` reads.")
    reverse: Reverse = setting(Reverse(), "What only `reverse` reads.")
    positive: Positives = setting(Positives(), "What only `positive` reads.")
    lista: LISTA = setting(LISTA(), "What only `lista` reads.")
    semilinear: SemiLinear = setting(SemiLinear(), "What only `semilinear` reads.")
    rica: RICA = setting(RICA(), "What only `rica` reads.")
    snapshots: tuple[Count, ...] = setting(
        (),
        "Each dictionary also as it is after so many vectors, rounded up to a batch, in a file of its own beside it "
        "(`..._t200000`): evaluated, and in no figure. What is asked for later is trained again, with equal bytes.",
        unit="vectors",
    )

    _each_once = field_validator("snapshots")(distinct)

    @model_validator(mode="after")
    def _snapshots_within(self) -> "Dictionaries":
        most, last = self.steps * self.batch, max(self.snapshots, default=0)
        if last > most:
            raise refused("snapshots", last, f"at most steps * batch vectors, {most}: it is beyond the end")
        return self

    @model_validator(mode="after")
    def _chosen_can_be(self) -> "Dictionaries":
        """What is asked for and would never be done is a mistake."""
        half = self.steps // 2
        if self.early_stop is not None and self.early_stop.window > half:
            wanted = f"at most {half}, half of the steps: two windows are held against each other"
            raise refused("early_stop.window", self.early_stop.window, wanted)
        for kind in methods.LEARNED:
            resample = getattr(self.of(kind), "resample", None)
            until = 0 if resample is None else round(resample.until_share * self.steps)
            if resample is not None and resample.every > until:
                wanted = f"at most {until}, until_share of the {self.steps} steps; or no resample: it is never done"
                raise refused(f"{kind}.resample.every", resample.every, wanted)
        return self

    def of(self, architecture: Architecture) -> Own:
        """The section of one architecture."""
        return getattr(self, architecture)


def own_section(architecture: str) -> type[Own]:
    """The class of an architecture's section."""
    found: Any = Dictionaries.model_fields[architecture].annotation
    return found
