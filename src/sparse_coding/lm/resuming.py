"""Many passes over the same tokens that differ only above one site: what comes before it runs once."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from sparse_coding.lm.model import LanguageModel
from sparse_coding.settings.sites import Site


@contextmanager
def resuming(
    model: LanguageModel,
    tokens: Int[Tensor, "block token"],
    site: Site,
    padding: Bool[Tensor, "block token"] | None = None,
    states: bool = False,
) -> Iterator[Float[Tensor, "block token out"]]:
    """What `LanguageModel.outputs` gives; within the block, passes of these tokens by `model` begin above `site`.

    Blocks below the site, and modules of its own block that had finished when the first pass came to it, then put
    out what they did in that pass: nothing of it can depend on what is at the site. Where that does not give the
    same outputs, bit for bit, nothing is left out: an architecture may hand more from module to module than what they
    put out. Of a pair of places passes begin above the first. Raises BadInput for a layer or a location that the model
    lacks.
    """

    def run() -> Tensor:
        return model.outputs(tokens, padding, states)

    whole, outputs = _until(model, run, site)
    with ExitStack() as held:
        for module, output in outputs.items():
            held.enter_context(_puts_out(module, output))
        if outputs and not _gives(run, whole):
            held.close()
        yield whole


def _until(model: LanguageModel, run: Callable[[], Tensor], site: Site) -> tuple[Tensor, dict[nn.Module, Any]]:
    """What the pass `run` gives, and what each module that can be held put out before `site`.

    Not modules that run more than once in a pass, nor those whose pass somebody else has replaced.
    """
    place, side = model.place(site)
    within = set(model.block(site.layer).modules())
    outputs: dict[nn.Module, Any] = {}
    calls: Counter[nn.Module] = Counter()
    reached = False

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        calls[module] += 1
        if not reached:
            for part in within.intersection(module.modules()):
                outputs.pop(part, None)  # runs no more when `module` is held
            outputs[module] = _copied(output)

    def reach(*_: Any) -> None:
        nonlocal reached
        reached = True

    with ExitStack() as hooks:
        for module in {*(model.block(layer) for layer in range(site.layer)), *within}:
            hooks.callback(module.register_forward_hook(note).remove)
        register = place.register_forward_pre_hook if side == "input" else place.register_forward_hook
        hooks.callback(register(reach).remove)
        whole = run()
    held = {module for module in outputs if calls[module] == 1 and "forward" not in vars(module)}
    return whole, {module: output for module, output in outputs.items() if module in held}


@contextmanager
def _puts_out(module: nn.Module, output: Any) -> Iterator[None]:
    """Within the block, `module` does not run; hooks on it do."""
    module.forward = lambda *args, **options: _copied(output)  # on this module only, before its class's own
    try:
        yield
    finally:
        del module.forward


def _gives(call: Callable[[], Tensor], wanted: Tensor) -> bool:
    try:
        return torch.equal(call(), wanted)
    except Exception:  # whatever an architecture raises when it misses what a module left for a later one
        return False


def _copied(output: Any) -> Any:
    """`output` with tensors of its own, because later modules may write into them."""
    if isinstance(output, tuple):
        return tuple(map(_copied, output))
    return output.clone() if isinstance(output, Tensor) else output
