"""A tiny GPT-NeoX with a tokenizer, in a folder in Hugging Face format, made in a second."""

from pathlib import Path

import torch
from transformers import BertConfig, BertModel

from sparse_coding.lm.pretraining import new_model
from sparse_coding.lm.tokenizing import train_tokenizer
from sparse_coding.params import Transformer

TEXT = "def run(path): return the lines of a file, or None where it is missing; raise OSError otherwise. "


def make_tiny_model(folder: Path, layers: int = 3, d_model: int = 32, vocabulary: int = 300, context: int = 64) -> Path:
    """Write an untrained model and its tokenizer into `folder`; `<|endoftext|>` is id 0, BOS and EOS."""
    settings = Transformer(vocabulary=vocabulary, d_model=d_model, layers=layers, heads=4, context=context)
    train_tokenizer([TEXT * 20], vocabulary).save_pretrained(folder)
    new_model(settings, vocabulary).save_pretrained(folder)
    return folder


def make_tiny_embedder(folder: Path, vocabulary: int = 300) -> Path:
    """Write an untrained BERT, as a sentence-embedding model, and its tokenizer into `folder`."""
    tokenizer = train_tokenizer([TEXT * 20], vocabulary)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=vocabulary, max_position_embeddings=96, **sizes)).save_pretrained(folder)
    return folder
