"""The site and the scale that vectors had are found again, and what fits nothing is said to fit nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sparse_coding.cli import fitting as cli
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries
from sparse_coding.io.activations import ActivationsWriter, Header
from sparse_coding.using import fitting

D, ROWS = 12, 3000
SITES = {"layer1_residual": 1, "layer2_residual": 2, "random_layer2_residual": 2, "mine": 3}


def vectors(seed: int) -> torch.Tensor:
    """Few of some directions each, around a mean of their own; of many lengths."""
    random = np.random.default_rng(seed)
    atoms = random.standard_normal((2 * D, D))
    codes = random.exponential(size=(ROWS, 2 * D)) * (random.random((ROWS, 2 * D)) < 0.1)
    return torch.from_numpy(codes @ (5 * atoms) + 8 * random.standard_normal(D)).float()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    (folder / "activations").mkdir()
    for site, seed in SITES.items():
        header = Header(site=site, model="none", corpus="none", dtype="float32", d_act=D, block_rows=1000)
        with ActivationsWriter(folder / "activations" / f"{site}.h5", header, {"train": 500, "held_out": ROWS}) as file:
            for split, n in (("train", 500), ("held_out", ROWS)):
                column = np.arange(n)
                file.append(split, vectors(seed)[:n], column, column, column)
    return folder


def basis_of(x: torch.Tensor, n: int = D) -> Dictionary:
    """The largest directions of some vectors, as +d and -d: exact with all of them."""
    mean = x.mean(dim=0)
    rows = torch.linalg.svd(x - mean, full_matrices=False).Vh[:n]
    rows = torch.cat([rows, -rows])
    return Dictionary(rows, torch.zeros(len(rows)), rows, mean, torch.ones(len(rows)))


@pytest.mark.parametrize("site", ["layer1_residual", "layer2_residual", "mine"])
@pytest.mark.parametrize("scale", fitting.SCALES)
def test_where_its_vectors_came_from_and_how_they_were_scaled_is_found(results, site, scale):
    dictionary = basis_of(fitting.SCALES[scale](vectors(SITES[site])), 5)
    best = fitting.fits(dictionary, results)[0]
    assert best.site == site
    own = next(fit for fit in fitting.fits(dictionary, results) if (fit.site, fit.scale) == (site, scale))
    assert best.fvu <= own.fvu + 0.01
    x = fitting.SCALES[scale](vectors(SITES[site]))
    x_hat = dictionary.reconstruct(x)
    assert own.fvu == pytest.approx(float((x - x_hat).square().sum() / (x - x.mean(0)).square().sum()), rel=1e-4)
    assert own.l0 == pytest.approx(float((dictionary.encode(x) > 0).sum(1).float().mean()))


def test_controls_and_other_widths_are_passed_over(results):
    found = fitting.fits(basis_of(vectors(2)), results)
    assert {fit.site for fit in found} == set(SITES) - {"random_layer2_residual"}
    assert found[0].scale == "as they are"  # of those that are as good the plainest
    with pytest.raises(BadInput, match="none of 5 dimensions"):
        fitting.fits(basis_of(torch.randn(50, 5), 5), results)
    with pytest.raises(BadInput, match="one of a single place"):
        fitting.fits(replace(basis_of(vectors(2)), skip=torch.zeros(D, D)), results)


def test_the_verdict_stands_in_words(results, tmp_path, monkeypatch):
    monkeypatch.setattr(cli, "RESULTS", results)
    dictionaries.save(tmp_path / "good.safetensors", basis_of(vectors(1), 6), {})
    assert "It fits best: layer1_residual, vectors as they are." in cli.said(tmp_path / "good.safetensors")
    far = basis_of(vectors(9), 2)
    dictionaries.save(tmp_path / "far.safetensors", replace(far, centre=far.centre + 500), {})
    assert "It fits none of them" in cli.said(tmp_path / "far.safetensors")
