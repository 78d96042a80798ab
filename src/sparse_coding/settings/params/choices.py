"""Choices of training that peers have and the papers of most kinds had not: null, which is none, unless asked for."""

from sparse_coding.settings.params.section import Positive, Section, Share, setting


class WithK(Section):
    """What a kind may read that keeps k codes."""

    k_anneal_share: Share | None = setting(
        None,
        "First steps, in which k goes down linearly from the dimensions of a vector to its own; null: none.",
        unit="share of steps",
        source="`k_anneal_steps` of dictionary_learning",
    )


class Chosen(Section):
    """What all kinds may be trained with."""

    clip_norm: Positive | None = setting(
        None,
        "Largest norm of the gradient of all parameters; longer ones are scaled to it. null: none is. Training with it is "
        "slower: by autograd, and not by the fast steps.",
        unit="loss",
        source="Pascanu et al. 2013",
    )
