"""Stage transformer: a small language model in Hugging Face format, trained here.

1. Build the corpus; train a byte-level BPE tokenizer on its training documents, or load the one that is named.
2. Train a GPT-NeoX or GPT-2 model, with a checkpoint every few minutes; a killed run goes on from the last one.
3. Compare the best held-out checkpoint with n-gram models of the same tokens.
4. Write weights, tokenizer, loss curve and model card.
"""

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from sparse_coding.atomic import whole_file, write_text
from sparse_coding.errors import BadInput
from sparse_coding.io.unreadable import SAFETENSORS, check_is_file, what_is
from sparse_coding.lm import corpora, ngrams, pretraining, tokenizing
from sparse_coding.lm.corpora.documents import Documents, Source
from sparse_coding.lm.model_card import write_card
from sparse_coding.lm.processes import Processes, processes
from sparse_coding.lm.tokens import Blocks, encoded, pack
from sparse_coding.settings.params import Transformer


def run(settings: Transformer, *, output: Path, checkpoints: Path, threads: int) -> None:
    """Train, or go on training, the model of `settings` into the folder `output`; `threads` for each process.

    Started by torchrun, the processes share each batch, and the first one writes. Raises BadInput for a corpus that
    is too small, a tokenizer that cannot be loaded, and a batch that cannot be shared.
    """
    torch.set_num_threads(threads)
    with processes(settings.device) as group:
        group.check(settings.batch)
        _run(settings, group, output, checkpoints, threads)


def _run(settings: Transformer, group: Processes, output: Path, checkpoints: Path, threads: int) -> None:
    documents = _documents(settings, threads)
    made_from = _deciding(settings, documents)
    folder = checkpoints / f"tokenizer-{made_from}"
    if group.is_first:
        tokenizing.choose(settings, documents.train, folder)
    group.wait()
    chosen = tokenizing.chosen(settings, folder)
    train, held_out = _packed(chosen, documents.train, settings), _packed(chosen, documents.held_out, settings)
    _check(train, settings.batch, f"the training documents of {settings.corpus}")
    _check(held_out, 1, f"the held-out documents of {settings.corpus}")

    model = pretraining.new_model(settings, chosen.vocabulary, chosen.begin, chosen.end)
    training = pretraining.Run(model, settings, group, made_from)
    checkpoint = checkpoints / "checkpoint.safetensors"
    _resume(training, checkpoint)
    _train(training, train.tokens, _sample(held_out, settings.seed), checkpoint)
    if group.is_first:
        training.set_weights(training.best)
        result = {
            "held_out_loss": pretraining.held_out_loss(training.model, held_out.tokens),
            "ngram_losses": ngrams.cross_entropy(_text(train), _text(held_out), chosen.vocabulary),
            "train_tokens": int(train.tokens[:, 1:].size),
            "held_out_tokens": int(held_out.tokens[:, 1:].size),
            "leak": corpora.leak(documents),
            "parameters": sum(parameter.numel() for parameter in training.model.parameters()),
            "tokenizer": {
                "origin": chosen.origin,
                "entries": chosen.vocabulary,
                "begin": chosen.tokenizer.convert_ids_to_tokens(chosen.begin),
                "id": chosen.begin,
            },
            "curve": training.curve,
        }
        _publish(training, chosen.tokenizer, result, output)


def _documents(settings: Transformer, threads: int) -> Documents:
    source = Source(
        settings.corpus, settings.text_field, settings.corpus_revision, settings.subset, settings.split, "transformer"
    )
    if settings.documents is None:
        return corpora.load(source, processes=threads)
    return corpora.first(source, settings.documents, settings.shuffle_buffer, seed=settings.seed)


def _deciding(settings: Transformer, documents: Documents) -> str:
    """A digest of the corpus, and of all else that a tokenizer depends on."""
    named = settings.tokenizer, settings.tokenizer_revision, settings.vocabulary
    given = [*named, documents.sha256, *tokenizing.content(settings)]
    return hashlib.sha256(json.dumps(given).encode()).hexdigest()[:16]


def _packed(chosen: tokenizing.Chosen, texts: list[str], settings: Transformer) -> Blocks:
    ids = [ids for _, ids in encoded(chosen.tokenizer, iter(enumerate(texts)))]  # some at a time: what is made is large
    return pack(ids, settings.context, bos=chosen.begin, separator=chosen.end)


def _check(blocks: Blocks, least: int, place: str) -> None:
    n_blocks, context = blocks.tokens.shape
    if n_blocks < least:
        wanted = f"at least {least}: a smaller transformer.batch or context, or a larger corpus"
        raise BadInput(place, f"{n_blocks} blocks of {context} tokens", wanted)


def _text(blocks: Blocks) -> np.ndarray:
    return blocks.tokens[:, 1:].reshape(-1)


def _sample(blocks: Blocks, seed: int) -> np.ndarray:
    order = np.random.default_rng(seed).permutation(len(blocks.tokens))
    return blocks.tokens[order[: pretraining.QUICK_BLOCKS]]


def _resume(training: pretraining.Run, path: Path) -> None:
    if not path.exists():
        return
    wanted = "a checkpoint of params.yaml: transformer; where it is moved away, training begins anew"
    check_is_file(path, wanted)
    try:
        with safe_open(path, framework="pt") as file:
            state = json.loads((file.metadata() or {}).get("state", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError, ValueError) as error:
        raise BadInput(path, what_is(path, SAFETENSORS, error), wanted) from None
    if "settings" not in state:
        raise BadInput(path, "tensors that are no checkpoint", wanted)
    if state["settings"] != _trained_with(training):
        raise BadInput(path, "a checkpoint of other settings, or of another corpus or tokenizer", wanted)
    training.load(tensors)
    training.step, training.best_loss, training.curve = state["step"], state["best_loss"], state["curve"]


def _trained_with(training: pretraining.Run) -> dict:
    """What a checkpoint must agree on; the name of the folder and the device are free."""
    return training.settings.model_dump(mode="json", exclude={"name", "device"}) | {"made_from": training.made_from}


def _checkpoint(training: pretraining.Run, path: Path) -> None:
    state = {
        "step": training.step,
        "best_loss": training.best_loss,
        "curve": training.curve,
        "settings": _trained_with(training),
    }
    with whole_file(path) as temporary:
        save_file(training.tensors(), temporary, metadata={"state": json.dumps(state)})


def _train(training: pretraining.Run, train: np.ndarray, held_out: np.ndarray, checkpoint: Path) -> None:
    settings, group = training.settings, training.processes
    batches = pretraining.batches(train, settings.batch, settings.seed, first=training.step)
    progress = tqdm(
        total=settings.steps, initial=training.step, desc="transformer", unit="step", disable=not group.is_first
    )
    losses: list[float] = []
    while training.step < settings.steps:
        losses.append(training.train_step(next(batches)))
        progress.update()
        if training.step % settings.checkpoint_steps == 0 or training.step == settings.steps:
            training.note_held_out(
                group.mean(float(np.mean(losses))), pretraining.held_out_loss(training.model, held_out)
            )
            progress.set_postfix(held_out=f"{training.curve[-1]['held_out_loss']:.3f}")
            if not math.isfinite(training.curve[-1]["held_out_loss"]):
                found = f"a held-out loss that is no number at step {training.step}"
                raise BadInput("transformer", found, "a lower lr_muon or lr_adamw")
            losses.clear()
            if group.is_first:
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
