"""Sections of `dictionaries` of the kinds that the code of Cunningham et al. 2023 has beside tied and untied."""

from typing import Annotated

from pydantic import Field

from sparse_coding.settings.params.choices import Own
from sparse_coding.settings.params.section import NonNegative, Positive, Share, WithL1, setting


class Thresholding(WithL1, Own):
    """Codes above a threshold that each feature learns, by a steep ramp."""

    lr: Positive = setting(1e-2, "Peak learning rate of Adam.", source="docs/decisions.md: the original's own")


class Reverse(WithL1, Own):
    """A bias decides which codes there are, and is taken out of them."""

    lr: Positive = setting(2e-2, "Peak learning rate of Adam.", source="docs/decisions.md: the original's own")
    bias_decay: NonNegative = setting(
        5e-4,
        "Weight of the norm of all biases, which pulls them up to 0: L0 settles near bias_decay * sqrt(n_feat) / l1.",
        unit="loss / code",
        source="docs/decisions.md: the original's own",
    )


class Positives(WithL1, Own):
    """Directions without negative entries."""

    lr: Positive = setting(1e-2, "Peak learning rate of Adam.", source="docs/decisions.md: the original's own")
    initial_density: Annotated[float, Field(gt=0, lt=1)] = setting(
        0.1, "Codes of each feature that are positive before the first step, by its bias.", unit="share of codes"
    )


class LISTA(WithL1, Own):
    """An encoder of several layers, each of which takes back what others explain."""

    lr: Positive = setting(1e-2, "Peak learning rate of Adam.", source="docs/decisions.md: the original's own")
    layers: Annotated[int, Field(ge=1, le=32)] = setting(
        3,
        "Layers of the encoder, 32 at most, each as slow as the first; 1: as `untied` without a centre.",
        source="Cunningham et al. 2023",
    )


class SemiLinear(WithL1, Own):
    """Two layers read, one matrix puts together."""

    lr: Positive = setting(1e-2, "Peak learning rate of Adam.", source="docs/decisions.md: the original's own")


class RICA(Own):
    """Linear codes with signs, and a smooth L1 penalty."""

    lr: Positive = setting(1e-2, "Peak learning rate of Adam.", source="docs/decisions.md: the original's own")
    l1_warmup_share: Share = setting(0.1, "Steps of linear warm-up of the L1 penalty.", unit="share of steps")
    smooth_below: Positive = setting(
        0.01,
        "Size of a code below which the penalty is a square.",
        unit="code",
        source="docs/decisions.md: the original's own",
    )

    @property
    def penalty_warmup(self) -> float:
        """Share of the steps in which the penalty is warmed up."""
        return self.l1_warmup_share
