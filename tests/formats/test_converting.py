"""What was read is written in another format, and computes the same there; or a reason is given."""

import json
from pathlib import Path

import pytest
import torch

from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput
from sparse_coding.formats import certificate, hooks, reading
from sparse_coding.formats.certificate import Computes
from sparse_coding.formats.converting import TARGETS, convert
from sparse_coding.io import dictionaries
from tests.formats.test_golden import ALL, GOLDEN, TOLD


def made(seed=0, n_feat=20, d_in=12, d_out=None, **changes):
    """A dictionary with unit rows, gains and a bias; of a pair where there is a d_out."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape):
        return torch.randn(*shape, generator=generator)

    decoder = torch.nn.functional.normalize(drawn(n_feat, d_out or d_in), dim=1)
    tensors = {"encoder": drawn(n_feat, d_in), "bias": drawn(n_feat), "decoder": decoder, "centre": drawn(d_in)}
    tensors["gain"] = drawn(n_feat).abs()
    tensors |= {"out_centre": drawn(d_out)} if d_out else {}
    return Dictionary(**tensors | changes)


def drawn(*shape):
    """The same at each collection."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


KINDS = {
    "relu": made(),
    "topk": made(1, activation="topk", k=4),
    "jumprelu": made(2, activation="jumprelu", threshold=drawn(20).abs()),
    "transcoder": made(3, d_out=7),
    "skip": made(4, d_out=12, activation="topk", k=4, skip=drawn(12, 12)),
    "jumping skip": made(5, d_out=7, activation="jumprelu", threshold=drawn(20).abs(), skip=drawn(12, 7)),
}
HELD = {
    "saelens": ("relu", "topk", "jumprelu", "transcoder", "jumping skip"),
    "dictionary_learning": ("relu", "topk", "jumprelu"),
    "sparsify": ("topk", "skip"),
    "sparse_coding": tuple(KINDS),
}


def saved(folder, dictionary):
    path = folder / "one.safetensors"
    dictionaries.save(path, dictionary, {"site": "layer2_residual", "architecture": "tied"})
    return path


@pytest.mark.parametrize(("to", "kind"), [(to, kind) for to in TARGETS for kind in KINDS])
def test_ours_is_written_exactly_or_refused(tmp_path, to, kind):
    source = saved(tmp_path, KINDS[kind])
    if kind not in HELD[to]:
        with pytest.raises(BadInput, match=f"convert --to {to}"):
            convert(source, tmp_path / "new" / "out", to)
        assert sorted(each.name for each in tmp_path.iterdir()) == ["one.safetensors"]
        return
    compared = convert(source, tmp_path / "out", to)
    assert compared.holds
    assert 0.5 < compared.l0 < 15
    told = certificate.check(tmp_path / "out" / certificate.NAME)
    assert told["read"]["format"] == "sparse_coding"
    if to != "sparse_coding":
        raw = reading.read(tmp_path / "out").raw
        x = 3 * torch.randn(50, 12, dtype=torch.float64)
        assert torch.allclose(raw.reconstruct(x), KINDS[kind].to(torch.float64).reconstruct(x), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("case", ALL, ids=lambda case: f"{case.name}/{case.at}")
def test_files_of_libraries_become_ours(tmp_path, case):
    compared = convert(GOLDEN / case.name / case.at, tmp_path / "out", "sparse_coding", **TOLD.get(case.name, {}))
    assert compared.holds
    dictionary, told = dictionaries.load_with_settings(tmp_path / "out" / "dictionary.safetensors")
    assert told["published"]["format"] == case.name.split("/")[0]
    assert told["published"]["layout"] == "held against files of the library"
    assert dictionary.n_feat in (20, 24, 40)


@pytest.mark.parametrize(("name", "damage"), [
    ("encoder", lambda tensor: tensor * (1 + 1e-3)),
    ("decoder", lambda tensor: tensor.roll(1, 0)),
    ("threshold", lambda tensor: tensor * 1.001),
    ("centre", lambda tensor: tensor + 1e-2),
])  # fmt: skip
def test_what_computes_something_else_is_seen(name, damage):
    source = KINDS["jumprelu"]
    other = Dictionary(**source.tensors | {name: damage(source.tensors[name])}, activation="jumprelu")
    assert certificate.compare(Computes.of_ours(source), Computes.of_ours(source)).holds
    assert not certificate.compare(Computes.of_ours(source), Computes.of_ours(other)).holds


def test_nothing_is_written_where_it_computes_something_else(tmp_path, monkeypatch):
    from sparse_coding.formats import writing

    monkeypatch.setitem(writing.WRITERS, "saelens", lambda dictionary, *rest: writing.saelens(
        dictionary.with_gain(torch.full((20,), 1.1)), *rest))  # fmt: skip
    with pytest.raises(BadInput, match="that differ by"):
        convert(saved(tmp_path, KINDS["relu"]), tmp_path / "out", "saelens")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["one.safetensors"]


def test_a_narrower_dtype_is_written_when_asked_for_and_says_what_it_costs(tmp_path):
    compared = convert(saved(tmp_path, KINDS["relu"]), tmp_path / "out", "saelens", dtype="float16")
    assert 1e-5 < max(compared.codes, compared.x_hat) < 1e-2
    assert json.loads((tmp_path / "out" / certificate.NAME).read_text())["written"]["dtype"] == "float16"


def test_a_certificate_speaks_of_bytes(tmp_path):
    convert(saved(tmp_path, KINDS["relu"]), tmp_path / "out", "saelens")
    convert(saved(tmp_path, KINDS["relu"]), tmp_path / "again", "saelens")
    names = ["certificate.json", "cfg.json", "sae_weights.safetensors"]
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == names
    assert all((tmp_path / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes() for name in names)
    file = tmp_path / "out" / "cfg.json"
    file.write_text(file.read_text().replace("true", "false"))
    with pytest.raises(BadInput, match=r"cfg\.json: found other bytes"):
        certificate.check(tmp_path / "out" / certificate.NAME)


def test_what_is_there_is_not_written_over(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(BadInput, match="not there yet"):
        convert(saved(tmp_path, KINDS["relu"]), tmp_path / "out", "saelens")
    with pytest.raises(BadInput, match="one of sparse_coding, saelens"):
        convert(tmp_path / "one.safetensors", Path(tmp_path / "other"), "pickle")


def wide(**changes):
    """1,024 features with biases of an ordinary size."""
    dictionary = made(11, n_feat=1024, d_in=64, activation="topk", k=16)
    return Dictionary(**dictionary.tensors | changes, activation="topk", k=16)


def differ(one, other):
    return not certificate.compare(Computes.of_ours(one), Computes.of_ours(other)).holds


def test_a_single_feature_that_is_off_is_seen_among_many():
    """However many features there are, and whatever is large beside it."""
    one, tensors = wide(), wide().tensors
    for at in (3, 500, 1020):
        decoder, encoder, bias = (tensors[name].clone() for name in ("decoder", "encoder", "bias"))
        decoder[at] *= -1
        encoder[at] *= 1.001
        bias[at] += 1e-3
        assert differ(one, wide(decoder=decoder))
        assert differ(one, wide(encoder=encoder))
        assert differ(one, wide(bias=bias))
    large = tensors["centre"].clone()
    large[3] = 5000.0
    moved = large.clone()
    moved[4] += 0.05
    assert differ(wide(centre=large), wide(centre=moved))
    gain = tensors["gain"].clone()
    gain[7] = 1e6
    changed = gain.clone()
    changed[8] *= 1.001
    assert differ(wide(gain=gain), wide(gain=changed))


def test_one_threshold_of_many_is_seen():
    threshold = torch.full((1024,), 2.0)
    one = made(12, n_feat=1024, d_in=64, activation="jumprelu", threshold=threshold)
    for at in (0, 511, 1023):
        other = threshold.clone()
        other[at] *= 1.001
        assert differ(one, made(12, n_feat=1024, d_in=64, activation="jumprelu", threshold=other))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_never_holds(value):
    one = KINDS["relu"]
    for name in ("decoder", "encoder", "bias", "centre"):
        tensor = one.tensors[name].clone()
        tensor.view(-1)[5] = value
        assert differ(one, Dictionary(**one.tensors | {name: tensor}))


def test_a_dictionary_that_never_fires_is_not_certified(tmp_path):
    silent = made(13, activation="relu", encoder=torch.zeros(20, 12), bias=torch.full((20,), -1.0))
    with pytest.raises(BadInput, match="no feature ever fires"):
        convert(saved(tmp_path, silent), tmp_path / "out", "saelens")


def test_sites_have_the_names_of_transformer_lens():
    assert hooks.named("layer2_residual") == {"hook_name": "blocks.2.hook_resid_post"}
    pair = {"hook_name": "blocks.4.ln2.hook_normalized", "hook_name_out": "blocks.4.hook_mlp_out"}
    assert hooks.named("layer4_mlpin_to_mlpout") == pair
    for name in ("random_layer2_residual", "mine", None):
        assert hooks.named(name) == {"hook_name": name}
