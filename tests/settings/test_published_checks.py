"""Dictionaries that were trained elsewhere: named apart from all others, of sites that there are, known by content."""

import shutil
from pathlib import Path

import pytest
import yaml

from sparse_coding.errors import BadInput
from sparse_coding.files import dictionary_files
from sparse_coding.forecast.counting.vectors import Sizes
from sparse_coding.formats import loading
from sparse_coding.io import dictionaries
from sparse_coding.settings import declared, grid, hub_lock, jobs, params_file, slices
from sparse_coding.settings.params import Params
from tests.workspace import ROOT

SITE, GOLDEN, COMMIT = "layer2_residual", ROOT / "tests" / "golden", "ab" * 20


def of(**dictionaries: dict) -> dict:
    return {"published": {"dictionaries": dictionaries}}


@pytest.fixture
def load(tmp_path):
    def of_sections(sections: dict) -> Params:
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(sections))
        return params_file.load(tmp_path / "params.yaml")

    return of_sections


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (of(**{"a/b": {"path": "x", "site": SITE}}), r"published\.dictionaries: found 'a/b'"),
        (of(pca={"path": "x", "site": SITE}), r"published\.dictionaries\.pca: found a name that pca of layer2"),
        (of(PCA={"path": "x", "site": SITE}), r"published\.dictionaries\.PCA: found a name that pca"),
        (
            of(a={"path": "x", "site": SITE}, A={"path": "y", "site": SITE}),
            r"found a name that [aA] of layer2_residual",
        ),
        (of(a={"path": "x", "site": "nowhere"}), r"published\.dictionaries\.a\.site: found 'nowhere'"),
        (of(a={"path": "x"}), r"published\.dictionaries\.a\.site: .*wanted Field required"),
        (of(a={"path": "", "site": SITE}), r"published\.dictionaries\.a\.path"),
        (of(a={"path": "x", "site": SITE, "k": 0}), r"published\.dictionaries\.a\.k"),
        (
            of(a={"path": "x", "site": SITE, "colour": 1}),
            r"a\.colour: found an unknown key .*one of path",
        ),
    ],
)
def test_what_could_be_something_else_is_refused_with_its_place(load, sections, message):
    with pytest.raises(BadInput, match=message):
        load(sections)


def test_a_member_has_its_name_before_one_from_elsewhere(load):
    member = grid.cells(Params(), SITE)[0].member_names[0]
    named = {"path": "x", "site": SITE}
    with pytest.raises(BadInput, match="found a name that"):
        load(of(**{member.replace(".", "_"): named}) if "." not in member else of(random=named))


def test_of_a_site_that_is_switched_off_nothing_is_made_and_that_is_said(load, capsys):
    params = load(of(a={"path": "x", "site": "layer1_mlp"}))
    assert "layer1_mlp is not in grid.sites: nothing is made of it" in capsys.readouterr().err
    assert not [job for job in jobs.every(params) if job.stage == "published"]


def test_they_are_rows_of_their_site_and_of_no_other(load):
    params = load(of(a={"path": "x", "site": SITE}))
    for site in params.grid.sites:
        expected = {"a"} if site == SITE else set()
        for members in (slices.evaluation(params, site).members, slices.autointerp(params, site).members):
            assert {name for name, row in members.items() if row.kind == "published"} == expected


def test_one_on_a_hub_is_pinned_by_the_lock_and_needs_no_network(load, tmp_path):
    lock = tmp_path / "hub.lock.json"
    params = load(of(a={"path": "somebody/saes", "site": SITE, "revision": "v2"}))
    with pytest.raises(BadInput, match=r"published\.dictionaries\.a\.path: found somebody/saes.*at revision v2"):
        hub_lock.pinned(params, lock)
    assert [each.name for each in hub_lock.unlocked(params, lock)] == ["somebody/saes"]
    lock.write_text(f'{{"models": {{"somebody/saes@v2": "{COMMIT}"}}}}')
    pinned = hub_lock.pinned(params, lock)
    assert pinned.published.dictionaries["a"].revision == COMMIT
    assert declared.published(pinned, "a")["leaves"][0].version == COMMIT
    assert declared.published(pinned, "a")["paths"] == {}


def test_where_it_lies_enters_no_key_and_what_lies_there_does(load, tmp_path):
    def key_of(place: Path) -> str:
        params = load(of(a={"path": str(place), "site": SITE}))
        graph = declared.empty_graph(tmp_path, looks=False)
        job = declared.declare(graph, **declared.published(params, "a"))
        return job.artifacts["a"].key

    for folder in ("one", "two", "three"):
        shutil.copytree(GOLDEN / "saelens" / "topk", tmp_path / folder / "topk")
    config = tmp_path / "three" / "topk" / "cfg.json"
    config.write_text(config.read_text() + "\n")
    first, moved, changed = (key_of(tmp_path / folder / "topk") for folder in ("one", "two", "three"))
    assert first == moved != changed


def test_what_says_how_a_file_is_to_be_read_is_a_part_of_it(tmp_path):
    shutil.copytree(GOLDEN / "dictionary_learning" / "topk" / "trainer_0", tmp_path / "trainer_0")
    (tmp_path / "trainer_0" / "other.json").write_text("{}")
    found = dictionary_files.of(tmp_path / "trainer_0" / "ae.pt")
    assert {file.name for file in found} == {"ae.pt", "config.json"}
    assert "other.json" in {file.name for file in dictionary_files.of(tmp_path / "trainer_0")}
    with pytest.raises(BadInput, match="no such file"):
        dictionary_files.of(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"no \.safetensors"):
        dictionary_files.of(tmp_path / "empty")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("saelens/topk", {}), ("saelens/jumprelu_float16", {}), ("sparsify/skip_transcoder", {}),
        ("dictionary_learning/gated/trainer_0", {}),
        ("gemma_scope/residual/layer_3/width_16k/average_l0_10", {"of": "residual"}),
    ],
)  # fmt: skip
def test_the_heads_of_its_files_say_how_many_features_it_has(name, told, tmp_path, monkeypatch):
    source = tmp_path / "theirs"
    shutil.copytree(GOLDEN / name, source, ignore=shutil.ignore_patterns("expected*"))
    real = loading.dictionary(source, **told)
    assert real is not None
    params = Params.model_validate(of(a={"path": str(source), "site": SITE} | told))
    monkeypatch.setattr(Sizes, "width", lambda self, site: real.d_in)
    row = slices.describe_published(params, SITE)[0]
    assert Sizes(params).of_row(SITE, row) == real.n_feat
    dictionaries.save(tmp_path / "ours.safetensors", real, {})
    params = Params.model_validate(of(a={"path": str(tmp_path / "ours.safetensors"), "site": SITE}))
    assert Sizes(params).of_row(SITE, row) == real.n_feat


def test_of_one_on_a_hub_the_lock_says_how_large_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = Params.model_validate(of(a={"path": "somebody/saes", "site": SITE, "revision": COMMIT, "inside": "x"}))
    monkeypatch.setattr(Sizes, "width", lambda self, site: 100)
    row = slices.describe_published(params, SITE)[0]
    with pytest.raises(BadInput, match="sparse_coding lock"):
        Sizes(params).of_row(SITE, row)
    Path("hub.lock.json").write_text(f'{{"bytes": {{"somebody/saes@{COMMIT}/x": "800000"}}}}')
    assert Sizes(params).of_row(SITE, row) == 1000
