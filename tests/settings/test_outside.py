"""Files that come from outside the workflow, and the grid held against a local model's config."""

import json
import re

import pytest

from sparse_coding.errors import BadInput
from sparse_coding.settings import declared, outside, slices
from sparse_coding.settings.params import Params
from sparse_coding.workflow import graph as graph_module
from sparse_coding.workflow.hashes import Hashes


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


def files(leaf) -> set[str]:
    return set(leaf.files)


def test_a_model_that_is_not_there_yet_is_made_here(project):
    assert outside.makes_model(some_params())
    assert not outside.makes_model(some_params(model={"name": "models/other"}))
    assert not outside.makes_model(some_params(model={"name": "someone/gpt"}))
    write_model(project / "models" / "pydocs-6l")
    assert outside.makes_model(some_params())


@pytest.mark.parametrize("name", ["models/pydocs-6l", "models/pydocs-6l/", "./models/pydocs-6l"])
def test_a_model_that_is_made_here_may_be_written_in_other_ways(name):
    params = some_params(model={"name": name})
    assert outside.makes_model(params)
    assert outside.made_weights(params) == "models/pydocs-6l/model.safetensors"


def test_a_model_that_came_with_its_weights_is_not_made_here(project):
    write_model(project / "models" / "pydocs-6l")
    (project / "models" / "pydocs-6l" / outside.WEIGHTS).write_bytes(b"weights")
    assert not outside.makes_model(some_params())
    (project / "models" / "pydocs-6l" / f"{outside.WEIGHTS}.stamp").write_text("{}")
    assert outside.makes_model(some_params())


def test_a_local_model_is_its_weights_and_the_rest_without_what_people_read(project):
    folder = project / "elsewhere" / "small"
    write_model(folder)
    small = {"config.json", "tokenizer.json", "tokenizer_config.json", "merges.txt"}
    heavy = {
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "pytorch_model.bin",
    }
    for name in {*small, *heavy, "README.md", "LICENSE", "loss_curve.png", "training.json", ".gitattributes"}:
        (folder / name).write_text(name)
    (folder / ".cache" / "huggingface").mkdir(parents=True)
    (folder / ".cache" / "huggingface" / "config.json.metadata").write_text("when it was downloaded")
    params = some_params(model={"name": "elsewhere/small"})
    assert files(outside.tokenizer(params)) == {f"elsewhere/small/{name}" for name in small}
    assert files(outside.weights(params)) == {f"elsewhere/small/{name}" for name in heavy}
    assert outside.tokenizer(params).name != outside.weights(params).name


def test_a_model_of_the_hub_is_its_commit():
    params = some_params(model={"name": "someone/gpt", "revision": "abc"})
    for leaf in (outside.tokenizer(params), outside.weights(params)):
        assert (leaf.files, leaf.version) == ((), "abc")


def test_a_corpus_is_its_files_its_checksum_or_its_commit(project):
    (project / "texts" / "deep").mkdir(parents=True)
    for name in ("b.txt", "a.txt", "deep/c.txt", ".hidden"):
        (project / "texts" / name).write_text("text")
    (project / "rows.jsonl").write_text("{}")
    embedded = outside.corpus(some_params())
    assert embedded.files == ()
    assert re.fullmatch("[0-9a-f]{64}", embedded.version)
    folder = some_params(dataset={"corpus": "texts"})
    assert outside.corpus(folder).files == ("texts/a.txt", "texts/b.txt", "texts/deep/c.txt")
    assert outside.corpus(some_params(dataset={"corpus": "rows.jsonl"})).files == ("rows.jsonl",)
    of_hub = outside.corpus(some_params(dataset={"corpus": "someone/corpus", "revision": "abc"}))
    assert (of_hub.files, of_hub.version) == ((), "abc")


def test_training_reads_its_own_corpus_and_a_tokenizer_that_is_named(project):
    for folder in ("texts", "words"):
        (project / folder).mkdir()
    (project / "texts" / "a.txt").write_text("text")
    for name in ("tokenizer.json", "model.safetensors", "README.md"):
        (project / "words" / name).write_text(name)

    def read(**transformer) -> list[tuple[tuple[str, ...], str]]:
        return [(leaf.files, leaf.version) for leaf in outside.training(some_params(transformer=transformer))]

    assert read() == [((), outside.corpus(some_params()).version)]
    assert read(corpus="texts", tokenizer="words") == [(("texts/a.txt",), ""), (("words/tokenizer.json",), "")]
    assert read(tokenizer="gpt2", tokenizer_revision="abc")[1] == ((), "abc")


def test_a_corpus_in_the_home_folder_is_its_files(project, monkeypatch):
    monkeypatch.setenv("HOME", str(project))
    (project / "texts").mkdir()
    (project / "texts" / "a.txt").write_text("text")
    assert outside.corpus(some_params(dataset={"corpus": "~/texts"})).files == (str(project / "texts" / "a.txt"),)


def test_an_empty_or_missing_folder_is_named(project):
    (project / "empty").mkdir()
    with pytest.raises(BadInput, match=r"empty: found no file that could be a corpus; wanted a \.txt, \.md, "):
        outside.corpus(some_params(dataset={"corpus": "empty"}))
    with pytest.raises(BadInput, match=r"nowhere: found no such folder; wanted a folder of \.npy"):
        outside.imported("nowhere")


@pytest.mark.parametrize(
    ("layers", "width"), [("num_hidden_layers", "hidden_size"), ("n_layer", "n_embd"), ("num_layers", "d_model")]
)
def test_the_grid_is_held_against_the_config_of_any_kind_of_model(project, layers, width):
    write_model(project / "small", **{layers: 3, width: 64})
    outside.check(some_params(model={"name": "small"}))
    with pytest.raises(BadInput, match=r"grid\.sites: found layer3_residual; wanted a layer from 0 to 2: small"):
        outside.check(some_params(model={"name": "small"}, grid={"sites": ["layer3_residual"]}))
    least = {"sites": ["layer2_residual"], "ratios": [0.005]}
    with pytest.raises(BadInput, match=r"grid\.ratios: found 0\.005; wanted at least 0\.015625: one feature of 64"):
        outside.check(some_params(model={"name": "small"}, grid=least))


@pytest.mark.parametrize(("location", "width"), [("residual", 64), ("mlpout", 64), ("mlp", 200), ("attn", 40)])
def test_the_ratio_is_held_against_the_width_of_each_location(project, location, width):
    sizes = {"hidden_size": 64, "intermediate_size": 200, "num_attention_heads": 4, "head_dim": 10}
    write_model(project / "small", num_hidden_layers=3, **sizes)
    least = {"sites": [f"layer2_{location}"], "ratios": [2, 0.002]}
    with pytest.raises(BadInput, match=rf"grid\.ratios: found 0\.002; wanted at least .*: one feature of {width}$"):
        outside.check(some_params(model={"name": "small"}, grid=least))
    outside.check(some_params(model={"name": "small"}, grid=least | {"ratios": [1 / width]}))


def test_a_width_that_the_config_leaves_out_is_not_checked(project):
    write_model(project / "small", n_layer=3, n_embd=64, n_inner=None)
    outside.check(some_params(model={"name": "small"}, grid={"sites": ["layer2_mlp"], "ratios": [0.005]}))


def test_a_model_that_is_yet_to_be_trained_is_checked_by_its_settings():
    outside.check(some_params(grid={"sites": ["layer5_residual"]}))
    with pytest.raises(BadInput, match="found layer6_residual; wanted a layer from 0 to 5: models/pydocs-6l"):
        outside.check(some_params(grid={"sites": ["layer6_residual"]}))


def test_a_model_of_the_hub_is_not_checked_here():
    outside.check(some_params(model={"name": "someone/gpt"}, grid={"sites": ["layer99_residual"]}))


def test_a_folder_that_holds_no_model_is_named(project):
    (project / "bare").mkdir()
    (project / "bare" / "weights.bin").write_text("")
    with pytest.raises(
        BadInput, match=r"model.name: bare: found no config.json; wanted a model in Hugging Face format"
    ):
        outside.check(some_params(model={"name": "bare"}))
    (project / "bare" / "config.json").write_text("{")
    with pytest.raises(BadInput, match=r"config.json: found damaged JSON .*; wanted a model in Hugging Face format"):
        outside.check(some_params(model={"name": "bare"}))


def test_imported_sites_are_not_held_against_the_model(project):
    write_model(project / "small", num_hidden_layers=1, hidden_size=64)
    imported = {"grid": {"sites": ["layer9_residual"]}, "activations": {"imported": {"layer9_residual": "vectors"}}}
    outside.check(Params.model_validate({"model": {"name": "small"}} | imported))


def test_a_model_and_a_tokenizer_in_the_home_folder_are_their_files(project, monkeypatch):
    monkeypatch.setenv("HOME", str(project))
    write_model(project / "small", num_hidden_layers=3, hidden_size=64)
    (project / "small" / "model.safetensors").write_bytes(b"weights")
    params = some_params(model={"name": "~/small"}, transformer={"tokenizer": "~/small"})
    assert files(outside.tokenizer(params)) == {str(project / "small" / "config.json")}
    assert files(outside.weights(params)) == {str(project / "small" / "model.safetensors")}
    assert files(outside.training(params)[1]) == {str(project / "small" / "config.json")}
    outside.check(params)
    with pytest.raises(BadInput, match="found layer3_residual; wanted a layer from 0 to 2: ~/small"):
        outside.check(some_params(model={"name": "~/small"}, grid={"sites": ["layer3_residual"]}))


def test_a_model_that_is_trained_again_is_checked_by_its_new_settings(project):
    write_model(project / "models" / "pydocs-6l", num_hidden_layers=6, hidden_size=128)
    for name in (outside.WEIGHTS, f"{outside.WEIGHTS}.stamp"):
        (project / "models" / "pydocs-6l" / name).write_text("{}")
    sites = {"sites": ["layer7_residual"]}
    outside.check(some_params(grid=sites, transformer={"layers": 8}))
    with pytest.raises(BadInput, match="found layer7_residual; wanted a layer from 0 to 5"):
        outside.check(some_params(grid=sites))


def digest_of(project, params: Params, leaf) -> tuple[str, str]:
    """The name and digest under which a leaf enters a key."""
    return leaf.name, graph_module.digest_of(leaf, Hashes(project, project / ".work" / "hashes"))


def a_corpus(folder) -> dict:
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("one")
    (folder / "deep" / "b.txt").write_text("two")
    return {"dataset": {"corpus": str(folder)}, "transformer": {"corpus": str(folder)}}


def a_file(folder) -> dict:
    folder.mkdir()
    (folder / "rows.jsonl").write_text('{"text": "one"}\n')
    return {"dataset": {"corpus": str(folder / "rows.jsonl")}}


def a_model(folder) -> dict:
    write_model(folder, num_hidden_layers=3)
    (folder / "model.safetensors").write_bytes(b"weights")
    return {"model": {"name": str(folder)}, "transformer": {"tokenizer": str(folder)}}


def vectors(folder) -> dict:
    folder.mkdir()
    (folder / "1.npy").write_bytes(b"x")
    return {"activations": {"imported": {"layer2_residual": str(folder)}}}


def an_embedder(folder) -> dict:
    a_model(folder)
    llm = {"explainer": "a", "embedder": str(folder), "connection": {"max_requests": 1}}
    return {"autointerp": {"scorer": "embedding", "llm": llm}}


def known_as(project, sections: dict) -> list:
    """All by which steps know what comes from outside: settings that count, and leaves."""
    params = some_params(**sections)
    site = params.grid.sites[0]
    if site in params.activations.imported:
        jobs = [declared.imported(params, site)]
    else:
        jobs = [
            declared.dataset(params),
            declared.transformer(params),
            declared.activations(params, "a", False, [site]),
        ]
    found = [[slices.split(job["settings"])[0], *(digest_of(project, params, each) for each in job.get("leaves", ()))]
             for job in jobs]  # fmt: skip
    if params.autointerp.llm and params.autointerp.llm.embedder:
        leaf = outside.embedder(params.autointerp.llm.embedder)
        found.append([slices.split(slices.autointerp(params, site))[0], digest_of(project, params, leaf)])
    return found


OUTSIDE = {each.__name__: each for each in (a_corpus, a_file, a_model, vectors, an_embedder)}


@pytest.mark.parametrize("make", OUTSIDE.values(), ids=OUTSIDE.keys())
def test_what_comes_from_outside_may_be_moved(make, project):
    assert known_as(project, make(project / "here")) == known_as(project, make(project / "elsewhere"))


@pytest.mark.parametrize("make", OUTSIDE.values(), ids=OUTSIDE.keys())
def test_other_bytes_and_another_name_below_count(make, project):
    before = known_as(project, sections := make(project / "here"))
    file = next(path for path in sorted((project / "here").rglob("*")) if path.is_file() and path.suffix != ".json")
    bytes_before = file.read_bytes()
    file.write_bytes(bytes_before + b" ")
    assert known_as(project, sections) != before
    file.write_bytes(bytes_before)
    assert known_as(project, sections) == before
    if make is not a_file:  # it is named by params.yaml
        file.rename(file.with_stem("2"))
        assert known_as(project, sections) != before


def test_a_name_on_a_hub_counts_and_so_does_a_model_that_is_made_here(project):
    def counted(section) -> dict:
        return slices.split(section)[0]

    assert counted(some_params().model)["name"] == "models/pydocs-6l"
    assert counted(some_params(model={"name": "someone/gpt"}).model)["name"] == "someone/gpt"
    assert counted(some_params(dataset={"corpus": "someone/text"}).dataset)["corpus"] == "someone/text"
    (project / "pydocs").mkdir()
    assert counted(some_params().dataset)["corpus"] == "pydocs"
    write_model(project / "models" / "pydocs-6l")  # half made
    assert counted(some_params().model)["name"] == "models/pydocs-6l"
    (project / "models" / "pydocs-6l" / outside.WEIGHTS).write_bytes(b"weights")
    assert "name" not in counted(some_params().model)
    (project / "models" / "pydocs-6l" / f"{outside.WEIGHTS}.stamp").write_text("{}")
    assert counted(some_params().model)["name"] == "models/pydocs-6l"
