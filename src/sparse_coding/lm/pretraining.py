"""Train a small language model: GPT-NeoX or GPT-2, by Muon and AdamW or AdamW alone, on one device or several.

Every batch and every dropout mask is a function of the seed and the step, so that a run that was killed and resumed
sees what an undisturbed one sees.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedModel

from sparse_coding.lm.processes import ALONE, Processes
from sparse_coding.settings.params import Transformer

QUICK_BLOCKS = 256  # held-out blocks at each checkpoint; the model card's figure takes all of them


def new_model(settings: Transformer, vocabulary: int, begin: int = 0, end: int = 0) -> PreTrainedModel:
    """The untrained model, its weights a function of the seed; `begin` and `end` are ids of its tokenizer."""
    torch.manual_seed(settings.seed)
    tokens: dict[str, Any] = {"vocab_size": vocabulary, "bos_token_id": begin, "eos_token_id": end, "use_cache": False}
    if settings.architecture == "gpt2":
        return GPT2LMHeadModel(
            GPT2Config(
                n_embd=settings.d_model,
                n_layer=settings.layers,
                n_head=settings.heads,
                n_positions=settings.context,
                embd_pdrop=settings.dropout,
                attn_pdrop=settings.dropout,
                resid_pdrop=settings.dropout,
                **tokens,
            )
        )
    return GPTNeoXForCausalLM(
        GPTNeoXConfig(
            hidden_size=settings.d_model,
            num_hidden_layers=settings.layers,
            num_attention_heads=settings.heads,
            intermediate_size=4 * settings.d_model,
            max_position_embeddings=settings.context,
            hidden_dropout=settings.dropout,
            attention_dropout=settings.dropout,
            attn_implementation="eager",  # type: ignore[call-arg]  # on a CPU the fused attention's backward pass is slower in bf16
            **tokens,
        )
    )


@dataclass
class Run:
    """A training run at one step: the model, its optimisers, and what was seen so far."""

    model: PreTrainedModel
    settings: Transformer
    processes: Processes = ALONE
    made_from: str = ""  # a digest of corpus and tokenizer
    step: int = 0
    best_loss: float = float("inf")
    best: dict[str, Tensor] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        nn.Module.to(self.model, self.processes.device)
        settings, decay = self.settings, self.settings.weight_decay
        embeddings = [module.weight for module in self.model.modules() if isinstance(module, nn.Embedding)]
        embeddings.append(self.model.get_output_embeddings().weight)
        unlike = {id(weight) for weight in embeddings}
        matrices: list[Tensor] = []
        others: list[Tensor] = []
        for parameter in self.model.parameters():
            is_matrix = parameter.ndim == 2 and id(parameter) not in unlike and settings.optimiser == "muon"
            (matrices if is_matrix else others).append(parameter)
        adamw = torch.optim.AdamW(others, lr=settings.lr_adamw, betas=(0.9, 0.95), weight_decay=decay)
        self.optimisers: dict[str, torch.optim.Optimizer] = {"adamw": adamw}
        if matrices:
            self.optimisers["muon"] = torch.optim.Muon(matrices, lr=settings.lr_muon, weight_decay=decay)

    @functools.cached_property
    def together(self) -> nn.Module:
        """The model, trained with the other processes: the first call begins with the weights of the first process."""
        return self.processes.together(self.model)

    def train_step(self, tokens: NDArray[np.int32]) -> float:
        """One optimiser step on `tokens`, [block, token], of which each process takes an equal share.

        The loss of its share before the step, nats per token. Dropout is a function of the seed, the step and the
        process, so that resuming needs no state of a random generator.
        """
        scale = schedule(self.step, self.settings.steps, self.settings.warmup_steps)
        for name, optimiser in self.optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = scale * (self.settings.lr_muon if name == "muon" else self.settings.lr_adamw)
        stream = np.random.SeedSequence((self.settings.seed, self.step, self.processes.rank))
        torch.manual_seed(int(stream.generate_state(1, np.uint64)[0] >> 1))
        share = tokens[self.processes.rank :: self.processes.size]
        loss = mean_loss(self.together, share, self.settings.precision)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimiser in self.optimisers.values():
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.step += 1
        return float(loss.detach())

    def note_held_out(self, train_loss: float, held_out_loss: float) -> None:
        """Record a point of the loss curve; keep the weights if they are the best so far."""
        self.curve.append({"step": self.step, "train_loss": train_loss, "held_out_loss": held_out_loss})
        if held_out_loss < self.best_loss:
            self.best_loss = held_out_loss
            self.best = {name: value.detach().clone() for name, value in self.model.named_parameters()}

    def tensors(self) -> dict[str, Tensor]:
        """Everything that resuming needs, flat, by name."""
        flat = {f"model.{name}": value.detach() for name, value in self.model.named_parameters()}
        flat |= {f"best.{name}": value for name, value in self.best.items()}
        for name, optimiser in self.optimisers.items():
            for index, state in optimiser.state_dict()["state"].items():
                flat |= {f"optimiser.{name}.{index}.{key}": value for key, value in state.items()}
        return {name: value.contiguous() for name, value in flat.items()}

    def load(self, flat: dict[str, Tensor]) -> None:
        """Take up what `tensors` gave."""
        self.set_weights(_under("model.", flat))
        self.best = _under("best.", flat)
        for name, optimiser in self.optimisers.items():
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in _under(f"optimiser.{name}.", flat).items():
                index, slot = key.split(".")
                state.setdefault(int(index), {})[slot] = value
            optimiser.load_state_dict(optimiser.state_dict() | {"state": state})

    @torch.no_grad()
    def set_weights(self, weights: dict[str, Tensor]) -> None:
        """Give the model these weights; one that stands at two places is there once."""
        for name, parameter in self.model.named_parameters():
            parameter.copy_(weights[name])


def _under(prefix: str, flat: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in flat.items() if name.startswith(prefix)}


def schedule(step: int, steps: int, warmup: int) -> float:
    """Linear warm-up, then linear decay to zero: the factor on the learning rate."""
    return min((step + 1) / max(warmup, 1), (steps - step) / max(steps - warmup, 1), 1.0)


def batches(tokens: NDArray[np.int32], size: int, seed: int, first: int) -> Iterator[NDArray[np.int32]]:
    """Batches of `size` blocks for ever, from step `first` on; each epoch is a fresh permutation."""
    per_epoch = len(tokens) // size
    epoch, start = divmod(first, per_epoch)
    while True:
        order = np.random.default_rng((seed, epoch)).permutation(len(tokens))
        for index in range(start, per_epoch):
            yield tokens[order[index * size : (index + 1) * size]]
        epoch, start = epoch + 1, 0


def mean_loss(model: nn.Module, tokens: NDArray[np.int32], precision: str) -> Tensor:
    """Mean next-token cross-entropy over blocks, nats; positions 1 to the last are predicted."""
    device = next(model.parameters()).device
    ids = torch.from_numpy(tokens.astype(np.int64)).to(device)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
        logits = model(ids[:, :-1]).logits
    return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten())


@torch.no_grad()
def held_out_loss(model: PreTrainedModel, tokens: NDArray[np.int32], size: int = 32) -> float:
    """Mean next-token cross-entropy over all of `tokens`, [block, token], nats."""
    model.eval()
    parts = [tokens[start : start + size] for start in range(0, len(tokens), size)]
    total = sum(float(mean_loss(model, part, "float32")) * len(part) for part in parts)
    model.train()
    return total / len(tokens)
