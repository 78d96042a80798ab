"""Choices of training that peers have and the papers of most kinds had not: null, which is none, unless asked for."""

from typing import Annotated, Any

from pydantic import Field

from sparse_coding.settings.params.section import Count, Positive, Section, Share, setting


def grows_to(codes: int | None) -> Any:
    """A field `lr_grows_to`."""
    words = (
        "`lr` is the rate for 8 codes a vector. With another k, or wished L0, it is times sqrt(k / 8), of at most so "
        "many; null: it is the rate of all."
    )
    return setting(codes, words, unit="codes", source="docs/decisions.md: learning rates")


LONG = setting(
    "root",
    "Mean length of the vectors that are learned from, where they are normalised: 1, or the root of their dimensions, "
    "beside which biases move less.",
    source="docs/decisions.md: Matryoshka",
)


class OfCodes(Section):
    """What a kind reads that is told how many codes a vector has: its k, or a wished L0."""

    lr_grows_to: Count | None = grows_to(32)


class WithK(OfCodes):
    """What a kind may read that keeps k codes."""

    k_anneal_share: Share | None = setting(
        None,
        "First steps, in which k goes down linearly from the dimensions of a vector to its own; null: none.",
        unit="share of steps",
        source="`k_anneal_steps` of dictionary_learning",
    )


class Resample(Section):
    """When dead features begin anew."""

    every: Count = setting(250, "Steps between.", unit="steps", source="docs/decisions.md: resampling")
    dead_after: Count = setting(
        125,
        "A feature is dead that had no code in so many steps.",
        unit="steps",
        source="docs/decisions.md: resampling",
    )
    until_share: Share = setting(
        0.5, "First steps, in which it is done.", unit="share of steps", source="Bricken et al. 2023"
    )


class WithResample(Section):
    """What a kind with an L1 penalty may read; those of TopK have `topk_aux` against dead features."""

    resample: Resample | None = setting(
        None,
        "Dead features take directions of vectors with a large loss: `{}` has its defaults; null: never.",
        source="Bricken et al. 2023",
    )


class EarlyStop(Section):
    """When a training ends before its last step."""

    window: Count = setting(
        100,
        "A member's mean logged loss in so many steps is held against that in those before; after all warm-ups.",
        unit="steps",
    )
    gain: Share = setting(
        0.01,
        "Where it is not lower by this share, the decay of the rate begins, and the training ends with it.",
        unit="share of the loss",
        source="docs/decisions.md: early stop",
    )


class Chosen(Section):
    """What all kinds may be trained with."""

    clip_norm: Positive | None = setting(
        None,
        "Largest norm of the gradient of all parameters; longer ones are scaled to it. null: none is. With it training "
        "is slower: by autograd, and not by the fast steps.",
        unit="loss",
        source="Pascanu et al. 2013",
    )
    norm_limit: Annotated[float, Field(gt=1, allow_inf_nan=False)] | None = setting(
        None,
        "Vectors longer than so many times the median are not trained on, nor in the mean and scale that the others "
        "are normalised by; all held-out ones are evaluated. null: all are trained on.",
        unit="median norm",
        source="dictionary_learning, which has 10 for Qwen",
    )
    early_stop: EarlyStop | None = setting(None, "When a member ends before its last step; null: never.")


class Own(Section):
    """What one architecture reads, and no other."""

    lr: Positive

    @property
    def penalty_warmup(self) -> float:
        """Share of the steps in which the penalty is warmed up."""
        return 0.0
