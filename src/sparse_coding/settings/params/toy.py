"""The section `toy` of `params.yaml`: a ground truth in superposition, and dictionaries that should find it again."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from sparse_coding.settings.params.section import (
    Count,
    NonNegative,
    Optimisation,
    Positive,
    WithL1,
    filled_and_distinct,
    named_apart,
    setting,
)

Condition = Literal["independent", "correlated"]
Codes = Literal["uniform", "exponential"]
L1Scaling = Literal["per_feature", "sum"]


class ToyTraining(WithL1, Optimisation):
    """What all dictionaries of the toy share."""

    batch: Count = setting(512, "Vectors in a step.", unit="vectors")
    true_features: Count = setting(128, "Directions of the truth.", unit="features")
    d_act: Annotated[int, Field(ge=2)] = setting(
        64, "Dimensions; fewer than true features is superposition.", unit="dimensions"
    )
    mean_active: Positive = setting(5, "True features that fire on a vector, on average.", unit="features / vector")
    decay: Annotated[float, Field(gt=0, le=1)] = setting(
        0.99, "Probability of firing of a true feature, as a multiple of the one before it."
    )
    factors: Count = setting(
        8, "Gaussian factors behind the `correlated` truth; the fewer, the stronger the correlations.", unit="factors"
    )
    codes: Codes = setting(
        "uniform", "Codes of true features that fire: uniform from 0 to 1, or exponential, both with mean 1/2."
    )
    noise: NonNegative = setting(0, "Standard deviation of Gaussian noise in each dimension.", unit="code")
    architecture: Literal["tied", "untied"] = setting("untied", "As grid.architectures.")
    lr: Positive = setting(1e-2, "Peak learning rate of Adam.")
    l1_scaling: L1Scaling = setting(
        "per_feature",
        "`sum`: L1 weighs the sum of codes, as in grid.l1; `per_feature`: their mean over features, so a dictionary "
        "of twice the size is penalised half as much for the same codes.",
        source="per_feature: Sharkey et al. 2022's replication; docs/toy.md",
    )
    held_out: Count = setting(16_384, "Vectors that metrics are taken on.", unit="vectors")

    @field_validator("decay")
    @classmethod
    def _probabilities(cls, decay: float, info: ValidationInfo) -> float:
        n, active = info.data.get("true_features", 1), info.data.get("mean_active", 0)
        highest = active / sum(decay**i for i in range(n))
        if highest > 1:
            raise ValueError(
                f"a slower decay, a smaller mean_active than {active:g} or more true_features than {n}: "
                f"the first one would fire with probability {highest:.3g}"
            )
        return decay


class Toy(ToyTraining):
    """Toy models: what dictionaries find where the truth is known. Not part of the default target: docs/toy.md."""

    conditions: tuple[Condition, ...] = setting(
        ("independent", "correlated"), "How true features fire: each by itself, or coupled by a Gaussian copula."
    )
    ratios: tuple[Positive, ...] = setting(
        (0.25, 0.5, 1, 2, 4, 8), "Sizes of dictionaries.", unit="learned features / true feature"
    )
    l1: tuple[NonNegative, ...] = setting(
        (0.01, 0.0316, 0.1, 0.316, 1, 3.16, 10, 31.6, 100),
        "Weights of the L1 penalty, on the scale `l1_scaling`.",
        unit="loss / code",
    )
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = setting(
        (0,), "Seeds; each draws a truth, the vectors and initial weights."
    )

    _lists = field_validator("conditions", "ratios", "l1", "seeds")(filled_and_distinct)
    _names = field_validator("ratios", "l1")(named_apart)

    @field_validator("ratios")
    @classmethod
    def _numbers_of_features(cls, ratios: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        n = info.data.get("true_features", 1)
        if round(min(ratios) * n) < 1:
            raise ValueError(f"at least {1 / n:g}: one feature for {n} true ones")
        sizes: dict[int, float] = {}
        for ratio in ratios:
            if (other := sizes.setdefault(round(ratio * n), ratio)) != ratio:
                raise ValueError(f"ratios further apart: {other:g} and {ratio:g} are both {round(ratio * n)} features")
        return ratios
