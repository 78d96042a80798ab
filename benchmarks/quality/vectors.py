"""The vectors that all trainers learn from and are measured on: `python -m benchmarks.quality.vectors`.

The batches of the default's site in the default's order, written once to build/quality/vectors.safetensors: an
environment of other libraries can read that file.
"""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.quality.contract import BATCH, STEPS
from benchmarks.results import ROOT
from sparse_coding.atomic import whole_file
from sparse_coding.errors import BadInput

SITE = "layer2_residual"
FOLDER = ROOT / "build" / "quality"
FILE = FOLDER / "vectors.safetensors"
ACTIVATIONS = ROOT / "results" / "activations" / f"{SITE}.h5"
SAMPLE = 4096  # held-out vectors of a curve


@dataclass(frozen=True, eq=False)
class Vectors:
    """train [step * batch, d_act] and held_out [row, d_act] as stored; mean [d_act] and scale: of all for training."""

    train: Tensor
    held_out: Tensor
    mean: Tensor
    scale: float

    @property
    def d_act(self) -> int:
        """The number of dimensions."""
        return self.train.shape[1]

    def normal(self, x: Tensor) -> Tensor:
        """z = (x - mean) / scale in float32."""
        return (x.float() - self.mean) / self.scale

    def batch(self, step: int) -> Tensor:
        """What all trainers see in a step."""
        first = step * BATCH % len(self.train)
        return self.normal(self.train[first : first + BATCH])

    @property
    def sample(self) -> Tensor:
        """SAMPLE held-out vectors from all over, normalised."""
        rows = torch.linspace(0, len(self.held_out) - 1, min(SAMPLE, len(self.held_out))).long()
        return self.normal(self.held_out[rows])


def load(file: Path = FILE) -> Vectors:
    """Raises BadInput where they were not written yet."""
    if not file.exists():
        raise BadInput(file, "nothing", "the vectors: python -m benchmarks.quality.vectors, in the project's own .venv")
    tensors = load_file(file)
    return Vectors(tensors["train"], tensors["held_out"], tensors["mean"], float(tensors["scale"]))


def write(activations: Path = ACTIVATIONS, file: Path = FILE) -> None:
    """Read the batches of one epoch of `activations`. Raises BadInput where there are none."""
    from sparse_coding.io import stream
    from sparse_coding.io.activations import open_activations
    from sparse_coding.settings.params import Training

    if not activations.exists():
        raise BadInput(activations, "nothing", "the default's activations: `make plot` first")
    default = Training()
    with open_activations(activations) as source:
        batches = stream.batches(
            source.split("train"), size=BATCH, seed=default.shuffle_seed, buffer_rows=default.buffer_rows,
            ready=lambda batch: batch,
        )  # fmt: skip
        held_out = source.split("held_out")
        tensors = {
            "train": torch.cat(list(islice(batches, STEPS))),
            "held_out": held_out.read(0, held_out.n_rows).half(),
            "mean": source.mean.float(),
            "scale": torch.tensor(source.mean_norm, dtype=torch.float64),
        }
    with whole_file(file) as temporary:
        save_file(tensors, temporary)


if __name__ == "__main__":
    write()
