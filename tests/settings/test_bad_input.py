"""What cannot be used is refused in one line that names the place, what was found and what is wanted.

Mistakes in params.yaml stop Snakemake before any job; mistakes in files stop the step that reads them. Neither
touches what was there.
"""

import copy
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from sparse_coding.settings import grid, slices
from tests.step_inputs import (
    OLD,
    SITE,
    D,
    contents,
    member,
    refused,
    some_params,
    write_activations,
    write_dictionary,
    write_texts,
    write_tokens,
)
from tests.tiny_model import make_tiny_model
from tests.workspace import make_workspace, snakemake, step, write_params


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny", layers=1, d_model=D)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A folder of results with something in it."""
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "older.txt").write_bytes(OLD)
    return tmp_path / "results"


# params.yaml

PARAMS: dict[str, Any] = {
    "grid": {"sites": ["layer2_residual"]},
    "model": {"name": "models/tiny"},
    "dataset": {"corpus": "texts", "context": 64, "fragment_tokens": 32},
    "baselines": {"topk": [4]},
}
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown variant": (
        {"evaluation": {"variants": ["pursuit"]}},
        r"params\.yaml: evaluation\.variants\.0: found 'pursuit'; wanted 'gain_refit', 'threshold_refit' or 'matching_",
    ),
    "a variant without vectors to fit it on": (
        {"evaluation": {"variants": ["matching_pursuit", "threshold_refit"], "gain_refit_rows": None}},
        r"params\.yaml: evaluation\.gain_refit_rows: found null; wanted a number of vectors: threshold_refit of "
        r"evaluation\.variants",
    ),
    "an unknown key": (
        {"grid": {"ratio": [1]}},
        r"params\.yaml: grid\.ratio: found an unknown key \(value \[1\]\); wanted one of sites, architectures, ratios",
    ),
    "an unknown section": (
        {"training": {}},
        r"params\.yaml: training: found an unknown key .*; wanted one of grid, mod",
    ),
    "a wrong type": (
        {"dictionaries": {"steps": "many"}},
        r"params\.yaml: dictionaries\.steps: found 'many'; wanted a v",
    ),
    "no list": ({"grid": {"ratios": 4}}, r"params\.yaml: grid\.ratios: found 4; wanted a list"),
    "a negative L1": (
        {"grid": {"l1": [0.1, -0.5]}},
        r"params\.yaml: grid\.l1\.1: found -0.5; wanted greater than or eq",
    ),
    "no feature": ({"grid": {"ratios": [0.01]}}, r"params\.yaml: grid\.ratios: found 0\.01; wanted at least 0\.0312"),
    "no such layer": (
        {"grid": {"sites": ["layer3_residual"]}},
        r"params\.yaml: grid\.sites: found layer3_residual; wanted a layer from 0 to 2: models/tiny",
    ),
    "an unknown site": (
        {"grid": {"sites": ["layer1_logits"]}},
        r"params\.yaml: grid\.sites: found 'layer1_logits'; wanted layerN_\{residual, mlp, .*\} .*or a name under act",
    ),
    "a control as a site": (
        {"grid": {"sites": ["random_layer1_residual"]}},
        r"params\.yaml: grid\.sites: found 'random_layer1_residual'; wanted layer1_residual: its control comes with",
    ),
    "an unknown architecture": (
        {"grid": {"architectures": ["tide"]}},
        r"params\.yaml: grid\.architectures\.0: found 'tide'; wanted 'tied', 'untied', 'topk', 'jumprelu'",
    ),
    "a corpus of a hub without a commit": (
        {"dataset": {"corpus": "someone/texts:de"}},
        r"params\.yaml: dataset\.corpus: found someone/texts, no file or folder here, and not in hub\.lock\.json at "
        r"revision main; wanted a local path, or a name on the hub after `sparse_coding lock`",
    ),
    "an empty corpus": (
        {"dataset": {"corpus": "nothing"}},
        r"nothing: found no file that could be a corpus; wanted a \.txt, \.md, \.jsonl",
    ),
    "no such column": (
        {"dataset": {"corpus": "rows.jsonl"}},
        r"params\.yaml: dataset\.text_field: found text; wanted one of body, id: the columns of rows\.jsonl",
    ),
    "no vectors to import": (
        {"grid": {"sites": ["mine"]}, "activations": {"imported": {"mine": "nowhere"}}},
        r"nowhere: found no such folder; wanted a folder of \.npy, \.safetensors or \.pt files",
    ),
    "no vectors to hold out": (
        {
            "grid": {"sites": ["mine"]},
            "activations": {"imported": {"mine": "nowhere"}},
            "dataset": {"held_out_share": 0},
        },
        r"params\.yaml: dataset\.held_out_share: found 0; wanted a share above 0: evaluation of mine reads vectors",
    ),
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    """A folder with a local model, which no mistake in params may touch."""
    folder = make_workspace(tmp_path_factory.mktemp("params") / "project", {})
    make_tiny_model(folder / "models" / "tiny", layers=3)
    write_texts(folder / "texts", ["a text"])
    (folder / "nothing").mkdir()
    (folder / "rows.jsonl").write_text('{"id": 1, "body": "a text"}\n')
    (folder / "results").mkdir()
    (folder / "results" / "older.txt").write_bytes(OLD)
    return folder


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_params_stops_the_workflow_before_any_job(mistake, workspace):
    change, message = MISTAKES[mistake]
    params = copy.deepcopy(PARAMS)
    for section, values in change.items():
        params[section] = params.get(section, {}) | values
    write_params(workspace, params)
    before = contents(workspace / "results")
    done = snakemake(workspace)
    assert done.returncode != 0
    assert len(re.findall(rf"^{message}", done.stdout, re.MULTILINE)) == 1, done.stdout
    assert "Traceback" not in done.stdout
    planned = step("plan", cwd=workspace)  # what `dvc repro` does first
    assert planned.returncode == 2
    assert re.fullmatch(rf"error: plan: {message}.*\n", planned.stderr), planned.stderr
    assert contents(workspace / "results") == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grid: [1", r"params\.yaml: found text that is not YAML \(.*line 1.*\); wanted YAML"),
        ("", r"params\.yaml: found NoneType None; wanted sections such as grid: and dataset:"),
    ],
)
def test_text_that_is_no_params_file_is_named(text, message, workspace):
    write_params(workspace, text)
    done = snakemake(workspace)
    assert done.returncode != 0
    assert re.search(rf"^{message}", done.stdout, re.MULTILINE), done.stdout
    assert "Traceback" not in done.stdout


# Files; each test damages its own copy.


def flip(path: Path, offset: int) -> None:
    """Change one bit of the file, `offset` bytes from its start."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(bytes(data))


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def vectors_offset(path: Path) -> int:
    with h5py.File(path) as file:
        return file["train/vectors"].id.get_offset() + 500


def tokens_offset(path: Path) -> int:
    with h5py.File(path) as file:
        return file["train/tokens"].id.get_offset() + 8


def test_a_corpus_without_text(model, tmp_path, output):
    params = some_params(
        model={"name": str(model)},
        dataset={"corpus": str(write_texts(tmp_path / "texts", ["", " \n"])), "context": 16, "fragment_tokens": 8},
    )
    message = r"texts: found 2 file\(s\) and no text in them; wanted a \.txt"
    refused("dataset", slices.dataset(params), message, output, output=output, threads=1)


def test_a_corpus_smaller_than_asked(model, tmp_path, output):
    corpus = write_texts(tmp_path / "texts", [f"a text of a few words, number {index}" for index in range(40)])
    dataset = {"corpus": str(corpus), "context": 16, "fragments": 2, "fragment_tokens": 8, "train_tokens": 10**6}
    params = some_params(model={"name": str(model)}, dataset=dataset)
    message = r"dataset\.train_tokens: found \d+ text tokens in .*texts; wanted 1000000"
    refused("dataset", slices.dataset(params), message, output, output=output, threads=1)


def test_a_model_folder_without_tokenizer(tmp_path, output):
    bare = make_tiny_model(tmp_path / "bare", layers=1)
    for file in bare.glob("tokenizer*"):
        file.unlink()
    params = some_params(
        model={"name": str(bare)}, dataset={"corpus": str(write_texts(tmp_path / "texts", ["text"] * 3))}
    )
    message = r"model \S+bare: found no tokenizer that can be loaded .*; wanted a tokenizer beside the weights"
    refused("dataset", slices.dataset(params), message, output, output=output, threads=1)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut_short, rf"{SITE}\.h5: found a damaged file .*; wanted .*not cut short"),
        (
            lambda path: flip(path, vectors_offset(path)),
            rf"{SITE}\.h5: train: block 0: found bytes that were changed; wanted the bytes that were written",
        ),
    ],
)
def test_damaged_activations(damage, message, tmp_path, output):
    path = tmp_path / f"{SITE}.h5"
    write_activations(path)
    damage(path)
    params = some_params()
    (cell,) = grid.cells(params, SITE)
    settings = slices.dictionaries(params, cell)
    refused("dictionaries", settings, message, output, activations=path, output=output, threads=1)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut_short, r"tokens\.h5: found a damaged file .*; wanted a token file"),
        (
            lambda path: flip(path, tokens_offset(path)),
            r"tokens\.h5: found content that was changed after it was written; wanted its own checksum",
        ),
    ],
)
def test_damaged_tokens(damage, message, tmp_path, output):
    write_tokens(tmp_path / "tokens.h5")
    damage(tmp_path / "tokens.h5")
    settings = slices.activations(some_params(), False, [SITE])
    refused("activations", settings, message, output, tokens=tmp_path / "tokens.h5", output=output, threads=1)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut_short, r"\.safetensors: found a damaged file .*; wanted the file of a dictionary that sparse_c"),
        (lambda path: flip(path, -20), r"\.safetensors: found bytes that were changed .*; wanted its own checksum"),
    ],
)
def test_damaged_dictionaries(damage, message, tmp_path, output):
    params = some_params(
        baselines={"methods": ["pca"], "topk_methods": []}, activations={"imported": {SITE: "vectors"}}
    )
    settings = slices.evaluation(params, SITE)
    settings = settings.model_copy(update={"members": {member(params): settings.members[member(params)]}})
    path = tmp_path / f"{member(params)}.safetensors"
    write_activations(tmp_path / f"{SITE}.h5")
    write_dictionary(path)
    damage(path)
    refused(
        "evaluation",
        settings,
        member(params) + message,
        output,
        activations=tmp_path / f"{SITE}.h5",
        dictionaries=path,
        output=output,
        threads=1,
    )


def test_a_damaged_table(tmp_path, output):
    (tmp_path / "table.parquet").write_bytes(b"PAR1 and no more")
    (output / "summary.csv").write_bytes(OLD)
    message = r"table\.parquet: found a damaged file .*; wanted a table that sparse_coding wrote"
    refused("summary", slices.SummarySlice(), message, output, tables=tmp_path / "table.parquet", output=output)


def test_nan_in_imported_vectors(tmp_path, output):
    (tmp_path / "vectors").mkdir()
    vectors = np.ones((50, D), np.float32)
    vectors[17, 3] = np.nan
    np.save(tmp_path / "vectors" / "some.npy", vectors)
    settings = slices.import_activations(some_params(), SITE)
    message = r"some\.npy: row 17: found a value that is not finite; wanted finite activations"
    (output / f"{SITE}.h5").write_bytes(OLD)
    refused("import_activations", settings, message, output, folder=tmp_path / "vectors", output=output)


def test_nan_in_the_weights_of_a_model(tmp_path, output):
    broken = make_tiny_model(tmp_path / "broken", layers=1, d_model=D)
    weights = load_file(broken / "model.safetensors")
    weights["gpt_neox.layers.0.mlp.dense_4h_to_h.bias"][3] = float("nan")
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    write_tokens(tmp_path / "tokens.h5", model=str(broken))
    settings = slices.activations(some_params(model={"name": str(broken)}), False, [SITE])
    message = rf"{SITE}: train: block 0, vector 0 \(token \d+ at position 0, document 0\): found a value that is not f"
    refused("activations", settings, message, output, tokens=tmp_path / "tokens.h5", output=output, threads=1)
