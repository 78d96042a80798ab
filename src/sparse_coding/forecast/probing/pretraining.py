"""Processor time of the small transformer: its steps, its held-out losses, its tokenizer, and n-grams to beat."""

import numpy as np

from sparse_coding.forecast.counting import corpus
from sparse_coding.forecast.probing import starting
from sparse_coding.forecast.probing.probe import seconds_of
from sparse_coding.lm.pretraining import QUICK_BLOCKS, Run, held_out_loss, mean_loss, new_model
from sparse_coding.settings.params import Transformer

TRIED_TOKENS = 1024
HELD_OUT = 0.04  # of the tokens
BPE, ENCODED = 3.5e-7, 6e-7  # seconds a byte of text: to train a tokenizer, to encode it
COUNTED = 1.5e-6  # seconds a token: n-grams of five orders


def seconds(own: Transformer, vocabulary: int) -> float:
    """All that comes after the corpus was read; a step and a block are tried on a model of this very shape."""
    blocks = max(1, min(own.batch, TRIED_TOKENS // own.context))
    tokens = np.random.default_rng(0).integers(0, vocabulary, (blocks, own.context), dtype=np.int32)
    run = Run(new_model(own, vocabulary), own)
    taken_by_step = seconds_of(lambda: run.train_step(tokens))
    block = seconds_of(lambda: mean_loss(run.model, tokens, own.precision).backward()) / blocks
    seen = seconds_of(lambda: held_out_loss(run.model, tokens)) / blocks

    n_tokens, text = corpus.training_tokens(own, vocabulary), corpus.training_bytes(own)
    looks = min(QUICK_BLOCKS, HELD_OUT * n_tokens / own.context) * -(-own.steps // own.checkpoint_steps)
    training = own.steps * (taken_by_step + (own.batch - blocks) * block)
    made = starting.slowness() * ((BPE + ENCODED) * text + COUNTED * n_tokens)
    return training + seen * (looks + HELD_OUT * n_tokens / own.context) + made
