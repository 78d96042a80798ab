"""Files of torch that say nothing of themselves but the names of their tensors: OpenAI's, Goodfire's, Qwen-Scope's.

By description: no real file was seen. What only the name of a repository tells must be told.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sparse_coding.errors import BadInput
from sparse_coding.formats.parts import About, Found, MustBeTold, Settings, Tensors, pickled_tensors_of
from sparse_coding.formats.raw import Raw

NAME = "state_dict"
SUFFIXES = (".pt", ".pth")


def find(path: Path) -> Path | None:
    """A file of torch."""
    return path if path.suffix in SUFFIXES and path.is_file() else None


def read(file: Path, k: int | None = None) -> Found:
    """k: of Qwen-Scope, how many codes are kept. Raises BadInput for other names, and what cannot be read exactly."""
    state = pickled_tensors_of(file)
    for layout in LAYOUTS:
        if layout.names <= state.keys():
            if (k is not None) != layout.needs_k:
                found = "nothing that says how many codes are kept" if k is None else f"k {k}"
                wanted = (
                    "k=, as its repository's name tells" if k is None else f"none: a file of {layout.whose} tells all"
                )
                raise (MustBeTold if k is None else BadInput)(file, found, wanted)
            raw, rules = layout.read(file, state, k)
            about = About(file, (file,), layout.whose, raw.activation, proven=False, rules=tuple(rules))
            return Found(raw, about)
    names = ", ".join(sorted(map(str, state))[:8]) or "none"
    wanted = " or ".join(f"those of {each.whose} ({', '.join(sorted(each.names))})" for each in LAYOUTS)
    raise BadInput(file, f"tensors {names}", wanted)


def _goodfire(file: Path, state: Settings, k: int | None) -> tuple[Raw, list[str]]:
    tensors = Tensors(file, state)
    encoder = tensors.take("encoder_linear.weight", -1, -1)
    n_feat, d_in = encoder.shape
    raw = Raw(
        encoder=encoder, bias=tensors.take("encoder_linear.bias", n_feat),
        decoder=tensors.take("decoder_linear.weight", d_in, n_feat).T,
        out_bias=tensors.take("decoder_linear.bias", d_in),
    )  # fmt: skip
    tensors.end()
    return raw, ["reads x as it is"]


def _qwen(file: Path, state: Settings, k: int | None) -> tuple[Raw, list[str]]:
    tensors = Tensors(file, state)
    encoder = tensors.take("W_enc", -1, -1)
    n_feat, d_in = encoder.shape
    raw = Raw(
        encoder=encoder, bias=tensors.take("b_enc", n_feat), decoder=tensors.take("W_dec", d_in, n_feat).T,
        out_bias=tensors.take("b_dec", d_in), activation="topk", k=k or 0,
    )  # fmt: skip
    tensors.end()
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= n_feat:
        raise BadInput(file, f"k {k!r}", f"from 1 to {n_feat}, the number of features")
    return raw, ["reads x as it is", f"k {k}, as it was told"]


def _openai(file: Path, state: Settings, k: int | None) -> tuple[Raw, list[str]]:
    if state.get("activation") != "ReLU":
        found = f"activation {state.get('activation')!r}, with a LayerNorm of each vector"
        raise BadInput(file, found, "ReLU: no weight can hold that")
    plain = {name: each for name, each in state.items() if name not in ("activation", "activation_state_dict")}
    tensors = Tensors(file, plain)
    tensors.drop(*(name for name in plain if name.startswith("stats_")))
    encoder = tensors.take("encoder.weight", -1, -1)
    n_feat, d_in = encoder.shape
    out_bias = tensors.take("pre_bias", d_in)
    raw = Raw(
        encoder=encoder, bias=tensors.take("latent_bias", n_feat),
        decoder=tensors.take("decoder.weight", d_in, n_feat).T, out_bias=out_bias, read_bias=out_bias,
    )  # fmt: skip
    tensors.end()
    return raw, ["reads x - pre_bias"]


@dataclass(frozen=True)
class Layout:
    """Whose files have tensors of these names."""

    whose: str
    names: frozenset[str]
    read: Callable[[Path, Settings, int | None], tuple[Raw, list[str]]]
    needs_k: bool = False


LAYOUTS = (
    Layout("goodfire", frozenset({"encoder_linear.weight", "decoder_linear.weight"}), _goodfire),
    Layout("openai", frozenset({"pre_bias", "latent_bias", "encoder.weight", "decoder.weight"}), _openai),
    Layout("qwen_scope", frozenset({"W_enc", "W_dec", "b_enc", "b_dec"}), _qwen, needs_k=True),
)
