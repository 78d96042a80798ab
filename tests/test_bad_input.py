"""What cannot be used is refused in one line that names the place, what was found and what is wanted.

Mistakes in params.yaml stop Snakemake before any job; mistakes in files stop the step that reads them. Neither
touches what was there.
"""

import copy
import hashlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from sparse_coding import slices
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.io import dictionaries, tables
from sparse_coding.io import tokens as token_files
from sparse_coding.io.activations import ActivationsWriter, Header
from sparse_coding.io.tokens import Blocks, Tokens
from sparse_coding.params import Params
from tests.tiny_model import make_tiny_model
from tests.workspace import make_workspace, snakemake, step, write_params

SITE, D = "layer0_residual", 16
N_TRAIN, N_HELD_OUT, FRAGMENTS, LENGTH = 600, 100, 20, 8
OLD = b"a result of an earlier run\n"


def some_params(**sections) -> Params:
    return Params.model_validate(
        {
            "grid": {"sites": [SITE], "architectures": ["tied"], "ratios": [2], "l1": [0.001]},
            "dictionaries": {"steps": 4, "batch": 64},
            "autointerp": {"features": 3},
            "dataset": {
                "context": 16,
                "train_tokens": 100,
                "held_out_tokens": 20,
                "fragments": 4,
                "fragment_tokens": 8,
            },
        }
        | sections
    )


def member(params: Params) -> str:
    return slices.evaluation(params, SITE).dictionaries[0].name


# Inputs that a step accepts; each test damages its own copy.


def write_activations(path: Path) -> None:
    random = torch.Generator().manual_seed(0)
    rows = {"train": N_TRAIN, "held_out": N_HELD_OUT, "fragments": FRAGMENTS * LENGTH}
    header = Header(site=SITE, model="models/tiny", corpus="texts", dtype="float32", d_act=D, block_rows=128)
    with ActivationsWriter(path, header, rows) as writer:  # type: ignore[arg-type]
        for split, n in rows.items():
            tokens = fragment_tokens().ravel() if split == "fragments" else np.zeros(n)
            writer.append(split, torch.randn(n, D, generator=random), tokens, np.arange(n), np.zeros(n))  # type: ignore[arg-type]


def fragment_tokens() -> np.ndarray:
    return np.random.default_rng(0).integers(2, 300, (FRAGMENTS, LENGTH), dtype=np.int32)


def write_tokens(path: Path, model: str = "models/tiny") -> None:
    def blocks(n: int, seed: int) -> Blocks:
        return Blocks(
            np.random.default_rng(seed).integers(2, 300, (n, 16), dtype=np.int32), np.zeros((n, 16), np.int32)
        )

    tokens = Tokens(
        train=blocks(20, 0),
        held_out=blocks(5, 1),
        fragments=fragment_tokens(),
        fragments_document=np.arange(FRAGMENTS, dtype=np.int32),
        vocabulary=[f"t{token}" for token in range(300)],
        model=model,
        corpus="texts",
        bos=None,
        special=(0,),
        seed=0,
        corpus_sha256="0" * 64,
        leak=0.0,
        n_documents_train=1,
        n_documents_held_out=1,
        n_documents_fragments=FRAGMENTS,
    )
    token_files.save(path, tokens)


def write_dictionary(path: Path) -> None:
    atoms = torch.nn.functional.normalize(torch.randn(2 * D, D, generator=torch.Generator().manual_seed(0)), dim=1)
    dictionaries.save(path, Dictionary(atoms, torch.zeros(2 * D), atoms, torch.zeros(D), torch.ones(2 * D)), {})


def write_texts(folder: Path, texts: list[str]) -> Path:
    folder.mkdir()
    for index, text in enumerate(texts):
        (folder / f"{index}.txt").write_text(text)
    return folder


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


def contents(folder: Path) -> dict[str, str]:
    """The sha256 of every file below `folder`, hidden ones too."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny", layers=1, d_model=D)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A folder of results with something in it."""
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "older.txt").write_bytes(OLD)
    return tmp_path / "results"


def refused(stage: str, settings: object, message: str, kept: Path, /, **arguments: object) -> None:
    """Run a step; it must end with 2 and one line like `message`, and leave the folder `kept` as it is."""
    before = contents(kept)
    given = [part for name, value in arguments.items() for part in (f"--{name}", str(value))]
    done = step(stage, "--settings", settings.model_dump_json(), *given)  # type: ignore[attr-defined]
    assert_one_line(done, stage, message)
    assert contents(kept) == before


def assert_one_line(done: subprocess.CompletedProcess[str], stage: str, message: str) -> None:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.replace("\r", "\n").splitlines() if line.strip()]
    assert re.fullmatch(rf"error: {stage}: .*{message}.*", lines[-1]), done.stderr
    assert "; wanted " in lines[-1]
    assert sum("error" in line.lower() for line in lines) == 1


# params.yaml

PARAMS = {
    "grid": {"sites": ["layer2_residual"]},
    "model": {"name": "models/tiny"},
    "dataset": {"corpus": "texts"},
}
MISTAKES = {
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
        {"grid": {"sites": ["layer1_mlp"]}},
        r"params\.yaml: grid\.sites: found 'layer1_mlp'; wanted layerN_\{residual\} .*or a name under activations",
    ),
    "a control as a site": (
        {"grid": {"sites": ["random_layer1_residual"]}},
        r"params\.yaml: grid\.sites: found 'random_layer1_residual'; wanted layer1_residual: its control comes with",
    ),
    "an unknown architecture": (
        {"grid": {"architectures": ["gated"]}},
        r"params\.yaml: grid\.architectures\.0: found 'gated'; wanted 'tied', 'untied' or 'topk'",
    ),
    "an empty corpus": ({"dataset": {"corpus": "nothing"}}, r"nothing: found no files; wanted a folder with files"),
    "no vectors to import": (
        {"grid": {"sites": ["mine"]}, "activations": {"imported": {"mine": "nowhere"}}},
        r"nowhere: found no such folder; wanted a folder with files",
    ),
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    """A folder with a local model, which no mistake in params may touch."""
    folder = make_workspace(tmp_path_factory.mktemp("params") / "project", {})
    make_tiny_model(folder / "models" / "tiny", layers=3)
    write_texts(folder / "texts", ["a text"])
    (folder / "nothing").mkdir()
    (folder / "results").mkdir()
    (folder / "results" / "older.txt").write_bytes(OLD)
    return folder


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_params_stops_the_workflow_before_any_job(mistake, workspace):
    change, message = MISTAKES[mistake]
    params: dict[str, dict] = copy.deepcopy(PARAMS)
    for section, values in change.items():
        params[section] = params.get(section, {}) | values
    write_params(workspace, params)
    before = contents(workspace / "results")
    done = snakemake(workspace)
    assert done.returncode != 0
    assert len(re.findall(rf"^{message}", done.stdout, re.MULTILINE)) == 1, done.stdout
    assert "Traceback" not in done.stdout
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


# Files


def test_a_corpus_without_text(model, tmp_path, output):
    params = some_params(
        model={"name": str(model)},
        dataset={"corpus": str(write_texts(tmp_path / "texts", ["", " \n"])), "context": 16, "fragment_tokens": 8},
    )
    message = r"texts: found 2 file\(s\) and no text in them; wanted a \.txt"
    refused("dataset", slices.dataset(params), message, output, output=output / "tokens.h5", threads=1)


def test_a_corpus_smaller_than_asked(model, tmp_path, output):
    corpus = write_texts(tmp_path / "texts", [f"a text of a few words, number {index}" for index in range(40)])
    dataset = {"corpus": str(corpus), "context": 16, "fragments": 2, "fragment_tokens": 8, "train_tokens": 10**6}
    params = some_params(model={"name": str(model)}, dataset=dataset)
    message = r"dataset\.train_tokens: found \d+ text tokens in .*texts; wanted 1000000"
    refused("dataset", slices.dataset(params), message, output, output=output / "tokens.h5", threads=1)


def test_a_model_folder_without_tokenizer(tmp_path, output):
    bare = make_tiny_model(tmp_path / "bare", layers=1)
    for file in bare.glob("tokenizer*"):
        file.unlink()
    params = some_params(
        model={"name": str(bare)}, dataset={"corpus": str(write_texts(tmp_path / "texts", ["text"] * 3))}
    )
    message = r"model \S+bare: found no tokenizer that can be loaded .*; wanted a tokenizer beside the weights"
    refused("dataset", slices.dataset(params), message, output, output=output / "tokens.h5", threads=1)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut_short, rf"{SITE}\.h5: found a file that HDF5 cannot read .*; wanted .*not cut short"),
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
    (cell,) = slices.grid.cells(params, SITE)
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
    settings = slices.activations(some_params(), random_weights=False)
    refused("activations", settings, message, output, tokens=tmp_path / "tokens.h5", output=output, threads=1)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut_short, r"\.safetensors: found a damaged file .*; wanted a dictionary that sparse_coding wrote"),
        (lambda path: flip(path, -20), r"\.safetensors: found bytes that were changed .*; wanted its own checksum"),
    ],
)
def test_damaged_dictionaries(damage, message, tmp_path, output):
    params = some_params(
        baselines={"methods": ["pca"], "topk_methods": []}, activations={"imported": {SITE: "vectors"}}
    )
    settings = slices.evaluation(params, SITE)
    settings = settings.model_copy(update={"dictionaries": settings.dictionaries[:1]})
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
    message = r"table\.parquet: found a damaged file .*; wanted a table that sparse_coding wrote"
    refused(
        "summary",
        slices.SummarySlice(),
        message,
        output,
        tables=tmp_path / "table.parquet",
        output=output / "older.txt",
    )


def test_nan_in_imported_vectors(tmp_path, output):
    (tmp_path / "vectors").mkdir()
    vectors = np.ones((50, D), np.float32)
    vectors[17, 3] = np.nan
    np.save(tmp_path / "vectors" / "some.npy", vectors)
    settings = slices.import_activations(some_params(), SITE)
    message = r"some\.npy: row 17: found a value that is not finite; wanted finite activations"
    target = output / "older.txt"
    refused("import_activations", settings, message, output, folder=tmp_path / "vectors", output=target)


def test_nan_in_the_weights_of_a_model(tmp_path, output):
    broken = make_tiny_model(tmp_path / "broken", layers=1, d_model=D)
    weights = load_file(broken / "model.safetensors")
    weights["gpt_neox.layers.0.mlp.dense_4h_to_h.bias"][3] = float("nan")
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    write_tokens(tmp_path / "tokens.h5", model=str(broken))
    settings = slices.activations(some_params(model={"name": str(broken)}), random_weights=False)
    message = rf"{SITE}: train: block 0, vector 0 \(token \d+ at position 0, document 0\): found a value that is not f"
    refused("activations", settings, message, output, tokens=tmp_path / "tokens.h5", output=output, threads=1)


# A full disk: a file system of one megabyte, with an older result of each step on it, and no room for more.


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "full"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, left: int) -> None:
    """Take all room on the file system of `folder` but about `left` bytes."""
    room = os.statvfs(folder)
    (folder / "filler").write_bytes(bytes(room.f_bavail * room.f_frsize - left))


def refused_for_want_of_room(kept: Path, target: Path, stage: str, settings: object, /, **arguments: object) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(OLD)
    fill(kept, left=4096)
    message = rf"{re.escape(str(target))}: found a full disk \(No space left on device\); wanted room"
    refused(stage, settings, message, kept, **arguments)
    assert target.read_bytes() == OLD


def test_no_room_for_tokens(full, model, tmp_path):
    corpus = write_texts(tmp_path / "texts", [f"a text of a few words, number {index}; " * 20 for index in range(40)])
    dataset = {"corpus": str(corpus), "context": 16, "train_tokens": 3000, "held_out_tokens": 50, "fragments": 4}
    settings = slices.dataset(some_params(model={"name": str(model)}, dataset=dataset | {"fragment_tokens": 8}))
    target = full / "dataset" / "tokens.h5"
    refused_for_want_of_room(full, target, "dataset", settings, output=target, threads=1)


def test_no_room_for_harvested_activations(full, model, tmp_path):
    write_tokens(tmp_path / "tokens.h5", model=str(model))
    settings = slices.activations(some_params(model={"name": str(model)}), random_weights=False)
    target = full / f"{SITE}.h5"
    refused_for_want_of_room(
        full, target, "activations", settings, tokens=tmp_path / "tokens.h5", output=full, threads=1
    )


def test_no_room_for_imported_activations(full, tmp_path):
    (tmp_path / "vectors").mkdir()
    np.save(tmp_path / "vectors" / "some.npy", np.ones((20_000, D), np.float32))
    settings = slices.import_activations(some_params(), SITE)
    target = full / f"{SITE}.h5"
    refused_for_want_of_room(full, target, "import_activations", settings, folder=tmp_path / "vectors", output=target)


def test_no_room_for_dictionaries(full, tmp_path):
    write_activations(tmp_path / f"{SITE}.h5")
    params = some_params(grid={"sites": [SITE], "architectures": ["untied"], "ratios": [32], "l1": [0.001]})
    (cell,) = slices.grid.cells(params, SITE)
    target = full / f"{cell.member_names[0]}.safetensors"
    (full / f"{cell.member_names[0]}.log.jsonl").write_bytes(OLD)
    arguments = {"activations": tmp_path / f"{SITE}.h5", "output": full, "threads": 1}
    refused_for_want_of_room(full, target, "dictionaries", slices.dictionaries(params, cell), **arguments)


def test_no_room_for_tables(full, tmp_path):
    params = some_params(autointerp={"features": 2 * D}, baselines={"methods": ["pca"], "topk_methods": []})
    settings = slices.autointerp(params, SITE)
    settings = settings.model_copy(update={"dictionaries": settings.dictionaries[:1], "shuffled_null": None})
    write_activations(tmp_path / f"{SITE}.h5")
    write_tokens(tmp_path / "tokens.h5")
    write_dictionary(tmp_path / f"{member(params)}.safetensors")
    arguments = {"activations": tmp_path / f"{SITE}.h5", "tokens": tmp_path / "tokens.h5", "output": full, "threads": 1}
    arguments |= {"dictionaries": tmp_path / f"{member(params)}.safetensors"}
    refused_for_want_of_room(full, full / f"{member(params)}.parquet", "autointerp", settings, **arguments)


@pytest.mark.parametrize("room", [0, 20_000, 60_000, 70_000, 72_000, 76_000])
def test_hdf5_survives_a_disk_that_fills_up_at_any_moment(room, full, tmp_path):
    """HDF5 alone may crash the process here, or print a traceback for each object that it closes."""
    fill(full, left=room)
    before = contents(full)
    with pytest.raises(Exception, match=r"a full disk \(No space left on device\)"):
        write_activations(full / "activations.h5")
    assert contents(full) == before


def test_no_room_for_a_parquet_table(full):
    fill(full, left=4096)
    before = contents(full)
    rows = [{"site": SITE, "name": "x", "feature": index, "frequency": index**0.5} for index in range(10_000)]
    with pytest.raises(Exception, match=r"table\.parquet: found a full disk"):
        tables.write(full / "table.parquet", rows, tables.FREQUENCY)
    assert contents(full) == before
