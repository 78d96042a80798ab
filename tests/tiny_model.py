"""A tiny GPT-NeoX with a tokenizer, in a folder in Hugging Face format, made in a second."""

from pathlib import Path

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
