"""Files that the real libraries wrote, against what their own classes make of them."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sparse_coding.errors import BadInput
from sparse_coding.formats import reading

GOLDEN = Path(__file__).parent.parent / "golden"
TOLERANCE = 2e-5  # of the largest value, as the files' own README has it
NOT_READ = {
    "saelens/matching_pursuit": "its own rule to stop",
    "saelens/jumprelu_layer_norm": "which no weight can hold",
    "saelens/standard_constant_norm_rescale": "which no weight can hold",
}
TOLD = {"gemma_scope/residual": {"of": "residual"}, "gemma_scope/transcoder": {"of": "transcoder"}}


@dataclass(frozen=True)
class Case:
    """A folder of files, where the dictionary lies in it, and where its expected values."""

    name: str
    at: str = ""
    expected: str = "expected.safetensors"


def cases():
    for made in sorted(GOLDEN.glob("*/*/made.json")):
        folder = made.parent
        name = f"{folder.parent.name}/{folder.name}"
        inner = [
            each
            for each in sorted(folder.rglob("*"))
            if each.name in ("cfg.json", "ae.pt", "params.npz", "params.safetensors")
        ]
        for each in inner:
            own = each.parent / "expected.safetensors"
            at = each.parent.relative_to(folder).as_posix()
            yield Case(
                name, at, (own if own.exists() else folder / "expected.safetensors").relative_to(folder).as_posix()
            )


def read(case):
    return reading.read(GOLDEN / case.name / case.at, **TOLD.get(case.name, {}))


def expected_of(case):
    """x, codes by its own class without what a loader does to them, x_hat; all of activations as the model has them."""
    found = {name: each.double() for name, each in load_file(GOLDEN / case.name / case.expected).items()}
    scale = 1.0
    if case.name == "saelens/checkpoint_batchtopk":  # its x is what it saw after scaling
        scale = json.loads((GOLDEN / case.name / "activation_scaler.json").read_text())["scaling_factor"]
    if case.name == "dictionary_learning/autoencoder":  # its loader makes rows of unit norm
        return found["x"], found["codes_not_normalised"], found["x_hat"]
    return found["x"] / scale, found["codes"], found["x_hat"] / scale


def near(found, wanted):
    return (found - wanted).abs().max() <= TOLERANCE * max(1, wanted.abs().max())


ALL = [each for each in cases() if each.name not in NOT_READ]


@pytest.mark.parametrize("case", ALL, ids=lambda case: f"{case.name}/{case.at}")
def test_a_file_of_another_library_is_read_as_that_reads_it(case):
    x, codes, x_hat = expected_of(case)
    raw = read(case).raw
    assert ((raw.encode(x) != 0) == (codes != 0)).all()
    assert near(raw.encode(x), codes)
    assert near(raw.reconstruct(x), x_hat)


@pytest.mark.parametrize("case", ALL, ids=lambda case: f"{case.name}/{case.at}")
def test_ours_computes_the_same_with_unit_rows(case):
    x, codes, x_hat = expected_of(case)
    raw = read(case).raw
    ours = raw.dictionary()
    assert torch.allclose(ours.atoms.norm(dim=1), torch.ones(ours.n_feat))
    for dtype in (torch.float32, torch.float64):
        own = ours.to(dtype)
        wanted = raw.as_ours(codes)
        assert ((own.encode(x) != 0) == (wanted != 0)).all()
        assert near(own.encode(x).double(), wanted)
        assert near(own.reconstruct(x).double(), x_hat)


@pytest.mark.parametrize(("name", "why"), NOT_READ.items())
def test_what_cannot_be_held_is_refused(name, why):
    with pytest.raises(BadInput, match=why):
        reading.read(GOLDEN / name)


def test_a_run_of_several_names_its_dictionaries():
    with pytest.raises(BadInput, match=r"layers\.0, layers\.1\.mlp"):
        reading.read(GOLDEN / "sparsify" / "run_two_hookpoints")


def test_what_only_a_repository_tells_must_be_told():
    with pytest.raises(BadInput, match="of=residual or mlp or attention or transcoder or embedding"):
        reading.read(GOLDEN / "gemma_scope" / "residual" / "layer_3" / "width_16k" / "average_l0_10")
    with pytest.raises(BadInput, match="nothing: its files tell all"):
        reading.read(GOLDEN / "saelens" / "topk", of="residual")
