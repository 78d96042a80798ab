"""Our Adam against torch's, step by step."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_coding.core.training.optimisers.adam import Adam


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 1000),
    beta1=st.sampled_from([0.0, 0.5, 0.9]),
    beta2=st.sampled_from([0.9, 0.999]),
    eps=st.sampled_from([1e-8, 1e-3]),
)
def test_every_step_is_that_of_torch(seed, beta1, beta2, eps):
    generator = torch.Generator().manual_seed(seed)
    ours = [torch.randn(4, 3, generator=generator, dtype=torch.float64), torch.randn(5, generator=generator).double()]
    theirs = [value.clone().requires_grad_() for value in ours]
    adam = Adam(dict(zip("ab", ours, strict=True)), beta1, beta2, eps)
    reference = torch.optim.Adam(theirs, betas=(beta1, beta2), eps=eps)
    for step in range(200):
        lr = 0.01 * (1 + step % 7)
        gradients = [torch.randn(value.shape, generator=generator, dtype=torch.float64) for value in ours]
        for leaf, gradient in zip(theirs, gradients, strict=True):
            leaf.grad = gradient.clone()
        for group in reference.param_groups:
            group["lr"] = lr
        rates = adam.begin(lr)
        adam.move("a", gradients[0][:1], rates, slice(1))  # some rows, then the others
        adam.move("a", gradients[0][1:], rates, slice(1, None))
        adam.move("b", gradients[1], rates)
        reference.step()
        for mine, leaf in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine, leaf.detach(), rtol=1e-12, atol=1e-12)


def test_a_constant_gradient_moves_by_the_rate_at_every_step():
    """The original's Adam froze its count: it moved by 2.08 rates at step 12 and by 0.32 rates in the end."""
    value = torch.zeros(1, dtype=torch.float64)
    adam = Adam({"value": value}, 0.9, 0.999, 1e-12)
    for _ in range(5000):
        before = value.clone()
        adam.move("value", torch.ones(1, dtype=torch.float64), adam.begin(lr=0.5))
        torch.testing.assert_close(before - value, torch.full((1,), 0.5, dtype=torch.float64), rtol=1e-6, atol=0)
