"""Section baselines: which there are, and what their fits are told. Which of them reads what: its row in `methods`."""

from typing import Annotated

from pydantic import Field, field_validator

from sparse_coding.settings.params.section import (
    Count,
    NonNegative,
    OfPairs,
    OfSites,
    Section,
    Signed,
    distinct,
    setting,
)


class Baselines(Section):
    """Dictionaries that are not learned by gradient descent."""

    methods: tuple[OfSites, ...] = setting(("pca", "ica", "nmf", "neuron_basis", "random"), "Baselines to make.")
    of_pairs: tuple[OfPairs, ...] = setting(
        ("linear_map", "mean"), "Baselines of a pair of places, which has no others."
    )
    topk: tuple[Count, ...] = setting(
        (4, 8, 16, 32, 64),
        "Codes kept in the top-k variants; ranks of the linear map of a pair.",
        unit="codes / vector",
    )
    original: bool = setting(
        False,
        "PCA, ICA, neuron basis and random directions as in the original: around 0, and more.",
        source="docs/paper.md",
    )
    topk_methods: tuple[Signed, ...] = setting(("pca", "ica", "neuron_basis"), "Baselines with top-k variants.")
    ica_rows: Count = setting(60_000, "Vectors that ICA is fitted on.", unit="vectors")
    ica_iterations: Count = setting(200, "Most iterations of FastICA.", unit="iterations")
    nmf_rows: Count = setting(10_000, "Vectors that NMF is fitted on.", unit="vectors")
    nmf_iterations: Count = setting(100, "Iterations in which each row takes part, in visits of 20.", unit="iterations")
    nmf_encode_iterations: Count = setting(100, "Iterations of NMF's non-negative least squares.", unit="iterations")
    ridge: NonNegative = setting(
        1e-4,
        "Penalty of the linear map of a pair on its squared weights.",
        unit="mean variance of an input dimension",
        source="docs/decisions.md: linear map",
    )
    seed: Annotated[int, Field(ge=0)] = setting(0, "Seed of ICA, NMF and random directions.")

    _lists = field_validator("methods", "of_pairs", "topk", "topk_methods")(distinct)
