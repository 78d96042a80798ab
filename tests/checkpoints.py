"""Small real checkpoints in hub format: the architectures' own classes, with a tokenizer trained on a few lines."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    BertConfig,
    BloomConfig,
    Gemma2Config,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MambaConfig,
    MixtralConfig,
    Olmo2Config,
    OPTConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    RobertaConfig,
)

from sparse_coding.lm.tokenizing import train_tokenizer
from tests.tiny_model import TEXT

LAYERS, WIDTH, HEADS, VOCABULARY, CONTEXT = 3, 32, 4, 300, 64
_SIZES = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "intermediate_size": 80}
_GROUPED = {"num_key_value_heads": 2, "head_dim": 10, "max_position_embeddings": CONTEXT}
ENCODERS: dict[str, PretrainedConfig] = {
    "bert": BertConfig(vocab_size=VOCABULARY, max_position_embeddings=CONTEXT, **_SIZES),
    # Places are counted from the padding token on: two more vectors than tokens of the longest context.
    "roberta": RobertaConfig(
        vocab_size=VOCABULARY, max_position_embeddings=CONTEXT + 2, pad_token_id=1, bos_token_id=0, eos_token_id=0,
        **_SIZES,
    ),
}  # fmt: skip
CONFIGS: dict[str, PretrainedConfig] = {
    "neox": GPTNeoXConfig(vocab_size=VOCABULARY, **_SIZES),
    "neox, one after the other": GPTNeoXConfig(vocab_size=VOCABULARY, use_parallel_residual=False, **_SIZES),
    "gpt2": GPT2Config(vocab_size=VOCABULARY, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, n_positions=CONTEXT),
    "llama": LlamaConfig(vocab_size=VOCABULARY, **_SIZES, **_GROUPED),
    "qwen2": Qwen2Config(vocab_size=VOCABULARY, **_SIZES, num_key_value_heads=2, tie_word_embeddings=True),
    "gemma2": Gemma2Config(
        vocab_size=VOCABULARY, **_SIZES, **_GROUPED, sliding_window=5, attn_logit_softcapping=0.05, pad_token_id=0
    ),
    "olmo2": Olmo2Config(vocab_size=VOCABULARY, **_SIZES, pad_token_id=0),
    "bloom": BloomConfig(vocab_size=VOCABULARY, hidden_size=WIDTH, n_layer=LAYERS, n_head=HEADS),
    "opt": OPTConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS, ffn_dim=80,
        word_embed_proj_dim=WIDTH, max_position_embeddings=CONTEXT, pad_token_id=0,
    ),
    "mixtral": MixtralConfig(vocab_size=VOCABULARY, **_SIZES, num_key_value_heads=2, num_local_experts=4),
    "mamba": MambaConfig(vocab_size=VOCABULARY, hidden_size=WIDTH, num_hidden_layers=LAYERS, state_size=4),
}  # fmt: skip


def make_checkpoint(folder: Path, architecture: str, seed: int = 0) -> Path:
    """Write a checkpoint with random weights, large enough that what it predicts depends on every part of it."""
    torch.manual_seed(seed)
    if architecture in ENCODERS:
        network = AutoModelForMaskedLM.from_config(ENCODERS[architecture])
    else:
        network = AutoModelForCausalLM.from_config(CONFIGS[architecture])
    _enlarge(network).save_pretrained(folder)
    train_tokenizer([TEXT * 20], VOCABULARY).save_pretrained(folder)
    return folder


def make_encoder(folder: Path, architecture: str, head: bool = False) -> Path:
    """Write an encoder as people share them: with a mask token, and most of them without a head that predicts."""
    torch.manual_seed(0)
    kind = AutoModelForMaskedLM if head else AutoModel
    _enlarge(kind.from_config(ENCODERS[architecture])).save_pretrained(folder)
    special = {
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "cls_token": "<s>",
        "sep_token": "</s>",
        "mask_token": "<mask>",
    }
    split = pre_tokenizers.Whitespace()
    known = [*special.values(), *sorted({word for word, _ in split.pre_tokenize_str(TEXT)})]
    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(known)}, unk_token="<unk>"))
    words.pre_tokenizer = split
    PreTrainedTokenizerFast(tokenizer_object=words, **special).save_pretrained(folder)
    return folder


def _enlarge(network: PreTrainedModel) -> PreTrainedModel:
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.mul_(6)
            else:
                parameter.add_(torch.randn_like(parameter) / 10)
    return network
