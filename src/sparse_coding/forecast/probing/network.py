"""Processor time of a forward pass: of one block, of the head, of the comparison of logits; a token each."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from sparse_coding.core.metrics.splice import Clean
from sparse_coding.forecast.counting.vectors import Sizes
from sparse_coding.forecast.probing.probe import seconds_of

BLOCKS = 2  # of the network that is tried
SMALL = 0.01
TOKENS = 1024


@dataclass(frozen=True, eq=False)
class Network:
    """A network of the model's shape with few blocks, for probing."""

    sizes: Sizes

    @property
    def _context(self) -> int:
        return self.sizes.params.dataset.context

    @cached_property
    def _tried(self) -> Any:
        from transformers import AutoConfig, AutoModelForCausalLM

        from sparse_coding.lm.refusing import quiet

        given = {name: value for name, value in self.sizes.model.config.items() if name != "transformers_version"}
        kind = given.pop("model_type")
        layers = {name: BLOCKS for name in ("num_hidden_layers", "n_layer", "num_layers") if name in given}
        with quiet():
            config = AutoConfig.for_model(kind, **(given | layers | {"use_cache": False}))
            with torch.device("meta"):
                network = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, self.sizes.params.model.dtype))
            network = network.to_empty(device="cpu").eval()
        with torch.no_grad():
            for tensor in (*network.parameters(), *network.buffers()):
                tensor.fill_(SMALL) if tensor.is_floating_point() else tensor.zero_()
        return network

    def _tokens(self, n: int) -> torch.Tensor:
        return torch.ones(max(1, n // self._context), self._context, dtype=torch.int64)

    @cached_property
    def block(self) -> float:
        """Seconds a token of one block."""
        tokens = self._tokens(self.sizes.params.activations.batch_tokens)
        low = self.sizes.params.activations.precision == "bfloat16"

        def call() -> None:
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=low):
                self._tried.base_model(tokens)

        return seconds_of(call, least=0.4) / tokens.numel() / BLOCKS

    @cached_property
    def head(self) -> float:
        """Seconds a token of the product that gives logits."""
        head = self._tried.get_output_embeddings()
        weight = next(head.parameters())
        hidden = torch.full((TOKENS, weight.shape[1]), SMALL, dtype=weight.dtype)

        def call() -> None:
            with torch.inference_mode():
                head(hidden)

        return seconds_of(call, least=0.2) / TOKENS

    @cached_property
    def compared(self) -> float:
        """Seconds a token in which spliced logits are compared with clean ones."""
        logits = torch.randn(4, self._context, self.sizes.model.vocabulary)
        tokens = torch.ones(4, self._context, dtype=torch.int64)
        clean = Clean(logits, tokens, torch.zeros(tokens.shape, dtype=torch.bool))
        return seconds_of(lambda: clean.compare(logits), least=0.2) / tokens.numel()
