"""A model with something of a dictionary put in, taken away or held: context managers, which always restore it.

    with splice(model, "layer2_residual", d): ...           reconstructions in the place of activations
    with ablate(model, "layer2_residual", d, [3, 17]): ...   without these features
    with steer(model, "layer2_residual", d, 3, 5.0): ...     with 5 of feature 3 added at each token
    with clamp(model, "layer2_residual", d, {3: 5.0}): ...   with the code of feature 3 held at 5

All but `splice` change only what the features say and leave the rest of a vector, the error of the dictionary too, as
it is. BOS, EOS and padding keep their vectors, as no dictionary learns from them. `generate` works inside, and so do
several of them within one another. model: of transformers, or a TransformerBridge; of a pair of places the second is
changed, by what the first one holds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput
from sparse_coding.lm.holding import Held, Spot, held, site_of
from sparse_coding.settings.sites import Site

Change = Callable[[Dictionary, Tensor, Tensor], Tensor]  # dictionary, what is read, what is changed: [row, d]
SPECIAL = ("bos_token_id", "eos_token_id", "pad_token_id")


@contextmanager
def splice(model: Any, site: str | Site | None, dictionary: Dictionary) -> Iterator[None]:
    """What the dictionary makes of activations in their place. Raises BadInput for a site that is not there."""
    with _changed(model, site, dictionary, lambda d, x, y: d.reconstruct(x)):
        yield


@contextmanager
def ablate(model: Any, site: str | Site | None, dictionary: Dictionary, features: Sequence[int]) -> Iterator[None]:
    """Activations without what these features put into them. Raises BadInput for a feature that there is not."""
    chosen = _features(dictionary, features)

    def change(d: Dictionary, x: Tensor, y: Tensor) -> Tensor:
        return y - d.encode_features(x, chosen) @ d.atoms[chosen]

    with _changed(model, site, dictionary, change):
        yield


@contextmanager
def steer(model: Any, site: str | Site | None, dictionary: Dictionary, feature: int, amount: float) -> Iterator[None]:
    """Activations with `amount` times the direction of a feature added: in the units of codes; below 0, taken away."""
    (chosen,) = _features(dictionary, [feature])
    with _changed(model, site, dictionary, lambda d, x, y: y + amount * d.atoms[chosen]):
        yield


@contextmanager
def clamp(model: Any, site: str | Site | None, dictionary: Dictionary, codes: Mapping[int, float]) -> Iterator[None]:
    """Activations with the codes of some features held at a value, whatever they would be."""
    chosen, values = _features(dictionary, list(codes)), torch.tensor(list(codes.values()), dtype=torch.float32)

    def change(d: Dictionary, x: Tensor, y: Tensor) -> Tensor:
        return y + (values.to(x.device) - d.encode_features(x, chosen)) @ d.atoms[chosen]

    with _changed(model, site, dictionary, change):
        yield


def _features(dictionary: Dictionary, features: Sequence[int]) -> list[int]:
    for feature in features:
        if isinstance(feature, bool) or not isinstance(feature, int) or not 0 <= feature < dictionary.n_feat:
            raise BadInput("features", repr(feature), f"numbers from 0 to {dictionary.n_feat - 1}")
    if not features:
        raise BadInput("features", "none", "one at least")
    return list(features)


@contextmanager
def _changed(model: Any, site: str | Site | None, dictionary: Dictionary, change: Change) -> Iterator[None]:
    there = held(model)
    spots = there.spots(site_of(site, dictionary.site))
    passing = _Passing(dictionary, change, _special(there))
    with ExitStack() as stack:
        stack.enter_context(_removed(there.network.register_forward_pre_hook(passing.tokens, with_kwargs=True)))
        if len(spots) > 1:
            stack.enter_context(_removed(_register(spots[0], passing.first)))
        stack.enter_context(_removed(_register(spots[-1], passing.last)))
        with torch.no_grad():
            yield


def _special(there: Held) -> set[int]:
    config = getattr(there.network, "config", None)
    found: set[int] = set()
    for name in SPECIAL:
        given = getattr(config, name, None)
        found |= set(given) if isinstance(given, list | tuple) else set() if given is None else {given}
    return found


@contextmanager
def _removed(handle: Any) -> Iterator[None]:
    try:
        yield
    finally:
        handle.remove()


def _register(spot: Spot, function: Callable[[Tensor], Tensor | None]) -> Any:
    """`function` sees what passes a place, and may put something else there."""

    def hook(_: nn.Module, *passed: Any) -> Any:  # inputs of the module; or inputs, output
        first, *others = passed[-1] if isinstance(passed[-1], tuple) else (passed[-1],)
        new = function(first)
        if new is None:
            return None
        return (new, *others) if isinstance(passed[-1], tuple) else new

    module = spot.module
    return module.register_forward_pre_hook(hook) if spot.side == "input" else module.register_forward_hook(hook)


class _Passing:
    """One pass after the other: its tokens, what was read at the first place, what is changed at the last."""

    def __init__(self, dictionary: Dictionary, change: Change, special: set[int]) -> None:
        self._dictionary, self._change, self._special = dictionary, change, special
        self._kept: Tensor | None = None
        self._read: Tensor | None = None

    def tokens(self, _: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Where the tokens of a pass are special; nowhere where it is given vectors instead."""
        ids = named.get("input_ids", given[0] if given else None)
        self._kept = self._read = None
        if isinstance(ids, Tensor) and not ids.is_floating_point():
            self._kept = torch.isin(ids, torch.tensor(sorted(self._special), device=ids.device))

    def first(self, x: Tensor) -> None:
        """What is read, of a pair."""
        self._read = x

    def last(self, y: Tensor) -> Tensor:
        """What is put in its place."""
        x = y if self._read is None else self._read
        if self._dictionary.centre.device != y.device:
            self._dictionary = self._dictionary.to(y.device)
        rows, wanted = x.reshape(-1, self._width(x, self._dictionary.d_in)).float(), y.reshape(-1, y.shape[-1]).float()
        self._width(y, self._dictionary.d_out)
        new = self._change(self._dictionary, rows, wanted).to(y.dtype).reshape(y.shape)
        if self._kept is None:
            return new
        kept = self._kept.reshape(*y.shape[:-1], 1)
        return torch.where(kept, y, new)

    def _width(self, x: Tensor, width: int) -> int:
        if x.shape[-1] != width:
            raise BadInput("dictionary", f"vectors of {width} dimensions", f"{x.shape[-1]}, as the model has there")
        return width
