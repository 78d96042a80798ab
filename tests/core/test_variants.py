"""Variants: what is fitted of each, against brute force; and that whichever way codes are found they are the same."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from sparse_coding import methods, variants
from sparse_coding.core import architectures
from sparse_coding.core.architectures.contract import Penalty
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.core.variants import build
from sparse_coding.core.variants.contract import Recoding
from sparse_coding.core.variants.threshold_refit import KEPT, largest_share
from sparse_coding.errors import BadInput
from sparse_coding.figures.variant_looks import LOOKS
from sparse_coding.settings.params import own_section

UNCUT = ("thresholding", "lista", "semilinear")  # their codes are not those of one layer and a ReLU


def a_dictionary(seed=0, n_feat=24, d_act=8, threshold=None) -> tuple[Dictionary, torch.Tensor]:
    """Of float64, and 300 vectors of it; three of its features never fire."""
    generator = torch.Generator().manual_seed(seed)
    atoms = torch.nn.functional.normalize(torch.randn(n_feat, d_act, generator=generator).double(), dim=1)
    bias = -0.5 * torch.rand(n_feat, generator=generator).double()
    bias[:3] = -1e6
    x = torch.randn(300, d_act, generator=generator).double()
    own = (
        {} if threshold is None else {"activation": "jumprelu", "threshold": torch.full((n_feat,), threshold).double()}
    )
    return Dictionary(atoms, bias, atoms, torch.ones(d_act).double(), torch.ones(n_feat).double(), **own), x


def test_each_row_is_made_and_has_a_look():
    assert all(isinstance(build(name), Recoding) for name in variants.NAMES)
    assert tuple(LOOKS) == variants.NAMES
    with pytest.raises(BadInput, match=r"variant: found 'gain'; wanted one of gain_refit, threshold_refit"):
        build("gain")


@pytest.mark.parametrize("name", variants.NAMES)
@pytest.mark.parametrize("threshold", [None, 0.4])
def test_codes_of_codes_are_those_of_the_dictionary(name, threshold):
    plain, x = a_dictionary(threshold=threshold)
    recoding, other = build(name), x.flip(0) * 1.1
    fitted = recoding.fit(plain, lambda: x.split(70))
    assert bool(fitted) == variants.of(name).is_fitted
    variant = recoding.dictionary(plain, fitted)
    found = recoding.codes(plain, fitted, other, plain.encode(other))
    torch.testing.assert_close(variant.encode(other), found)
    assert (found != plain.encode(other)).any()
    assert variant.n_feat == plain.n_feat


@given(seed=st.integers(0, 2**20), share=st.floats(0, 0.99), portion=st.sampled_from([70, 150, 300]))
@settings(max_examples=20, deadline=None)
def test_above_the_threshold_is_so_large_a_share_of_codes(seed, share, portion):
    plain, x = a_dictionary(seed)
    threshold = float(largest_share(plain, x.split(portion), share))
    codes = torch.cat([plain.encode(part) for part in x.split(portion)])  # of other portions they are rounded otherwise
    above = codes > threshold
    assert int(above.sum()) == int(share * int((codes > 0).sum()))
    assert torch.equal(torch.cat([plain.cut(threshold).encode(part) for part in x.split(portion)]), codes * above)


def test_gains_of_what_is_above_the_threshold_are_the_best_ones():
    """Against scipy's non-negative least squares on the terms written out."""
    plain, x = a_dictionary()
    fitted = build("threshold_refit").fit(plain, lambda: [x])
    codes = plain.encode(x).numpy()
    assert float(fitted["threshold"]) == np.sort(codes[codes > 0])[-int(KEPT * (codes > 0).sum()) - 1]
    kept = codes * (codes > float(fitted["threshold"]))
    terms = (kept[:, None, :] * plain.decoder.numpy().T[None]).reshape(-1, plain.n_feat)
    fires = kept.any(axis=0)
    best, _ = nnls(terms[:, fires], (x - plain.centre).numpy().ravel())
    np.testing.assert_allclose(fitted["gain"].numpy()[fires], best, atol=1e-6)
    assert (fitted["gain"].numpy()[~fires] == 1).all()


def test_nothing_fires():
    plain, x = a_dictionary()
    silent = Dictionary(plain.encoder, plain.bias - 1e6, plain.decoder, plain.centre, plain.gain)
    fitted = build("threshold_refit").fit(silent, lambda: [x])
    assert (float(fitted["threshold"]), set(fitted["gain"].tolist())) == (0.0, {1.0})


def test_a_cut_is_for_what_a_threshold_can_say():
    plain, _ = a_dictionary(threshold=0.4)
    assert plain.cut(0.1).threshold.tolist() == plain.threshold.tolist()
    halved = plain.with_gain(torch.full((24,), 0.5).double())
    assert halved.cut(0.5).threshold.tolist() == [1.0] * 24
    for wrong, dictionary in ((-1.0, plain), (float("nan"), plain), (0.1, plain.with_pursuit())):
        with pytest.raises(BadInput, match="cut: found"):
            dictionary.cut(wrong)


def of_kind(kind):
    """One of its dictionaries as it begins, and vectors."""
    generator = torch.Generator().manual_seed(0)
    architecture = architectures.build(kind, own_section(kind)().model_dump(mode="json"))
    parameters = architecture.init(40, 16, generator)
    folded = architecture.fold(parameters, architecture.state(parameters), torch.zeros(16), 1.0, Penalty(l1=0.01, k=4))
    return folded, torch.randn(200, 16, generator=generator)


@pytest.mark.parametrize("kind", [kind for kind in methods.LEARNED if not methods.of(kind).pairs])
def test_what_a_kind_has_can_be_made_of_its_dictionaries(kind):
    plain, x = of_kind(kind)
    for name in (each for each in variants.NAMES if variants.of(each).is_of(kind, None)):
        recoding = build(name)
        made = recoding.fit(plain, lambda: [x])
        found = recoding.codes(plain, made, x, plain.encode(x))
        torch.testing.assert_close(recoding.dictionary(plain, made).encode(x), found)
    if not methods.of(kind).cut:
        with pytest.raises(BadInput, match="cut: found activation"):
            plain.cut(0.1)


def test_which_dictionaries_have_which():
    def having(kind, k=None):
        return {name for name in variants.NAMES if variants.of(name).is_of(kind, k)}

    assert having("untied") == set(variants.NAMES)
    for kind in methods.LEARNED:
        if methods.of(kind).pairs:
            assert having(kind, 8) == set()
            continue
        assert having(kind) >= {"gain_refit", "matching_pursuit"}
        assert ("threshold_refit" in having(kind)) == (methods.of(kind).strength == "l1" and kind not in UNCUT)
    assert having("ica", 8) == {"matching_pursuit"}
    assert having("ica") == set()
