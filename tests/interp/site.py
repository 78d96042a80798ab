"""A site on disk whose features follow tokens: what the stages of interpretation read."""

from pathlib import Path

import numpy as np
import torch

from sparse_coding.core.baselines.signed import signed
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.io import dictionaries as dictionary_files
from sparse_coding.io import tokens as token_files
from sparse_coding.io.activations import ActivationsWriter, Header
from sparse_coding.io.tokens import Blocks, Tokens
from sparse_coding.settings.slices import Described
from tests.interp import planted

SITE = "layer2_residual"
D_ACT = len(planted.VOCABULARY) + 1  # one dimension a token
N_FEAT = 30
DESCRIBED = (
    Described(name="tied_r4_l1-0.002_s0", kind="tied", ratio=4, l1=2e-3, seed=0),
    Described(name="topk_r4_k8_s0", kind="topk", ratio=4, k=8, seed=0),
    Described(name="random", kind="random", seed=0),
)


def write(folder: Path) -> Path:
    """tokens.h5 and the activations and dictionaries of a site, in `folder`."""
    ids = planted.tokens() + 1  # token 0 is BOS
    bos = np.zeros((len(ids), 1), np.int32)
    block = Blocks(np.zeros((1, 65), np.int32), np.zeros((1, 65), np.int32))
    fragments = np.concatenate([bos, ids], axis=1)
    vocabulary = ["<bos>", *planted.VOCABULARY]
    document = np.arange(len(ids), dtype=np.int32)
    token_files.save(
        folder / "tokens.h5",
        Tokens(block, block, fragments, document, vocabulary, "m", "c", 0, (0,), 0, "0" * 64, 0.0, 1, 1, len(ids)),
    )
    vectors = torch.eye(D_ACT)[torch.from_numpy(ids.ravel()).long()]
    vectors += 0.01 * torch.randn(vectors.shape, generator=torch.Generator().manual_seed(0))
    position = np.tile(np.arange(1, 65), len(ids))
    columns = (ids.ravel(), np.repeat(document, 64), position)
    header = Header(SITE, "m", "c", "float32", D_ACT, 4096)
    with ActivationsWriter(folder / "site.h5", header, {"train": 64, "fragments": len(vectors)}) as writer:
        writer.append("train", vectors[:64], *(column[:64] for column in columns))
        writer.append("fragments", vectors, *columns)
    for name, dictionary in _dictionaries().items():
        dictionary_files.save(folder / f"{name}.safetensors", dictionary, {})
    return folder


def _dictionaries() -> dict[str, Dictionary]:
    """Features 2, 5, 8, ... of the first two are dead; the others fire on one token each."""
    atoms = torch.eye(D_ACT)[1 : N_FEAT + 1]
    bias = torch.full((N_FEAT,), -0.5)
    bias[2::3] = -5
    zeros, ones = torch.zeros(D_ACT), torch.ones(N_FEAT)
    directions = torch.randn(20, D_ACT, generator=torch.Generator().manual_seed(1))
    return {
        DESCRIBED[0].name: Dictionary(atoms, bias, atoms, zeros, ones),
        DESCRIBED[1].name: Dictionary(atoms, bias, atoms, zeros, ones, "topk", k=8),
        DESCRIBED[2].name: signed(directions, directions, torch.full((D_ACT,), 1 / D_ACT)),
    }
