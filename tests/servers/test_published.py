"""A published folder, read by SAELens itself: codes, vectors and sparsity."""

import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sparse_coding.cli import commands
from tests.formats.test_golden import near
from tests.publishing import project
from tests.publishing.project import GAIN, JUMPRELU, KINDS, SITE, TIED, TOPK
from tests.workspace import ROOT

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]
PYTHON = ROOT / "build" / "bench" / "bin" / "python"
READER = Path(__file__).with_name("read_published.py")


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """Two folders, of plain dictionaries and of a refit, with what SAELens made of them; and held-out vectors."""
    if not PYTHON.exists():
        pytest.skip("missing: build/bench (make test-servers makes it)")
    here = tmp_path_factory.mktemp("published")
    project.make(here)
    x = project.held_out(here)
    save_file({"x": x}, here / "x.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        commands.publish([f"{SITE}/{name}" for name in (TIED, TOPK, JUMPRELU)], here / "plain")
        commands.publish([f"{SITE}/{name}" for name in (TIED, TOPK)], here / "refit", variant="gain_refit")
    for folder in ("plain", "refit"):
        command = [PYTHON, READER, here / folder, here / "x.safetensors"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
    return here, x


@pytest.mark.parametrize(("folder", "name"), [("plain", TIED), ("plain", TOPK), ("plain", JUMPRELU),
                                              ("refit", TIED), ("refit", TOPK)])  # fmt: skip
def test_saelens_computes_what_was_published(read, folder, name):
    here, x = read
    ours = KINDS[name][1] if folder == "plain" else KINDS[name][1].with_gain(GAIN)
    said = load_file(here / folder / SITE / f"{name}{'' if folder == 'plain' else '_gain_refit'}.read.safetensors")
    codes = ours.encode(x) / (ours.gain if ours.activation == "topk" else 1)  # its gains are in the decoder there
    assert near(said["codes"], codes)
    assert near(said["x_hat"], ours.reconstruct(x))
    share = (said["codes"] > 0).double().mean(0)
    torch.testing.assert_close(said["sparsity"], (share + 1e-10).log10().float())
