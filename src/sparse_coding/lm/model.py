"""The language model that is analysed: its activations, its logits, and its logits with activations replaced.

What runs is the transformers model itself, with hooks on its own modules, because a bridge's many hooks cost up to a
fifth of a pass.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from sparse_coding.errors import BadInput
from sparse_coding.lm.loading import Loaded, load, sharing_weights
from sparse_coding.settings import params
from sparse_coding.settings.sites import Site

Precision = Literal["float32", "bfloat16"]
WRITING = ("residual", "mlpout")  # what is in the residual stream, or added to it
PROBE = torch.arange(1, 9).unsqueeze(0)


class _EnoughError(Exception):
    """The last site that is wanted has been seen."""


class LanguageModel:
    """A language model, for inference. On any device, in any format, it hands over float32 on the processor."""

    def __init__(self, loaded: Loaded, name: str, centred_writing: bool = False) -> None:
        """centred_writing: vectors of the residual stream are seen and put back with mean 0 over their dimensions.

        Raises BadInput where that changes what the network predicts: it has to look through LayerNorm alone.
        """
        self._network, self._blocks, self._places = loaded.network, loaded.blocks, loaded.places
        self.n_layers, self.n_vocabulary, self.n_context = loaded.n_layers, loaded.n_vocabulary, loaded.n_context
        self.has_head = loaded.has_head
        self.tokenizer, self.name, self._centred_writing = loaded.tokenizer, name, centred_writing
        if centred_writing and self._sees_the_mean():
            found = f"true, and {name} sees the mean over dimensions"
            raise BadInput("model.centred_writing", found, "false: only what LayerNorm is before does not see it")

    @classmethod
    def load(cls, model: params.Model, random_seed: int | None = None) -> "LanguageModel":
        """The model that `model` names, see `loading.load`."""
        return cls(load(model, random_seed), model.name, model.centred_writing)

    def twin(self) -> "LanguageModel":
        """The same weights, not copied, with hooks of its own: for another thread."""
        twin = copy.copy(self)
        twin._network = sharing_weights(self._network)
        return twin

    @property
    def bos(self) -> int | None:
        """The id of the beginning-of-sequence token, if the tokenizer has one."""
        return self.tokenizer.bos_token_id

    @property
    def _device(self) -> torch.device:
        """Where tokens go; a network on several devices passes on what it computes."""
        return next(self._network.parameters()).device

    def block(self, layer: int) -> nn.Module:
        """Block `layer` of the network."""
        return self._network.get_submodule(f"{self._blocks}.{layer}")

    def place(self, site: Site) -> tuple[nn.Module, Literal["input", "output"]]:
        """The module at whose input or output `site` is, of a pair its first place.

        Raises BadInput for a layer or a location that is missing.
        """
        if site.layer >= self.n_layers:
            wanted = f"a layer from 0 to {self.n_layers - 1}: {self.name} has {self.n_layers} layers"
            raise BadInput(f"site {site.name}", f"layer {site.layer}", wanted)
        try:
            place = self._places[site.location]
            return self.block(site.layer).get_submodule(place.path), place.side
        except (KeyError, AttributeError):
            wanted = f"one of {', '.join(self._places)}"
            raise BadInput(f"site {site.name}", f"no {site.location} in this block of {self.name}", wanted) from None

    def widths(self, sites: list[Site]) -> dict[Site, int]:
        """The number of dimensions at each site, as a pass of one token shows them; of a pair, of both places together.

        Raises BadInput as `place`.
        """
        found = self.harvest(torch.zeros(1, 1, dtype=torch.int64), sites)
        return {site: found[site.name].shape[-1] for site in sites}

    @torch.inference_mode()
    def harvest(
        self,
        tokens: Int[Tensor, "batch token"],
        sites: list[Site],
        precision: Precision = "float32",
        padding: Bool[Tensor, "batch token"] | None = None,
    ) -> dict[str, Float[Tensor, "batch token d_act"]]:
        """The activations at each site, by the site's name, in one forward pass; float32. Of a pair of places those of
        both, side by side.

        Nothing is computed beyond the last site. With "bfloat16" the products take factors rounded to bfloat16,
        while weights, norms and the sum over blocks stay float32. `padding` is kept from the attention of the others,
        as an encoder needs it. Raises BadInput as `place`.
        """
        found: dict[str, Tensor] = {}
        names = {site.name for site in sites}

        def keep(name: str) -> Callable[[Tensor], None]:
            def hook(x: Tensor) -> None:
                # A copy unless the pass ends here: what comes later may write into what it is given.
                found[name] = x.to("cpu", torch.float32, copy=len(found.keys() | {name}) < len(names))
                if len(found) == len(names):
                    raise _EnoughError

            return hook

        with ExitStack() as stack:
            stack.enter_context(suppress(_EnoughError))
            for site in sites:
                stack.enter_context(self._at(site, tokens.shape, keep(site.name)))
            stack.enter_context(torch.autocast(self._device.type, torch.bfloat16, enabled=precision == "bfloat16"))
            mask = {} if padding is None else {"attention_mask": (~padding).long().to(self._device)}
            self._network(tokens.to(self._device), **mask)
        for name in names - found.keys():
            raise BadInput(f"site {name}", f"nothing there in a pass of {self.name}", "a place that each pass goes by")
        return {site.name: found[site.name] for site in sites}

    def logits(self, tokens: Int[Tensor, "batch token"]) -> Float[Tensor, "batch token vocabulary"]:
        """Logits, at each token: of the next one, or in an encoder of its own. Raises BadInput as `outputs`."""
        return self.outputs(tokens)

    @torch.inference_mode()
    def outputs(
        self,
        tokens: Int[Tensor, "batch token"],
        padding: Bool[Tensor, "batch token"] | None = None,
        states: bool = False,
    ) -> Float[Tensor, "batch token out"]:
        """Logits; with `states` the final hidden states, after the last norm, which need no head. `padding`: `harvest`.

        Raises BadInput for logits of a model that came without its head, and for states of one that is no body and
        head.
        """
        mask = {} if padding is None else {"attention_mask": (~padding).long().to(self._device)}
        if not states and not self.has_head:
            raise BadInput(f"model {self.name}", "no head", "a model with one, for logits")
        if states and self._body is self._network:
            raise BadInput(
                f"model {self.name}", "no part below its head that transformers knows", "one, for its states"
            )
        tokens = tokens.to(self._device)
        found = self._body(tokens, **mask)[0] if states else self._network(tokens, **mask).logits
        return found.to("cpu", torch.float32)

    @property
    def _body(self) -> nn.Module:
        """The network without its head; the network itself where it does not tell them apart."""
        return self._network.base_model

    def is_causal(self) -> bool:
        """Whether a token depends on no later one: only then is there a loss of the next one. Not so in an encoder."""
        # Neighbours may be tokens that stand for the same: those that no text had in training.
        later = torch.linspace(0, self.n_vocabulary - 1, 8).long()
        first = self._seen(torch.stack([torch.ones_like(later), later], dim=1))[:, 0]
        return self._is_rounding(first[:1].expand_as(first), first)

    def _sees_the_mean(self) -> bool:
        with self._at(Site(0, "residual"), PROBE.shape, lambda x: x):
            centred = self._seen(PROBE)
        return not self._is_rounding(self._seen(PROBE), centred)

    def _seen(self, tokens: Int[Tensor, "batch token"]) -> Float[Tensor, "batch token out"]:
        """What the network is known by: not its logits if it has a body, for they may hold huge constants or -inf."""
        return self.outputs(tokens, states=self._body is not self._network)

    def _is_rounding(self, one: Tensor, other: Tensor) -> bool:
        rounding = 1e-4 if self._network.dtype == torch.float32 else 1e-2
        finite = one[one.isfinite()].abs()
        # Not the largest of all: beside a constant of 1e9 nothing that a network says would be seen.
        usual = float(finite.quantile(0.99)) if len(finite) else 0.0
        return torch.allclose(one, other, rtol=rounding, atol=rounding * usual, equal_nan=True)

    def spliced_logits(
        self,
        tokens: Int[Tensor, "batch token"],
        site: Site,
        replace: Callable[[Float[Tensor, "batch token d_act"]], Float[Tensor, "batch token d_act"]],
    ) -> Float[Tensor, "batch token vocabulary"]:
        """Logits as `spliced_outputs` gives them."""
        return self.spliced_outputs(tokens, site, replace)

    @torch.inference_mode()
    def spliced_outputs(
        self,
        tokens: Int[Tensor, "batch token"],
        site: Site,
        replace: Callable[[Float[Tensor, "batch token d_act"]], Float[Tensor, "batch token d_act"]],
        padding: Bool[Tensor, "batch token"] | None = None,
        states: bool = False,
    ) -> Float[Tensor, "batch token out"]:
        """`outputs` when the activations at `site` are what `replace` makes of them.

        `replace` sees every position, BOS too, and must give all of them; of a pair of places it is given both, side by
        side, and of what it gives the second is put back. Raises BadInput as `place` and `outputs`.
        """
        with self._at(site, tokens.shape, replace):
            return self.outputs(tokens, padding, states)

    @contextmanager
    def _at(self, site: Site, shape: torch.Size, function: Callable[[Tensor], Tensor | None]) -> Iterator[None]:
        """Within the block, `function` sees what passes `site`, and may put something else in its place.

        shape: of the tokens; some architectures join batch and token inside a block.
        """
        with ExitStack() as stack:
            if site.to is None:
                stack.enter_context(self._at_place(site, shape, function))
            else:
                first, second = site.places
                pair = _Pair(function)
                stack.enter_context(self._at_place(first, shape, pair.first))
                stack.enter_context(self._at_place(second, shape, pair.second))
            yield

    @contextmanager
    def _at_place(self, site: Site, shape: torch.Size, function: Callable[[Tensor], Tensor | None]) -> Iterator[None]:
        module, side = self.place(site)
        is_centred = self._centred_writing and site.location in WRITING

        def hook(_: nn.Module, *passed: Any) -> Any:  # inputs of the module; or inputs, output
            x, *others = passed[-1] if isinstance(passed[-1], tuple) else (passed[-1],)
            own = x.reshape(*shape, -1).to("cpu", torch.float32)
            new = function(own - own.mean(-1, keepdim=True) if is_centred else own)
            if new is None:
                return None
            new = new.reshape(x.shape).to(x)
            return (new, *others) if isinstance(passed[-1], tuple) else new

        register = module.register_forward_pre_hook if side == "input" else module.register_forward_hook
        handle = register(hook)
        try:
            yield
        finally:
            handle.remove()


class _Pair:
    """A function of two places side by side, called when a pass comes to the second one."""

    def __init__(self, function: Callable[[Tensor], Tensor | None]) -> None:
        self._function, self._first = function, torch.empty(0)

    def first(self, x: Tensor) -> None:
        """A copy: what comes later may write into what it is given."""
        self._first = x.clone()

    def second(self, y: Tensor) -> Tensor | None:
        """What is put in its place."""
        both = self._function(torch.cat([self._first, y], dim=-1))
        return None if both is None else both[..., self._first.shape[-1] :]
