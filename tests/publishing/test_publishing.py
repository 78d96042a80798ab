"""`sparse_coding publish`: what is in the folder is what was measured and computes the same; or there is no folder."""

import gzip
import json
import re
from dataclasses import replace

import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from sparse_coding.cli import commands
from sparse_coding.cli.main import main
from sparse_coding.errors import BadInput
from sparse_coding.formats import certificate, reading
from sparse_coding.io import tables
from sparse_coding.io import tokens as token_files
from sparse_coding.io.activations import open_activations
from sparse_coding.io.tables.evaluation import EVALUATION
from sparse_coding.io.tables.frequency import FREQUENCY
from sparse_coding.load import load_dictionary
from sparse_coding.publishing import card, neuronpedia, provenance, sparsity, top_fragments, weights
from sparse_coding.publishing.subject import Subject
from tests import step_inputs
from tests.publishing import project
from tests.publishing.project import GAIN, JUMPRELU, KINDS, NMF, SITE, TIED, TOPK
from tests.using.test_edits import made

BUNDLE = "neuronpedia/model/0-sparse-coding-res__"
# Columns of its tables, of apps/webapp/prisma/schema.prisma of neuronpedia: an import refuses others.
KNOWN = {
    "release": "name visibility isNewUi featured description descriptionShort urls creatorEmail creatorName "
    "creatorNameShort creatorId defaultSourceSetName defaultSourceId defaultUmapSourceIds createdAt",
    "model": "id displayNameShort displayName creatorId tlensId dimension visibility instruct layers neuronsPerLayer "
    "createdAt owner updatedAt website",
    "sourceset": "modelId name hasDashboards visibility description type creatorName urls creatorEmail creatorId "
    "releaseName defaultRange createdAt",
    "source": "id modelId hasDashboards saelensConfig saelensRelease saelensSaeId hfRepoId hfFolderId visibility "
    "setName creatorId num_prompts num_tokens_in_prompt dataset notes createdAt",
    "features": "modelId layer index sourceSetName creatorId createdAt maxActApprox hasVector vector vectorLabel "
    "hookName neg_str neg_values pos_str pos_values frac_nonzero",
    "activations": "id tokens dataIndex index layer modelId dataSource maxValue maxValueTokenIndex minValue values "
    "creatorId createdAt",
    "explanations": "id modelId layer index description authorId notes typeName explanationModelName createdAt",
}
NEEDED = {
    "release": "name description creatorName creatorId",
    "model": "id creatorId layers neuronsPerLayer owner",
    "sourceset": "modelId name description creatorName creatorId",
    "source": "id modelId setName creatorId",
    "features": "modelId layer index",
    "activations": "id tokens index layer modelId maxValue maxValueTokenIndex minValue values creatorId",
    "explanations": "id modelId layer index description authorId",
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    project.make(tmp_path / "project")
    return tmp_path / "project"


def published(here, *names, **asked):
    commands.publish([f"{SITE}/{name}" for name in names], here / "out", **asked)
    return here / "out"


def bundle(out, name, part):
    return project.lines(out / f"{BUNDLE}{name.replace('.', 'p').replace('_', '-')}" / part / "batch-0.jsonl.gz")


def test_the_folder_has_all_and_nothing_else(here):
    out = published(here, TIED, TOPK)
    files = {str(file.relative_to(out)) for file in out.rglob("*") if file.is_file()}
    own = ("cfg.json", "sae_weights.safetensors", "sparsity.safetensors", "certificate.json")
    wanted = {f"{SITE}/{name}/{file}" for name in (TIED, TOPK) for file in own}
    parts = [*(f"{part}.jsonl" for part in ("release", "model", "sourceset", "source")), "features/batch-0.jsonl.gz"]
    parts += ["activations/batch-0.jsonl.gz"]
    slugs = "tied-r2-l1-0p001-s0", "topk-r2-k4-s0"
    wanted |= {f"{BUNDLE}{slug}/{part}" for slug in slugs for part in parts}
    wanted |= {f"{BUNDLE}{slugs[0]}/explanations/batch-0.jsonl.gz", "README.md", "params.yaml", "CITATION.cff"}
    assert files == wanted
    assert {file.stat().st_mode & 0o444 for file in out.rglob("*")} == {0o444}
    assert sorted(each.name for each in here.iterdir()) == ["CITATION.cff", "model", "out", "params.yaml", "results"]


@pytest.mark.parametrize(("name", "variant"), [(TIED, None), (TOPK, None), (JUMPRELU, None),
                                               (TIED, "gain_refit"), (TOPK, "gain_refit")])  # fmt: skip
def test_what_is_written_computes_the_same_and_the_bundle_shows_its_codes(here, name, variant):
    """Against the formulas of SAELens, on all fragments, by sorting all of them."""
    out = published(here, name, variant=variant)
    called = name if variant is None else f"{name}_{variant}"
    ours = KINDS[name][1] if variant is None else KINDS[name][1].with_gain(GAIN)
    folder, x = out / SITE / called, project.fragments(here)
    assert certificate.check(folder / "certificate.json")["compared"]["flips"] == 0
    raw = reading.read(folder).raw
    torch.testing.assert_close(raw.reconstruct(x.reshape(-1, 16).double()).float(), ours.reconstruct(x.reshape(-1, 16)))
    codes = raw.encode(x.reshape(-1, 16).double()).reshape(*x.shape[:2], -1)
    shown = bundle(out, called, "activations")
    features = bundle(out, called, "features")
    assert [int(row["index"]) for row in features] == list(range(50))
    assert {row["hookName"] for row in features} == {"blocks.0.hook_resid_post"}
    words = step_inputs.fragment_tokens()
    for feature in range(50):
        peaks = codes[:, :, feature].amax(1)
        mine = [row for row in shown if int(row["index"]) == feature]
        assert len(mine) == min(int((peaks > 0).sum()), neuronpedia.TOP)
        wanted = peaks.sort(descending=True).values[: len(mine)]
        torch.testing.assert_close(
            torch.tensor([row["maxValue"] for row in mine]).double(), wanted, rtol=1e-4, atol=1e-6
        )
        for row in mine:
            at = int(row["dataIndex"])
            assert row["tokens"] == [f"t{token}" for token in words[at]]
            values = torch.tensor(row["values"], dtype=torch.float64)
            torch.testing.assert_close(values, codes[at, :, feature], rtol=1e-4, atol=1e-6)
            assert row["maxValue"] == max(row["values"]) == row["values"][row["maxValueTokenIndex"]]
        assert features[feature]["maxActApprox"] == (mine[0]["maxValue"] if mine else 0)
    fires = project.held_out(here)
    share = (raw.encode(fires.double()) > 0).double().mean(0)
    torch.testing.assert_close(load_file(folder / "sparsity.safetensors")["sparsity"], (share + 1e-10).log10().float())
    assert [row["frac_nonzero"] for row in features] == share.tolist()


def test_the_same_run_again_gives_the_same_bytes_and_less_memory_too(here, monkeypatch):
    once = step_inputs.contents(published(here, TIED, TOPK))
    (here / "out").rename(here / "before")
    monkeypatch.setattr(top_fragments, "KEPT", 1)
    monkeypatch.setattr(sparsity, "NUMBERS", 50 * 24)
    assert step_inputs.contents(published(here, TIED, TOPK)) == once


def test_batches_are_parts_of_the_whole(here, monkeypatch):
    out = published(here, TIED)
    whole = {part: bundle(out, TIED, part) for part in ("features", "activations", "explanations")}
    out.rename(here / "before")
    monkeypatch.setattr(neuronpedia, "BATCH", 8)
    published(here, TIED)
    for part, rows in whole.items():
        folder = out / f"{BUNDLE}tied-r2-l1-0p001-s0" / part
        found = [row for number in range(7) if (file := folder / f"batch-{number}.jsonl.gz").exists()
                 for row in project.lines(file)]  # fmt: skip
        assert found == rows or part == "features"
        assert [(row["index"], row["layer"]) for row in found] == [(row["index"], row["layer"]) for row in rows]


def test_neuronpedia_knows_each_column_and_has_those_that_it_needs(here):
    out = published(here, TIED)
    folder = out / f"{BUNDLE}tied-r2-l1-0p001-s0"
    found = {name: [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
             for name in ("release", "model", "sourceset", "source")}  # fmt: skip
    found |= {part: bundle(out, TIED, part) for part in ("features", "activations", "explanations")}
    for table, rows in found.items():
        assert len({tuple(row) for row in rows}) == 1, table  # it takes the columns of the first line
        assert set(rows[0]) <= set(KNOWN[table].split()), table
        assert {name for name, value in rows[0].items() if value is not None} >= set(NEEDED[table].split()), table
    (source,), (of_set,), (release,), (model,) = (found[name] for name in ("source", "sourceset", "release", "model"))
    assert (source["modelId"], source["setName"]) == (model["id"], of_set["name"])
    assert of_set["releaseName"] == release["name"]
    assert {row["layer"] for row in found["features"]} == {source["id"]} == {folder.name}
    assert len({row["id"] for row in found["activations"]}) == len(found["activations"])
    assert [row["description"] for row in found["explanations"]] == ["weak", "strong | one"]
    assert [json.loads(row["notes"])["scores"] for row in found["explanations"]] == [
        {"top_and_random": 0.25}, {"top_and_random": 0.75}]  # fmt: skip


def test_the_card_says_what_was_measured(here):
    said = published(here, TIED, TOPK, license="apache-2.0").joinpath("README.md").read_text()
    front = ModelCard(said).data.to_dict()
    assert front["license"] == "apache-2.0"
    assert front["library_name"] == "saelens"
    assert "base_model" not in front  # a folder of this machine
    assert "| FVU | 0.4321 [0.4211, 0.4431] |" in said
    assert "4.123 [4.112, 4.134] | nats a token, of the next token, with the reconstruction, on 90 tokens" in said
    assert "| **this dictionary** | 0.50 [0.38, 0.56] | token-rules | rules | rules | 2 scored of 2, 1 dead |" in said
    assert f"| **control**: `{TIED}` of the model with random weights | 0.94 [0.81, 1.00] |" in said
    assert "Its features were not explained." in said.split(f"## `{SITE}/{TOPK}`")[1]
    assert "0" * 64 in said
    assert "arXiv:2309.08600" in said
    assert "The dictionaries: apache-2.0." in said
    assert not re.search(r"\bNone\b|\bnan\b", said)


def test_a_variant_has_its_own_numbers(here):
    said = published(here, TIED, variant="gain_refit").joinpath("README.md").read_text()
    assert "| FVU | 0.3999 |" in said
    assert "before its refit" in said
    assert "In the variant `gain_refit`" in said


def test_the_two_lines_of_the_card_work(here, monkeypatch):
    out = published(here, TIED)
    monkeypatch.chdir(out)
    (block,) = (each for each in re.findall(r"```python\n(.*?)```", (out / "README.md").read_text(), re.DOTALL)
                if "sparse_coding" in each)  # fmt: skip
    x = project.fragments(here)[0]
    found = {"x": x}
    exec(block, found)
    torch.testing.assert_close(found["codes"], KINDS[TIED][1].encode(x), rtol=1e-4, atol=1e-5)


def test_no_file_names_a_place_of_this_machine(here):
    (here / "params.yaml").write_text(
        yaml.safe_dump({"model": {"name": str(here / "model")}, "grid": {"sites": [SITE], "only": []}})
    )
    out = published(here, TIED)
    for file in out.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            content = gzip.decompress(content) if file.suffix == ".gz" else content
            assert str(here).encode() not in content, file
            assert here.parent.name.encode() not in content, file
    assert yaml.safe_load((out / "params.yaml").read_text())["model"]["name"] == "model"
    assert json.loads((out / SITE / TIED / "cfg.json").read_text())["metadata"]["model_name"] == "model"


def test_a_text_with_a_place_in_it_is_refused_at_the_end(here, monkeypatch):
    monkeypatch.setattr(card, "text", lambda *given: f"made in {here}/x\n")
    refused(here, TIED, words=r"README.md: found a path of this machine")


@pytest.mark.parametrize("secret", ["http://me:word@host/v1", "hf_abcdefghijklmnopqrst", "sk-proj-abcdefghijklmnop"])
def test_a_secret_is_not_published(here, secret):
    path = here / "params.yaml"
    path.write_text(path.read_text() + f"# {secret}\n")
    refused(here, TIED, words="found what looks like a key or a password")


def refused(here, *names, words, **asked):
    before = step_inputs.contents(here)
    with pytest.raises(BadInput, match=words):
        published(here, *names, **asked)
    assert step_inputs.contents(here) == before
    assert not [each for each in here.iterdir() if each.name.startswith(".")]


@pytest.mark.parametrize(("name", "asked", "words"), [
    ("other", {}, f"publish: found '{SITE}/other'; wanted SITE/NAME"),
    (project.ALONE, {}, "a dictionary that was not evaluated"),
    (NMF, {}, "convert --to saelens: found codes by nnls; wanted a ReLU, thresholds, the k largest"),
    (TIED, {"variant": "matching_pursuit"}, "matching_pursuit: found none for tied"),
    (TIED, {"variant": "other"}, "found 'other'; wanted one of gain_refit"),
])  # fmt: skip
def test_what_cannot_be_published_is_refused_and_nothing_is_left(here, name, asked, words):
    refused(here, TIED, name, words=words, **asked) if not asked else refused(here, name, words=words, **asked)


def test_what_is_there_is_kept(here):
    (here / "out").mkdir()
    (here / "out" / "mine").write_text("kept")
    refused(here, TIED, words="out: found something; wanted a folder that is not there yet")


def test_one_that_was_trained_elsewhere_is_not_ours_to_publish(here):
    folder = here / "results" / "published" / SITE
    folder.mkdir(parents=True)
    (here / "results" / "dictionaries" / SITE / f"{TIED}.safetensors").rename(folder / f"{TIED}.safetensors")
    refused(here, TIED, words="a dictionary that was trained elsewhere")


def test_a_table_of_other_features_is_refused(here):
    path = here / "results" / "evaluation" / SITE / "frequency.parquet"
    rows = [row for row in tables.read(path, FREQUENCY).to_pylist() if row["feature"] != 7]
    tables.write(path, rows, FREQUENCY)
    refused(here, TIED, words="found 49 features; wanted 50")


def test_other_tokens_than_those_of_the_vectors_are_refused(here, monkeypatch):
    tokens = step_inputs.fragment_tokens()
    monkeypatch.setattr(step_inputs, "fragment_tokens", lambda: tokens[::-1])
    step_inputs.write_tokens(here / "results" / "dataset" / "tokens.h5")
    refused(here, TIED, words="fragments: found other tokens")


def test_on_the_command_line_names_come_before_the_folder(here, capsys):
    assert main(["publish", f"{SITE}/{TIED}", f"{SITE}/{TOPK}", "out"]) == 0
    assert f"out: {SITE}/{TIED}, {SITE}/{TOPK}" in capsys.readouterr().out
    assert main(["publish", f"{SITE}/{TIED}", "out"]) == 2
    assert "error: publish: out: found something" in capsys.readouterr().err
    assert load_dictionary(here / "out" / SITE / TOPK).k == 4


def test_imported_vectors_have_no_texts_and_no_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project.make(tmp_path, "mine", activations={"imported": {"mine": "vectors"}})
    commands.publish([f"mine/{TOPK}"], tmp_path / "out")
    assert not (tmp_path / "out" / "neuronpedia").exists()
    said = (tmp_path / "out" / "README.md").read_text()
    assert "Corpus: not known; vectors were imported" in said
    assert "# Sparse dictionary\n" in said
    assert "from `mine`, vectors that were imported as `mine`" in said
    metadata = json.loads((tmp_path / "out" / "mine" / TOPK / "cfg.json").read_text())["metadata"]
    assert metadata["model_name"] is None
    with pytest.raises(BadInput, match="mine, whose vectors were imported"):
        commands.publish([f"mine/{TOPK}"], tmp_path / "refit", variant="gain_refit")
    assert not (tmp_path / "refit").exists()


def test_a_transcoder_is_of_two_places(here, tmp_path):
    """What is encoded is read at the first, and promotes through the second."""
    site, generator = "layer0_mlpin_to_mlpout", torch.Generator().manual_seed(4)
    dictionary = replace(made(d_in=16, d_out=16, seed=4), site=site)
    row = {name: None for name in EVALUATION.names} | {"site": site, "name": "one", "kind": "transcoder"}
    row |= {"variant": "plain", "l0": 5.0, "n_vectors": 10, "dead": 0, "n_feat": 50, "fvu": 0.5}
    frequency = torch.rand(50, generator=generator, dtype=torch.float64)
    subject = Subject(
        here / "results" / "dictionaries" / SITE / f"{TIED}.safetensors", dictionary, row, {}, (), {}, frequency
    )
    tokens = token_files.load(here / "results" / "dataset" / "tokens.h5")
    origin = provenance.read(SITE, tokens)
    weights.write(subject, origin, tmp_path / "weights")
    cfg = json.loads((tmp_path / "weights" / "cfg.json").read_text())
    assert cfg["architecture"] == "transcoder"
    assert cfg["metadata"]["hook_name"] == "blocks.0.ln2.hook_normalized"
    assert cfg["metadata"]["hook_name_out"] == "blocks.0.hook_mlp_out"
    with open_activations(here / "results" / "activations" / f"{SITE}.h5") as file:
        texts = neuronpedia.Texts(tokens, file.split("fragments"), None, lambda features: None)
        named = neuronpedia.write(subject, origin, texts, frequency, tmp_path / "bundle")
    assert named.source == "0-sparse-coding-mlp-in-to-mlp-out__one"
    rows = project.lines(tmp_path / "bundle" / named.folder / "features" / "batch-0.jsonl.gz")
    assert {row["hookName"] for row in rows} == {"blocks.0.hook_mlp_out"}
    assert [row["frac_nonzero"] for row in rows] == frequency.tolist()
    said = card.text([subject], origin, "mit", [named.folder])
    assert "what the MLP of block 0 reads to what the MLP of block 0 writes" in said
    assert "loss recovered |" in said
    assert "cross-entropy" not in said.split("## How to read")[0]


def test_of_params_nothing_is_published_that_is_of_a_machine_or_a_server():
    text = """model:
  name: /srv/models/own  # from /data/team/x
dataset:
  corpus: ~/texts
machine: {memory: 12}
autointerp:
  llm: {judge: m, extra: {user: me}, connection: {base_url: "http://10.1.2.3:8000/v1"}}
"""
    wanted = {"model": {"name": "own"}, "dataset": {"corpus": "texts"}, "autointerp": {"llm": {"judge": "m"}}}
    said = provenance.without_places(text)
    assert yaml.safe_load(said) == wanted
    assert "team" not in said
