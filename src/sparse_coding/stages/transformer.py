"""Stage transformer: a small language model in Hugging Face format, trained here.

1. Build the corpus; train a byte-level BPE tokenizer on its training documents.
2. Train a GPT-NeoX model, with a checkpoint every few minutes; a killed run goes on from the last one.
3. Compare the best held-out checkpoint with n-gram models of the same tokens.
4. Write weights, tokenizer, loss curve and model card.
"""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tqdm import tqdm
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from sparse_coding.atomic import whole_file, write_text
from sparse_coding.errors import BadInput
from sparse_coding.lm import corpora, ngrams, pretraining
from sparse_coding.lm.model_card import write_card
from sparse_coding.lm.tokens import Blocks, encode, pack
from sparse_coding.params import Transformer

QUICK_BLOCKS = 256  # held-out blocks at each checkpoint; the model card's figure takes all of them


def run(settings: Transformer, *, output: Path, checkpoints: Path, threads: int) -> None:
    """Train, or go on training, the model of `settings` into the folder `output`."""
    torch.set_num_threads(threads)
    documents = corpora.load(settings.corpus, processes=threads)
    tokenizer = _tokenizer(settings, documents.train, checkpoints)
    train = pack(encode(tokenizer, documents.train), settings.context, bos=0, separator=0)
    held_out = pack(encode(tokenizer, documents.held_out), settings.context, bos=0, separator=0)

    training = pretraining.Run(pretraining.new_model(settings), settings)
    _resume(training, checkpoints / "checkpoint.safetensors")
    _train(training, train.tokens, _sample(held_out, settings.seed), checkpoints / "checkpoint.safetensors")

    training.model.load_state_dict(training.best)
    training.model.eval()
    result = {
        "held_out_loss": pretraining.held_out_loss(training.model, held_out.tokens),
        "ngram_losses": ngrams.cross_entropy(_text(train), _text(held_out), settings.vocabulary),
        "train_tokens": int(train.tokens[:, 1:].size),
        "held_out_tokens": int(held_out.tokens[:, 1:].size),
        "leak": corpora.leak(documents),
        "curve": training.curve,
    }
    _publish(training, tokenizer, result, output)


def _tokenizer(settings: Transformer, texts: list[str], checkpoints: Path) -> PreTrainedTokenizerBase:
    folder = checkpoints / "tokenizer"
    if (folder / "tokenizer_config.json").exists():
        return AutoTokenizer.from_pretrained(folder)
    tokenizer = pretraining.train_tokenizer(texts, settings.vocabulary)
    tokenizer.save_pretrained(folder)
    return tokenizer


def _text(blocks: Blocks) -> np.ndarray:
    return blocks.tokens[:, 1:].reshape(-1)


def _sample(blocks: Blocks, seed: int) -> np.ndarray:
    order = np.random.default_rng(seed).permutation(len(blocks.tokens))
    return blocks.tokens[order[:QUICK_BLOCKS]]


def _resume(training: pretraining.Run, path: Path) -> None:
    if not path.exists():
        return
    with safe_open(path, framework="pt") as file:
        state = json.loads(file.metadata()["state"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    if state["settings"] != _trained_with(training.settings):
        raise BadInput(
            path, "a checkpoint of other settings", "those of params.yaml: transformer; remove it to train anew"
        )
    training.load(tensors)
    training.step, training.best_loss, training.curve = state["step"], state["best_loss"], state["curve"]


def _trained_with(settings: Transformer) -> dict:
    """What a checkpoint must agree on; the name of the folder is free."""
    return settings.model_dump(mode="json", exclude={"name"})


def _checkpoint(training: pretraining.Run, path: Path) -> None:
    state = {
        "step": training.step,
        "best_loss": training.best_loss,
        "curve": training.curve,
        "settings": _trained_with(training.settings),
    }
    with whole_file(path) as temporary:
        save_file(training.tensors(), temporary, metadata={"state": json.dumps(state)})


def _train(training: pretraining.Run, train: np.ndarray, held_out: np.ndarray, checkpoint: Path) -> None:
    settings = training.settings
    batches = pretraining.batches(train, settings.batch, settings.seed, first=training.step)
    progress = tqdm(total=settings.steps, initial=training.step, desc="transformer", unit="step")
    losses: list[float] = []
    while training.step < settings.steps:
        losses.append(training.train_step(next(batches)))
        progress.update()
        if training.step % settings.checkpoint_steps == 0 or training.step == settings.steps:
            training.note_held_out(float(np.mean(losses)), pretraining.held_out_loss(training.model, held_out))
            progress.set_postfix(held_out=f"{training.curve[-1]['held_out_loss']:.3f}")
            losses.clear()
            _checkpoint(training, checkpoint)
    progress.close()


def _publish(training: pretraining.Run, tokenizer: PreTrainedTokenizerBase, result: dict, output: Path) -> None:
    building = output.with_name(f".{output.name}.part")
    training.model.save_pretrained(building)
    tokenizer.save_pretrained(building)
    write_text(building / "training.json", json.dumps(result, indent=1) + "\n")
    write_card(training.settings, result, building)
    output.mkdir(parents=True, exist_ok=True)
    for file in sorted(building.iterdir(), key=lambda file: file.name == "model.safetensors"):
        file.replace(output / file.name)  # the weights last: their presence says that the model is whole
    building.rmdir()
