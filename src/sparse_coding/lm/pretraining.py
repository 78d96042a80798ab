"""Train a small GPT-NeoX language model on a CPU: Muon for matrices, AdamW for the rest, bf16 autocast.

Every batch is a function of the seed and the step, so that a run that was killed and resumed sees the batches
that an undisturbed one sees.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast

from sparse_coding.params import Transformer

END_OF_TEXT = "<|endoftext|>"


def train_tokenizer(texts: list[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer; id 0 is `<|endoftext|>`, which begins each block and ends each document."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=END_OF_TEXT, eos_token=END_OF_TEXT)


def new_model(settings: Transformer) -> GPTNeoXForCausalLM:
    """The untrained model, its weights a function of the seed."""
    torch.manual_seed(settings.seed)
    config = GPTNeoXConfig(
        vocab_size=settings.vocabulary,
        hidden_size=settings.d_model,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=4 * settings.d_model,
        max_position_embeddings=settings.context,
        bos_token_id=0,
        eos_token_id=0,
        attn_implementation="eager",  # type: ignore[call-arg]  # on a CPU the fused attention's backward pass is slower in bf16
        use_cache=False,
    )
    return GPTNeoXForCausalLM(config)


@dataclass
class Run:
    """A training run at one step: the model, its optimisers, and what was seen so far."""

    model: GPTNeoXForCausalLM
    settings: Transformer
    step: int = 0
    best_loss: float = float("inf")
    best: dict[str, Tensor] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        matrices: list[Tensor] = []
        others: list[Tensor] = []
        for name, parameter in self.model.named_parameters():
            is_matrix = parameter.ndim == 2 and "embed" not in name and "lm_head" not in name
            (matrices if is_matrix else others).append(parameter)
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            "muon": torch.optim.Muon(matrices, lr=self.settings.lr_muon, weight_decay=0.01),
            "adamw": torch.optim.AdamW(others, lr=self.settings.lr_adamw, betas=(0.9, 0.95), weight_decay=0.01),
        }

    def train_step(self, tokens: NDArray[np.int32]) -> float:
        """One optimiser step on `tokens`, [block, token]; the loss before it, nats per token."""
        scale = schedule(self.step, self.settings.steps, self.settings.warmup_steps)
        for name, lr in (("muon", self.settings.lr_muon), ("adamw", self.settings.lr_adamw)):
            for group in self.optimisers[name].param_groups:
                group["lr"] = lr * scale
        loss = mean_loss(self.model, tokens, self.settings.precision)
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
            self.best = {name: value.clone() for name, value in self.model.state_dict().items()}

    def tensors(self) -> dict[str, Tensor]:
        """Everything that resuming needs, flat, by name."""
        flat = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        flat |= {f"best.{name}": value for name, value in self.best.items()}
        for name, optimiser in self.optimisers.items():
            for index, state in optimiser.state_dict()["state"].items():
                flat |= {f"optimiser.{name}.{index}.{key}": value for key, value in state.items()}
        return {name: value.contiguous() for name, value in flat.items()}

    def load(self, flat: dict[str, Tensor]) -> None:
        """Take up what `tensors` gave."""
        self.model.load_state_dict(_under("model.", flat))
        self.best = _under("best.", flat)
        for name, optimiser in self.optimisers.items():
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in _under(f"optimiser.{name}.", flat).items():
                index, slot = key.split(".")
                state.setdefault(int(index), {})[slot] = value
            optimiser.load_state_dict(optimiser.state_dict() | {"state": state})


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


def mean_loss(model: GPTNeoXForCausalLM, tokens: NDArray[np.int32], precision: str) -> Tensor:
    """Mean next-token cross-entropy over blocks, nats; positions 1 to the last are predicted."""
    ids = torch.from_numpy(tokens.astype(np.int64))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
        logits = model(ids[:, :-1]).logits
    return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten())


@torch.no_grad()
def held_out_loss(model: GPTNeoXForCausalLM, tokens: NDArray[np.int32], size: int = 32) -> float:
    """Mean next-token cross-entropy over all of `tokens`, [block, token], nats."""
    model.eval()
    parts = [tokens[start : start + size] for start in range(0, len(tokens), size)]
    total = sum(float(mean_loss(model, part, "float32")) * len(part) for part in parts)
    model.train()
    return total / len(tokens)
