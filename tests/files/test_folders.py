"""The files of a folder, through links, and what has no end or leads nowhere."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sparse_coding.errors import BadInput
from sparse_coding.files import corpus_files, vector_files
from sparse_coding.files.folders import existing, visible_files
from sparse_coding.settings import outside
from sparse_coding.settings.params import Params


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def names(root: Path) -> list[str]:
    return [file.relative_to(root).as_posix() for file in visible_files(root)]


def test_files_come_sorted_without_what_is_hidden(tmp_path: Path) -> None:
    put(tmp_path, "b.txt", "a/2.txt", "a/10.txt", "a.txt", ".hidden", ".cache/huggingface/times")
    assert names(tmp_path) == ["a.txt", "a/10.txt", "a/2.txt", "b.txt"]


def test_links_to_files_and_folders_are_followed(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere", "1.txt", "deep/2.txt")
    put(tmp_path / "root", "own.txt")
    (tmp_path / "root" / "more").symlink_to("../elsewhere")
    (tmp_path / "root" / "again").symlink_to(tmp_path / "elsewhere" / "deep")
    (tmp_path / "root" / "one.txt").symlink_to("../elsewhere/1.txt")
    (tmp_path / "other").symlink_to("root")
    for root in ("root", "other"):
        assert names(tmp_path / root) == ["again/2.txt", "more/1.txt", "more/deep/2.txt", "one.txt", "own.txt"]


@pytest.mark.parametrize("target", [".", "..", "../..", "../../other"])
def test_a_loop_of_links_is_named(tmp_path: Path, target: str) -> None:
    put(tmp_path / "root", "a/file.txt")
    (tmp_path / "root" / "a" / "link").symlink_to(target)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "back").symlink_to(tmp_path / "root")
    with pytest.raises(BadInput, match=r"root.*/(link|back): found a symbolic link to .*, in which it lies itself"):
        visible_files(tmp_path / "root")


@pytest.mark.parametrize("target", ["/mnt/nowhere/part.jsonl", "part.jsonl"])
def test_a_link_to_nothing_or_itself_is_named_where_it_is_read(tmp_path: Path, target: str) -> None:
    put(tmp_path, "a.jsonl")
    (tmp_path / "part.jsonl").symlink_to(target)
    files = visible_files(tmp_path)
    assert existing(files, lambda file: file.name == "a.jsonl") == [tmp_path / "a.jsonl"]
    with pytest.raises(BadInput, match=rf"part\.jsonl: found a symbolic link to {target}, where no file or folder is;"):
        existing(files)


def corpus(folder: Path) -> list[Path]:
    return corpus_files.read_of(folder)[0]


def model(folder: Path) -> list[str]:
    params = Params(model={"name": str(folder)})
    return [*outside.tokenizer(params).files, *outside.weights(params).files]


@pytest.mark.parametrize(
    ("files_of", "name", "read"),
    [
        (corpus, "a.txt", "b.txt"),
        (corpus, "data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"),
        (vector_files.of, "a.npy", "b.npy"),
        (model, "model.safetensors", "other.safetensors"),
        (model, "config.json", "tokenizer.json"),
    ],
)
def test_only_a_link_to_nothing_that_is_read_is_refused(
    tmp_path: Path, files_of: Callable[[Path], list], name: str, read: str
) -> None:
    put(tmp_path, name)
    for other in ("notes", "README.md") if files_of is not corpus or name == "a.txt" else ("README.md",):
        (tmp_path / other).symlink_to("/nowhere")
    assert [str(file) for file in files_of(tmp_path)] == [str(tmp_path / name)]
    (tmp_path / read).symlink_to("/nowhere")
    with pytest.raises(BadInput, match=rf"{read}: found a symbolic link to /nowhere, where no file or folder is; want"):
        files_of(tmp_path)


@pytest.mark.skipif(os.getuid() == 0, reason="root may read all folders")
def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(BadInput, match=r"closed: found a folder that cannot be read"):
        visible_files(tmp_path)
