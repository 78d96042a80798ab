"""Small inputs that the steps accept, and what a step that refuses its input must do."""

import hashlib
import re
import subprocess
from pathlib import Path

import numpy as np
import torch

from sparse_coding.core.dictionary import Dictionary
from sparse_coding.io import dictionaries
from sparse_coding.io import tokens as token_files
from sparse_coding.io.activations import ActivationsWriter, Header
from sparse_coding.io.tokens import Blocks, Tokens
from sparse_coding.settings import slices
from sparse_coding.settings.params import Params
from tests.workspace import step

SITE, D = "layer0_residual", 16
N_TRAIN, N_HELD_OUT, FRAGMENTS, LENGTH = 600, 100, 20, 8
OLD = b"a result of an earlier run\n"


def some_params(**sections) -> Params:
    return Params.model_validate(
        {
            "grid": {"sites": [SITE], "architectures": ["tied"], "ratios": [2], "l1": [0.001]},
            "dictionaries": {"steps": 4, "batch": 64},
            "autointerp": {"features": 3},
            "dataset": {
                "context": 16,
                "train_tokens": 100,
                "held_out_tokens": 20,
                "fragments": 4,
                "fragment_tokens": 8,
            },
        }
        | sections
    )


def member(params: Params) -> str:
    return next(iter(slices.evaluation(params, SITE).members))


def write_activations(path: Path) -> None:
    random = torch.Generator().manual_seed(0)
    rows = {"train": N_TRAIN, "held_out": N_HELD_OUT, "fragments": FRAGMENTS * LENGTH}
    header = Header(site=SITE, model="models/tiny", corpus="texts", dtype="float32", d_act=D, block_rows=128)
    with ActivationsWriter(path, header, rows) as writer:  # type: ignore[arg-type]
        for split, n in rows.items():
            tokens = fragment_tokens().ravel() if split == "fragments" else np.zeros(n)
            writer.append(split, torch.randn(n, D, generator=random), tokens, np.arange(n), np.zeros(n))  # type: ignore[arg-type]


def fragment_tokens() -> np.ndarray:
    return np.random.default_rng(0).integers(2, 300, (FRAGMENTS, LENGTH), dtype=np.int32)


def write_tokens(path: Path, model: str = "models/tiny") -> None:
    def blocks(n: int, seed: int) -> Blocks:
        return Blocks(
            np.random.default_rng(seed).integers(2, 300, (n, 16), dtype=np.int32), np.zeros((n, 16), np.int32)
        )

    tokens = Tokens(
        train=blocks(20, 0),
        held_out=blocks(5, 1),
        fragments=fragment_tokens(),
        fragments_document=np.arange(FRAGMENTS, dtype=np.int32),
        vocabulary=[f"t{token}" for token in range(300)],
        model=model,
        corpus="texts",
        bos=None,
        special=(0,),
        seed=0,
        corpus_sha256="0" * 64,
        leak=0.0,
        n_documents_train=1,
        n_documents_held_out=1,
        n_documents_fragments=FRAGMENTS,
    )
    token_files.save(path, tokens)


def write_dictionary(path: Path) -> None:
    atoms = torch.nn.functional.normalize(torch.randn(2 * D, D, generator=torch.Generator().manual_seed(0)), dim=1)
    dictionaries.save(path, Dictionary(atoms, torch.zeros(2 * D), atoms, torch.zeros(D), torch.ones(2 * D)), {})


def write_texts(folder: Path, texts: list[str]) -> Path:
    folder.mkdir()
    for index, text in enumerate(texts):
        (folder / f"{index}.txt").write_text(text)
    return folder


def contents(folder: Path) -> dict[str, str]:
    """The sha256 of every file below `folder`, hidden ones too."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def refused(stage: str, settings: object, message: str, kept: Path, /, **arguments: object) -> None:
    """Run a step; it must end with 2 and one line like `message`, and leave the folder `kept` as it is."""
    before = contents(kept)
    given = [part for name, value in arguments.items() for part in (f"--{name}", str(value))]
    done = step(stage, "--settings", settings.model_dump_json(), *given)  # type: ignore[attr-defined]
    assert_one_line(done, stage, message)
    assert contents(kept) == before


def assert_one_line(done: subprocess.CompletedProcess[str], stage: str, message: str) -> None:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.replace("\r", "\n").splitlines() if line.strip()]
    assert re.fullmatch(rf"error: {stage}: .*{message}.*", lines[-1]), done.stderr
    assert "; wanted " in lines[-1]
    assert sum("error" in line.lower() for line in lines) == 1
