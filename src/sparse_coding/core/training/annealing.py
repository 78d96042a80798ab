"""Fewer and fewer codes at the beginning: k goes down to its own, so that more features hear of the first batches.

`k_anneal_steps` of dictionary_learning and `k_decay_steps` of sparsify are of this kind: linear, in steps.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Annealing:
    """first: the k of the first step, as of dictionary_learning the dimensions of a vector; steps: until it is k."""

    first: int
    steps: int

    def k(self, own: int, step: int) -> int:
        """How many codes step `step`, from 0, keeps, where a member's own k is `own`; never fewer than that."""
        if step >= self.steps or self.first <= own:
            return own
        return round(self.first + (own - self.first) * step / self.steps)
