"""Write tests/servers/tiny.gguf: a language model of llama's architecture whose every weight follows from a rule.

A token is a byte. What comes next depends on the last token: after the end of the header the model says "the words"
and is done; where a grammar wants a value, it says a digit, which depends on the two tokens before the colon (the key
of the value), because two heads of attention look exactly there. Run with the packages of requirements.txt here:

    build/servers/bin/python tests/servers/make_gguf.py tests/servers/tiny.gguf
"""

import sys
from itertools import pairwise

import gguf
import numpy as np

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
N_VOCAB = 256 + len(SPECIAL)
HEAD, N_HEADS = 32, 2
DIGITS, ONE = 259, 287  # of the residual stream: where the heads write, 10 dimensions each, and what is 1 always
WIDTH = 288
ROPE_BASE = 10000.0
SHARP = 1.0  # of attention: what stands one token beside counts for less than a hundredth
CONTEXT = 32768
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SAYS = "\nthe words"


def letters() -> list[str]:
    """What GPT-2 writes for each byte, so that no byte is a blank."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in plain else chr(next(others)) for byte in range(256)]


def embedding() -> np.ndarray:
    """[tokens, width]: each token its own dimension, and the one that is always on."""
    table = np.zeros((N_VOCAB, WIDTH), np.float16)
    table[np.arange(N_VOCAB), np.arange(N_VOCAB)] = 1
    table[:, ONE] = 1
    return table


def queries(scale: float) -> np.ndarray:
    """[heads * HEAD, width]: each head looks two and three tokens back, by the phase of its rotations."""
    rates = ROPE_BASE ** (-np.arange(0, HEAD, 2) / HEAD)
    table = np.zeros((N_HEADS * HEAD, WIDTH), np.float16)
    for head, back in enumerate((2, 3)):
        table[head * HEAD : (head + 1) * HEAD : 2, ONE] = scale * np.cos(-back * rates)
        table[head * HEAD + 1 : (head + 1) * HEAD : 2, ONE] = scale * np.sin(-back * rates)
    return table


def keys() -> np.ndarray:
    """The same for all tokens: only where a token stands decides."""
    table = np.zeros((N_HEADS * HEAD, WIDTH), np.float16)
    table[::2, ONE] = SHARP
    return table


def values() -> np.ndarray:
    """Which digit a token is, if it is one."""
    table = np.zeros((N_HEADS * HEAD, WIDTH), np.float16)
    for head in range(N_HEADS):
        for digit in range(10):
            table[head * HEAD + digit, ord("0") + digit] = 1
    return table


def gathered() -> np.ndarray:
    """[width, heads * HEAD]: into dimensions of each head's own."""
    table = np.zeros((WIDTH, N_HEADS * HEAD), np.float16)
    for head in range(N_HEADS):
        for digit in range(10):
            table[DIGITS + 10 * head + digit, head * HEAD + digit] = 1
    return table


def output() -> np.ndarray:
    """[tokens, width]: logits."""
    table = np.zeros((N_VOCAB, WIDTH), np.float16)
    table[128:256] = -1  # no half letters
    table[[ord("\n"), ord(" ")], ONE] = -1  # grammars allow them between any two words
    for before, after in pairwise(SAYS):
        table[ord(after), ord(before)] = 4
    table[N_VOCAB - 1, ord(SAYS[-1])] = 2
    digits = np.arange(ord("0"), ord("9") + 1)
    for before in ":, ":
        table[digits, ord(before)] = 1
    for of_key in range(10):
        for digit in range(10):
            table[ord("0") + digit, DIGITS + of_key] = ((3 * of_key + 7 * digit) % 10) / 20
            table[ord("0") + digit, DIGITS + 10 + of_key] = ((7 * of_key + 9 * digit) % 10) / 20
    return table


def write(path: str) -> None:
    """The file, always the same bytes."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(HEAD)
    writer.add_head_count(N_HEADS)
    writer.add_head_count_kv(N_HEADS)
    writer.add_key_length(HEAD)
    writer.add_value_length(HEAD)
    writer.add_rope_dimension_count(HEAD)
    writer.add_rope_freq_base(ROPE_BASE)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(N_VOCAB)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([*letters(), *SPECIAL])
    writer.add_token_types([gguf.TokenType.NORMAL] * 256 + [gguf.TokenType.CONTROL] * len(SPECIAL))
    writer.add_token_merges(["! !"])  # the format wants one; no text here has two tokens "!" made into a third
    writer.add_bos_token_id(256)
    writer.add_eos_token_id(258)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT)
    ones = np.ones(WIDTH, np.float32)
    writer.add_tensor("token_embd.weight", embedding())
    writer.add_tensor("blk.0.attn_norm.weight", ones)
    writer.add_tensor("blk.0.attn_q.weight", queries(SHARP))
    writer.add_tensor("blk.0.attn_k.weight", keys())
    writer.add_tensor("blk.0.attn_v.weight", values())
    writer.add_tensor("blk.0.attn_output.weight", gathered())
    writer.add_tensor("blk.0.ffn_norm.weight", ones)
    writer.add_tensor("blk.0.ffn_gate.weight", np.zeros((HEAD, WIDTH), np.float16))
    writer.add_tensor("blk.0.ffn_up.weight", np.zeros((HEAD, WIDTH), np.float16))
    writer.add_tensor("blk.0.ffn_down.weight", np.zeros((WIDTH, HEAD), np.float16))
    writer.add_tensor("output_norm.weight", ones)
    writer.add_tensor("output.weight", output())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    write(sys.argv[1])
