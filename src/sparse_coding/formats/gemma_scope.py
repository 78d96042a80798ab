"""Gemma Scope 1 (params.npz) and 2 (params.safetensors beside config.json): JumpReLU, which reads x as it is.

Of the first, only the names of repository and folders tell a transcoder and a dictionary of embeddings from others, so
these must be told.
"""

from pathlib import Path

from sparse_coding.errors import BadInput
from sparse_coding.formats.parts import About, Found, MustBeTold, Tensors, npz_of, one_of, safetensors_of, settings_of
from sparse_coding.formats.raw import Raw

NAME, NAME_2 = "gemma_scope", "gemma_scope_2"
FIRST, SECOND, CONFIG = "params.npz", "params.safetensors", "config.json"
OF = ("residual", "mlp", "attention", "transcoder", "embedding")


def find(path: Path) -> Path | None:
    """The file of the first."""
    file = path / FIRST if path.is_dir() else path
    return file if file.name == FIRST and file.is_file() else None


def find_2(path: Path) -> Path | None:
    """The folder of the second."""
    folder = path if path.is_dir() else path.parent
    fits = path.is_dir() or path.name in (SECOND, CONFIG)
    return folder if fits and (folder / SECOND).is_file() and (folder / CONFIG).is_file() else None


def read(file: Path, of: str | None = None) -> Found:
    """of: one of OF. Raises BadInput without it, and for what cannot be read exactly."""
    tensors = Tensors(file, npz_of(file))
    if of is None:
        raise MustBeTold(
            file, "nothing that says what it is of", f"of={' or '.join(OF)}, as its repository's name tells"
        )
    one_of(file, "of", of, OF)
    raw, rules = _jumprelu(tensors, "W_enc", "W_dec", is_pair=of == "transcoder"), ["reads x as it is"]
    tensors.end()
    if of == "embedding":
        root = raw.encoder.shape[1] ** 0.5
        raw = Raw(
            raw.encoder / root, raw.bias, raw.decoder * root, raw.out_bias, activation="jumprelu",
            threshold=raw.threshold,
        )  # fmt: skip
        rules.append("of embeddings: W_enc divided by, W_dec times the root of the dimensions")
    return Found(raw, About(file, (file,), NAME, "jumprelu", rules=tuple(rules), more={"of": of}))


def read_2(folder: Path) -> Found:
    """Raises BadInput for what cannot be read exactly."""
    place, tensors = folder / CONFIG, Tensors(folder / SECOND, safetensors_of(folder / SECOND))
    config = settings_of(place)
    one_of(place, "architecture", config.get("architecture"), ("jump_relu",))
    first, last = config.get("hf_hook_point_in"), config.get("hf_hook_point_out")
    if not first:
        raise BadInput(place, f"hf_hook_point_in {first!r}", "the place that is read")
    last = last or first  # of one place it has null
    affine = bool(config.get("affine_connection", False))
    if affine != ("affine_skip_connection" in tensors.left):
        raise BadInput(place, f"affine_connection {affine}", f"what {SECOND} holds")
    raw = _jumprelu(tensors, "w_enc", "w_dec", is_pair=first != last)
    if affine:
        skip = tensors.take("affine_skip_connection", raw.encoder.shape[1], raw.decoder.shape[1])
        raw = Raw(
            raw.encoder, raw.bias, raw.decoder, raw.out_bias, activation="jumprelu", threshold=raw.threshold, skip=skip,
            is_pair=raw.is_pair,
        )  # fmt: skip
    tensors.end()
    rules = ["reads x as it is", *(["the affine connection reads x itself"] if affine else [])]
    about = About(
        folder, (place, folder / SECOND), NAME_2, "jumprelu", rules=tuple(rules), model=config.get("model_name"),
        hook=first, more={"hook_out": last} if first != last else {},
    )  # fmt: skip
    return Found(raw, about)


def _jumprelu(tensors: Tensors, encoder: str, decoder: str, is_pair: bool) -> Raw:
    w_enc, w_dec = tensors.take(encoder, -1, -1), tensors.take(decoder, -1, -1)
    d_in, n_feat = w_enc.shape
    if len(w_dec) != n_feat or (not is_pair and w_dec.shape[1] != d_in):
        found = f"{encoder} {list(w_enc.shape)} and {decoder} {list(w_dec.shape)}"
        raise BadInput(tensors.path, found, "[d_in, n_feat] and [n_feat, d_out]; one place has one width")
    return Raw(
        encoder=w_enc.T, bias=tensors.take("b_enc", n_feat), decoder=w_dec,
        out_bias=tensors.take("b_dec", w_dec.shape[1]), activation="jumprelu",
        threshold=tensors.take("threshold", n_feat), is_pair=is_pair,
    )  # fmt: skip
