"""Many passes over the same tokens that differ only above one site: the blocks up to it run once."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sparse_coding.lm.model import LanguageModel
from sparse_coding.sites import Site


@contextmanager
def resuming(
    model: LanguageModel, tokens: Int[Tensor, "block token"], site: Site
) -> Iterator[Float[Tensor, "block token vocabulary"]]:
    """The logits of `tokens`; within the block, passes of these tokens by `model` begin above `site`.

    Blocks up to the site then put out what they did in the first pass. Where that does not give the same logits,
    bit for bit, nothing is left out: an architecture may hand more from block to block than what they put out.
    Raises BadInput for a layer that the model lacks.
    """
    model.check(site)
    blocks = [model._network.get_submodule(f"{model._blocks}.{layer}") for layer in range(site.layer + 1)]
    outputs: list[Any] = []
    with ExitStack() as hooks:
        for block in blocks:
            handle = block.register_forward_hook(lambda block, inputs, output: outputs.append(_copied(output)))
            hooks.callback(handle.remove)
        logits = model.logits(tokens)
    if len(outputs) != len(blocks) or any("forward" in vars(block) for block in blocks):
        yield logits  # a block that stands at two layers, or whose pass somebody else has replaced
        return
    with ExitStack() as held:
        for block, output in zip(blocks, outputs, strict=True):
            held.enter_context(_puts_out(block, output))
        if not _gives(lambda: model.logits(tokens), logits):
            held.close()
        yield logits


@contextmanager
def _puts_out(block: nn.Module, output: Any) -> Iterator[None]:
    """Within the block, `block` does not run; hooks on it do."""
    block.forward = lambda *args, **options: _copied(output)  # on this module only, before its class's own
    try:
        yield
    finally:
        del block.forward


def _gives(call: Callable[[], Tensor], wanted: Tensor) -> bool:
    try:
        return torch.equal(call(), wanted)
    except Exception:  # whatever an architecture raises when it misses what a block left for a later one
        return False


def _copied(output: Any) -> Any:
    """`output` with a residual stream of its own, because later blocks may write into it."""
    if isinstance(output, tuple):
        return (output[0].clone(), *output[1:])
    return output.clone()
