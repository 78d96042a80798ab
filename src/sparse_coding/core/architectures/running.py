"""What is known of a training beside its parameters: for how long features are silent, and the threshold of a batch.

Each function is for one member, or for several with a leading dimension of members.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sparse_coding.core.architectures.contract import Form, State


def silence(bias: Float[Tensor, " n_feat"]) -> State:
    """For how many vectors each feature has been silent: none yet."""
    return {"silent": torch.zeros(len(bias), dtype=torch.int64)}


def threshold() -> State:
    """The threshold [1], and the batches that it is of [1]."""
    return {"threshold": torch.zeros(1), "batches": torch.zeros(1)}


def count_silence(state: State, fired: Bool[Tensor, "*member n_feat"], n_vectors: int) -> None:
    """After a batch; fired: whether a feature has a code in it."""
    state["silent"].add_(n_vectors).masked_fill_(fired, 0)


def follow_smallest(state: State, smallest: Float[Tensor, "*member 1"], rate: float) -> None:
    """The threshold goes on towards the smallest code that was kept; infinite: there was none, which says nothing."""
    said, smallest = smallest.isfinite(), smallest.to(state["threshold"].dtype)
    state["batches"].add_(said)
    share = state["batches"].clamp(min=1).reciprocal().clamp(min=rate)
    state["threshold"].copy_(torch.where(said, state["threshold"].lerp(smallest, share), state["threshold"]))


def smallest_of(codes: Float[Tensor, "*member batch n_feat"]) -> Float[Tensor, "*member 1"]:
    """The smallest positive code of a batch; infinite where there is none."""
    return codes.where(codes > 0, torch.inf).flatten(-2).amin(-1, keepdim=True)


def after(form: Form, state: State, codes: Float[Tensor, "*member batch n_feat"]) -> None:
    """What a form has of both, after a batch with these codes."""
    if form.revival:
        count_silence(state, (codes > 0).any(-2), codes.shape[-2])
    if form.of_batch:
        follow_smallest(state, smallest_of(codes), form.threshold_rate)
