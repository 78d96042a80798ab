"""sparsify 1.3.3: a folder with cfg.json and sae.safetensors, of one hookpoint of a run."""

from collections.abc import Iterator
from pathlib import Path

from sparse_coding.errors import BadInput
from sparse_coding.formats.parts import (
    About,
    Found,
    Tensors,
    at_most,
    boolean,
    one_of,
    safetensors_of,
    settings_of,
    whole,
)
from sparse_coding.formats.raw import Raw

NAME = "sparsify"
CFG, WEIGHTS = "cfg.json", "sae.safetensors"
K, EXPANSION = 32, 32  # its defaults


def find(path: Path) -> Path | None:
    """The folder of a dictionary that `path` is or lies in. Raises BadInput for a run with several hookpoints."""
    folder = path if path.is_dir() else path.parent
    if (path.is_dir() or path.name in (CFG, WEIGHTS)) and (folder / WEIGHTS).is_file() and (folder / CFG).is_file():
        return folder
    if path.is_dir() and (path / "config.json").is_file() and (those := list(_of_run(path))):
        raise BadInput(path, "the folder of a run of sparsify", f"one of its dictionaries: {', '.join(those)}")
    return None


def _of_run(folder: Path) -> Iterator[str]:
    for depth in ("*/", "*/*/"):
        yield from (each.parent.relative_to(folder).as_posix() for each in sorted(folder.glob(f"{depth}{WEIGHTS}")))


def read(folder: Path) -> Found:
    """Raises BadInput for what cannot be read exactly."""
    place, tensors = folder / CFG, Tensors(folder / WEIGHTS, safetensors_of(folder / WEIGHTS))
    cfg = settings_of(place)
    activation = one_of(place, "activation", cfg.get("activation", "topk"), ("topk", "groupmax"))
    if activation == "groupmax":
        raise BadInput(place, "activation groupmax", "topk: the largest of each group of features is not read yet")
    if boolean(place, cfg, "signed", False):
        raise BadInput(place, "signed true, of a version before 1.0", "one that later versions can read")
    d_in = whole(place, cfg, "d_in")
    wide = {"expansion_factor": EXPANSION} | cfg
    n_feat = (
        whole(place, cfg, "num_latents") if cfg.get("num_latents") else d_in * whole(place, wide, "expansion_factor")
    )
    k = at_most(place, whole(place, {"k": K} | cfg, "k"), n_feat)
    out_bias = tensors.take("b_dec", d_in)
    of_pair = boolean(place, cfg, "transcode", False)
    skip = tensors.take("W_skip", d_in, d_in).T if boolean(place, cfg, "skip_connection", False) else None
    raw = Raw(
        encoder=tensors.take("encoder.weight", n_feat, d_in), bias=tensors.take("encoder.bias", n_feat),
        decoder=tensors.take("W_dec", n_feat, d_in), out_bias=out_bias, read_bias=None if of_pair else out_bias,
        activation="topk", k=k, skip=skip, is_pair=of_pair,
    )  # fmt: skip
    tensors.end()
    rules = ["reads x as it is (transcode)" if of_pair else "reads x - b_dec", "rows of W_dec as they are stored"]
    if skip is not None:
        rules.append("the skip reads x itself")
    if boolean(place, cfg, "multi_topk", False):
        rules.append("multi_topk: k codes, as its encode has it; its forward puts together 4 k of them, without a skip")
    if tensors.dtypes != ["float32"]:
        rules.append(f"weights of {', '.join(tensors.dtypes)}, computed with in float32")
    about = About(
        folder, (place, folder / WEIGHTS), NAME, "skip transcoder" if skip is not None else "transcoder" if of_pair
        else "topk", rules=tuple(rules), hook=folder.name if not folder.name.startswith("seed") else folder.parent.name,
    )  # fmt: skip
    return Found(raw, about)
