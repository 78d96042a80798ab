"""Tiny models with their tokenizers, in folders in Hugging Face format, made in a second."""

import json
import re
import string
from pathlib import Path

import torch
from transformers import BertConfig, BertModel, BertTokenizer

from sparse_coding.lm.pretraining import new_model
from sparse_coding.lm.tokenizing import train_tokenizer
from sparse_coding.settings.params import Transformer

TEXT = "def run(path): return the lines of a file, or None where it is missing; raise OSError otherwise. "
WORDS = sorted(set(re.findall(r"\w+", TEXT.lower())))
PRINTABLE = string.digits + string.ascii_lowercase + string.punctuation


def make_tiny_model(folder: Path, layers: int = 3, d_model: int = 32, vocabulary: int = 300, context: int = 64) -> Path:
    """Write an untrained model and its tokenizer into `folder`; `<|endoftext|>` is id 0, BOS and EOS."""
    settings = Transformer(vocabulary=vocabulary, d_model=d_model, layers=layers, heads=4, context=context)
    train_tokenizer([TEXT * 20], vocabulary).save_pretrained(folder)
    new_model(settings, vocabulary).save_pretrained(folder)
    return folder


def make_tiny_embedder(folder: Path, context: int = 96) -> Path:
    """Write a BERT with random weights and WordPiece as sentence-transformers shares one: mean of tokens, unit length.

    Weights are large enough that what a text becomes depends on every token, and on what padding adds.
    """
    torch.manual_seed(0)
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *PRINTABLE, *(f"##{sign}" for sign in PRINTABLE)]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    BertTokenizer(vocab=vocabulary, model_max_length=context).save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    network = BertModel(BertConfig(vocab_size=len(vocabulary), max_position_embeddings=context, **sizes))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(6) if parameter.ndim > 1 else parameter.add_(torch.randn_like(parameter) / 10)
    network.save_pretrained(folder)
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    modules = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (path, kind) in enumerate(kinds.items())
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 16, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder
