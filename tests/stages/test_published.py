"""Stage published: a dictionary of another library, from a path or a hub's cache, as a member of a site."""

import json
import shutil
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch

from sparse_coding import load_dictionary, methods
from sparse_coding.errors import BadInput
from sparse_coding.formats import certificate, entering, hub
from sparse_coding.io import dictionaries, told
from sparse_coding.settings import slices
from sparse_coding.settings.params import Params, PublishedDictionary
from sparse_coding.settings.slices import PublishedSlice
from sparse_coding.stages import published as stage
from tests.workspace import ROOT

GOLDEN, SITE, COMMIT = ROOT / "tests" / "golden", "layer2_residual", "0123456789abcdef0123456789abcdef01234567"
FOLDERS = {
    "saelens/batchtopk_saved": {}, "sparsify/topk_default": {}, "dictionary_learning/gated/trainer_0": {},
    "gemma_scope/residual/layer_3/width_16k/average_l0_10": {"of": "residual"},
    "gemma_scope_2/resid_post/resid_post/layer_3_width_16k_l0_small": {},
}  # fmt: skip


def settings(path: object, **more: object) -> PublishedSlice:
    one = {"path": str(path), "site": SITE} | more
    return slices.published(Params.model_validate({"published": {"dictionaries": {"theirs": one}}}), "theirs")


@pytest.mark.parametrize("name", FOLDERS)
def test_ours_computes_what_theirs_does_and_says_what_it_is(name, tmp_path):
    source, said = GOLDEN / name, []
    stage.run(settings(source, **FOLDERS[name]), source=source, output=tmp_path, done=said.append)
    assert said == ["theirs"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["theirs.certificate.json", "theirs.safetensors"]
    ours, made = dictionaries.load_with_settings(tmp_path / "theirs.safetensors")
    theirs = load_dictionary(source, **FOLDERS[name])
    x = torch.randn(50, theirs.d_in, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours.encode(x), theirs.encode(x))
    torch.testing.assert_close(ours.reconstruct(x), theirs.reconstruct(x))
    assert methods.is_published(made["architecture"])
    assert made["architecture"] != methods.PUBLISHED
    columns = told.columns(methods.PUBLISHED, None, made)
    assert columns == {"kind": made["architecture"], "ratio": ours.n_feat / ours.d_in, "k": ours.k}
    assert told.published(methods.PUBLISHED, tmp_path / "theirs.safetensors") == columns
    there = certificate.check(tmp_path / "theirs.certificate.json")
    assert there["read"]["format"] == made["published"]["format"]
    assert str(tmp_path) not in json.dumps(there)
    assert str(ROOT) not in json.dumps(made)


def test_it_is_the_same_bytes_again_from_wherever_it_lies(tmp_path):
    moved = tmp_path / "elsewhere" / "topk_default"  # its own name says where its vectors are from
    shutil.copytree(GOLDEN / "sparsify" / "topk_default", moved)
    for place, source in (("one", GOLDEN / "sparsify" / "topk_default"), ("two", moved)):
        (tmp_path / place).mkdir()
        stage.run(settings(source), source=source, output=tmp_path / place)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda folder: folder / "none", "no such file or folder"),
        (lambda folder: folder, "a dictionary"),
        (lambda folder: _cut(folder), "sae_weights"),
    ],
)
def test_what_cannot_be_read_is_refused_and_nothing_is_written(make, wanted, tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "output").mkdir()
    source = make(tmp_path / "source")
    with pytest.raises(BadInput, match=wanted):
        stage.run(settings(source), source=source, output=tmp_path / "output")
    assert not list((tmp_path / "output").iterdir())


def _cut(folder: Path) -> Path:
    shutil.copytree(GOLDEN / "saelens" / "topk", folder / "cut")
    weights = folder / "cut" / "sae_weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    return folder / "cut"


def test_what_its_key_does_not_know_is_not_read(tmp_path):
    with pytest.raises(BadInput, match=r"cfg\.json"):
        entering.enter(GOLDEN / "saelens" / "topk", tmp_path, "theirs", SITE, {"sae_weights.safetensors"})


def test_another_place_is_named_where_the_file_tells_its_own():
    assert entering.elsewhere("blocks.2.hook_resid_post", SITE) is None
    assert "blocks.7.hook_resid_post" in str(entering.elsewhere("blocks.7.hook_resid_post", SITE))
    assert entering.elsewhere("gpt_neox.layers.3", SITE) is None
    assert entering.elsewhere(None, SITE) is None


@pytest.fixture
def cached(tmp_path, monkeypatch) -> Path:
    """A hub's cache with one repository at one commit, and no way to the hub."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    snapshot = tmp_path / "hub" / "models--somebody--saes" / "snapshots" / COMMIT
    shutil.copytree(GOLDEN / "saelens" / "topk", snapshot / "layer_2" / "width_16k")
    return snapshot


def test_one_on_a_hub_is_read_from_its_cache_at_its_commit(cached, tmp_path):
    (tmp_path / "output").mkdir()
    own = settings("somebody/saes", revision=COMMIT, inside="layer_2/width_16k")
    stage.run(own, output=tmp_path / "output")
    ours = dictionaries.load(tmp_path / "output" / "theirs.safetensors")
    assert ours.n_feat == load_dictionary(GOLDEN / "saelens" / "topk").n_feat


@pytest.mark.parametrize(
    ("name", "revision", "inside", "found"),
    [
        ("somebody/saes", COMMIT, "layer_3", "no layer_3 at revision"),
        ("somebody/saes", "f" * 40, "layer_2", "no way to the hub"),
        ("nobody/saes", COMMIT, None, "no way to the hub"),
        ("not a name", None, None, "no answer from the hub"),
    ],
)
def test_what_a_hub_does_not_give_is_named(cached, name, revision, inside, found):
    with pytest.raises(BadInput, match=found):
        hub.fetched(name, revision, inside)


def test_of_a_repository_only_what_is_read_is_fetched():
    assert hub.patterns(None) is None
    assert {"a/b", "a/b/*", "a/cfg.json"} <= set(hub.patterns("a/b") or ())
    assert "[[]x]/*" in (hub.patterns("[x]") or ())


def test_what_is_told_of_it_is_what_its_format_asks_for():
    one = PublishedDictionary(path="x", site=SITE, k=32)
    assert one.told == {"k": 32}
