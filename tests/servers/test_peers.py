"""What we write, read by the libraries themselves, and the other way: in their own environment, build/bench."""

import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sparse_coding.formats import reading
from sparse_coding.formats.converting import convert
from tests.formats.test_converting import HELD, KINDS, saved
from tests.formats.test_golden import near
from tests.workspace import ROOT

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]
PYTHON = ROOT / "build" / "bench" / "bin" / "python"
PEER = Path(__file__).with_name("peer.py")


PAIRS = [(library, kind) for library in HELD if library != "sparse_coding" for kind in HELD[library]]
X = 3 * torch.randn(200, 12, generator=torch.Generator().manual_seed(5)) + 1


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A folder with what they made of all that we write, and of what they write."""
    if not PYTHON.exists():
        pytest.skip("build/bench is missing: make build/bench/.installed")
    root = tmp_path_factory.mktemp("peers")
    save_file({"x": X}, root / "x.safetensors")
    for library, kind in PAIRS:
        (root / kind).mkdir(exist_ok=True)
        convert(saved(root, KINDS[kind]), root / kind / library, library)
    done = subprocess.run([PYTHON, PEER, root, root / "x.safetensors"], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-2000:]
    return root


@pytest.mark.parametrize(("library", "kind"), PAIRS)
def test_a_library_reads_what_we_write(told, library, kind):
    said, ours = load_file(told / kind / f"{library}.safetensors"), KINDS[kind]
    codes = ours.encode(X) / (ours.gain if ours.activation == "topk" else 1)  # its gains are in the decoder there
    assert ((said["codes"] > 0) == (codes > 0)).float().mean() > 0.9999  # ties
    assert near(said["codes"], codes)
    assert near(said["x_hat"], ours.reconstruct(X))


@pytest.mark.parametrize("library", ["saelens", "sparsify"])
def test_we_read_what_a_library_writes_now(told, library):
    said = load_file(told / "written" / f"{library}.safetensors")
    raw = reading.read(told / "written" / library).raw
    assert near(raw.encode(X.double()), said["codes"].double())
    assert near(raw.reconstruct(X.double()), said["x_hat"].double())
    assert 0.5 < (said["codes"] > 0).float().sum(1).mean() < 15
