"""Files that come from outside the workflow, and the grid held against a local model's config."""

import json

import pytest

from sparse_coding import leaves, params
from sparse_coding.errors import BadInput
from sparse_coding.params import Params


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """An empty project folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def some_params(**sections) -> Params:
    return Params.model_validate({"grid": {"sites": ["layer2_residual"]}} | sections)


def write_model(folder, **config):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))


def test_the_own_model_is_listed_before_it_is_there():
    assert leaves.model_files(some_params()) == [f"models/pydocs-6l/{name}" for name in leaves.MODEL_FILES]


def test_any_other_local_model_is_the_files_in_its_folder(project):
    write_model(project / "elsewhere" / "small")
    (project / "elsewhere" / "small" / ".cache").write_text("")
    assert leaves.model_files(some_params(model={"name": "elsewhere/small"})) == ["elsewhere/small/config.json"]
    assert leaves.model_files(some_params(model={"name": "someone/gpt"})) == []


def test_the_files_of_a_corpus(project):
    (project / "texts" / "deep").mkdir(parents=True)
    for name in ("b.txt", "a.txt", "deep/c.txt", ".hidden"):
        (project / "texts" / name).write_text("text")
    (project / "rows.jsonl").write_text("{}")
    assert leaves.corpus_files(some_params()) == []
    folder = some_params(dataset={"corpus": "texts"})
    assert leaves.corpus_files(folder) == ["texts/a.txt", "texts/b.txt", "texts/deep/c.txt"]
    assert leaves.corpus_files(some_params(dataset={"corpus": "rows.jsonl"})) == ["rows.jsonl"]
    assert leaves.corpus_files(some_params(dataset={"corpus": "someone/corpus"})) == []


def test_an_empty_or_missing_folder_is_named(project):
    (project / "empty").mkdir()
    with pytest.raises(BadInput, match="empty: found no files; wanted a folder with files"):
        leaves.corpus_files(some_params(dataset={"corpus": "empty"}))
    with pytest.raises(BadInput, match="nowhere: found no such folder; wanted a folder with files"):
        leaves.folder_files("nowhere")


@pytest.mark.parametrize(
    ("layers", "width"), [("num_hidden_layers", "hidden_size"), ("n_layer", "n_embd"), ("num_layers", "d_model")]
)
def test_the_grid_is_held_against_the_config_of_any_kind_of_model(project, layers, width):
    write_model(project / "small", **{layers: 3, width: 64})
    leaves.check(some_params(model={"name": "small"}))
    with pytest.raises(BadInput, match=r"grid\.sites: found layer3_residual; wanted a layer from 0 to 2: small"):
        leaves.check(some_params(model={"name": "small"}, grid={"sites": ["layer3_residual"]}))
    least = {"sites": ["layer2_residual"], "ratios": [0.005]}
    with pytest.raises(BadInput, match=r"grid\.ratios: found 0\.005; wanted at least 0\.015625: one feature of 64"):
        leaves.check(some_params(model={"name": "small"}, grid=least))


def test_a_model_that_is_yet_to_be_trained_is_checked_by_its_settings():
    leaves.check(some_params(grid={"sites": ["layer5_residual"]}))
    with pytest.raises(BadInput, match="found layer6_residual; wanted a layer from 0 to 5: models/pydocs-6l"):
        leaves.check(some_params(grid={"sites": ["layer6_residual"]}))


def test_a_model_of_the_hub_is_not_checked_here():
    leaves.check(some_params(model={"name": "someone/gpt"}, grid={"sites": ["layer99_residual"]}))


def test_a_folder_that_holds_no_model_is_named(project):
    (project / "bare").mkdir()
    (project / "bare" / "weights.bin").write_text("")
    with pytest.raises(
        BadInput, match=r"model.name: bare: found no config.json; wanted a model in Hugging Face format"
    ):
        leaves.check(some_params(model={"name": "bare"}))
    (project / "bare" / "config.json").write_text("{")
    with pytest.raises(BadInput, match=r"config.json: found damaged JSON .*; wanted a model in Hugging Face format"):
        leaves.check(some_params(model={"name": "bare"}))


def test_imported_sites_are_not_held_against_the_model(project):
    write_model(project / "small", num_hidden_layers=1, hidden_size=64)
    imported = {"grid": {"sites": ["layer9_residual"]}, "activations": {"imported": {"layer9_residual": "vectors"}}}
    leaves.check(params.Params.model_validate({"model": {"name": "small"}} | imported))
