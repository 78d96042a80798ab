"""Choices of training that peers have and the papers of most kinds had not: null, which is none, unless asked for."""

from sparse_coding.settings.params.section import Section, Share, setting


class WithK(Section):
    """What a kind may read that keeps k codes."""

    k_anneal_share: Share | None = setting(
        None,
        "First steps, in which k goes down linearly from the dimensions of a vector to its own; null: none.",
        unit="share of steps",
        source="`k_anneal_steps` of dictionary_learning",
    )
