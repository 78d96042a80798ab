"""Every reader says of a wrong path what lies there, and no message of the package advises to remove it."""

import ast
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries, fitted, tables
from sparse_coding.io import tokens as token_files
from sparse_coding.io.activations import open_activations
from sparse_coding.io.tables.frequency import FREQUENCY
from tests.step_inputs import write_activations, write_tokens
from tests.workspace import ROOT

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(40)


def write_dictionary(path: Path, n_feat: int = 3) -> Path:
    atoms = torch.eye(n_feat, 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    dictionaries.save(path, Dictionary(atoms, torch.zeros(n_feat), atoms, torch.zeros(2), torch.ones(n_feat)), {})
    return path


def write_gains(path: Path) -> None:
    fitted.save(path, "gain_refit", {"gain": torch.ones(3)}, write_dictionary(path.with_name("its-dictionary")))


def write_table(path: Path) -> None:
    tables.write(path, [{"site": "s", "name": "n", "feature": 1, "frequency": 0.5}] * 50, FREQUENCY)


def read_activations(path: Path) -> None:
    with open_activations(path):
        pass


# How each is written and read, what it is called, and its format.
READERS: dict[str, tuple[Callable, Callable, str, str]] = {
    "dictionary": (write_dictionary, dictionaries.load, "the file of a dictionary that sparse_cod", "safetensors"),
    "gains": (
        write_gains,
        lambda path: fitted.load(path, "gain_refit", path.with_name("its-dictionary"))["gain"],
        "the gain refit that stage evaluation wrote",
        "safetensors",
    ),
    "table": (
        write_table,
        lambda path: tables.read(path, FREQUENCY),
        "a table that sparse_coding wro",
        "Parquet",
    ),
    "tokens": (write_tokens, token_files.load, "a token file that stage dataset wrote", "HDF5"),
    "activations": (write_activations, read_activations, "an activations file that sparse_coding wrote", "HDF5"),
}


def cut_short(path: Path, write: Callable) -> None:
    write(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


WRONG: dict[str, tuple[Callable[[Path, Callable], object], str]] = {
    "missing": (lambda path, write: None, "no such file"),
    "a folder": (lambda path, write: path.mkdir(), "a folder"),
    "a picture": (lambda path, write: path.write_bytes(PNG), "a file that is no {format} file"),
    "a text": (lambda path, write: path.write_text("my notes\n"), "a file that is no {format} file"),
    "empty": (lambda path, write: path.write_bytes(b""), "an empty file"),
    "a pipe": (lambda path, write: os.mkfifo(path), "no regular file"),
    "a link to nothing": (lambda path, write: path.symlink_to(path.with_name("gone")), "no such file"),
    "cut short": (cut_short, r"a damaged file \(.*\)"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("reader", READERS)
def test_a_wrong_path_is_named_for_what_it_is(reader, wrong, tmp_path):
    (write, read, wanted, name), (make, found) = READERS[reader], WRONG[wrong]
    path = tmp_path / "mine"
    make(path, write)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(BadInput) as error:
        read(path)
    message = rf"{re.escape(str(path))}: found {found.format(format=name)}; wanted {wanted}.*"
    assert re.fullmatch(message, str(error.value)), error.value  # of one line
    assert not re.search("remove|delete", str(error.value))
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_of_dictionaries_is_answered_with_what_lies_in_it(tmp_path):
    folder = tmp_path / "results" / "dictionaries"
    for site in ("layer1_residual", "layer2_residual"):
        for index in range(4):
            write_dictionary(folder / site / f"tied_{index}.safetensors")
    save_file({"weight": torch.ones(1)}, folder / "model.safetensors")
    (folder / "notes.safetensors").write_text("none")
    for asked, names in (
        (folder / "layer1_residual", [f"tied_{index}.safetensors" for index in range(4)]),
        (folder, [f"layer1_residual/tied_{index}.safetensors" for index in range(4)]),
        (tmp_path / "results", [f"dictionaries/layer1_residual/tied_{index}.safetensors" for index in range(4)]),
    ):
        with pytest.raises(BadInput, match=rf"{asked}: found a folder; wanted .*: in this folder are ") as error:
            dictionaries.load(asked)
        assert ", ".join(names) in str(error.value)
        assert "model.safetensors" not in str(error.value)
    assert str(error.value).endswith("layer2_residual/tied_0.safetensors and 3 more")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"found a folder; wanted .* there is none in this folder"):
        dictionaries.load(tmp_path / "empty")


def test_weights_of_something_else_are_not_read_before_they_are_refused(tmp_path, monkeypatch):
    save_file({"weight": torch.ones(4)}, tmp_path / "model.safetensors")
    monkeypatch.setattr(dictionaries, "checksum", None)
    for load in (dictionaries.load, lambda path: fitted.load(path, "gain_refit", path)):
        with pytest.raises(BadInput, match=r"model\.safetensors: found format None; wanted 'sparse_coding "):
            load(tmp_path / "model.safetensors")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_dictionary_of_half_precision_comes_back(tmp_path, dtype):
    atoms = torch.eye(3, 2)
    dictionary = Dictionary(atoms, torch.zeros(3), atoms, torch.zeros(2), torch.ones(3)).to(dtype)
    dictionaries.save(tmp_path / "half", dictionary, {})
    assert dictionaries.load(tmp_path / "half").decoder.equal(dictionary.decoder)


def test_no_message_advises_to_remove_what_lies_there():
    """Who obeys might delete what is not ours; a run replaces what is ours by itself. `clean` shows it and asks."""
    advice = re.compile(r"\b(remove|delete|erase)\b|\brm\b", re.IGNORECASE)
    said = [text for file in sorted((ROOT / "src").rglob("*.py")) for text in sentences(file)]
    assert len(said) > 1000
    assert [text for text in said if advice.search(text) and "all of this" not in text] == []


def sentences(file: Path) -> list[str]:
    """Strings with a space in them that are no docstrings."""
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    alone = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    texts = (node for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return [node.value for node in texts if " " in node.value and id(node) not in alone]
