"""The files of a folder, through links, and what has no end or leads nowhere."""

import os
from pathlib import Path

import pytest

from sparse_coding.errors import BadInput
from sparse_coding.folders import visible_files


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


def test_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "part.jsonl").symlink_to("/mnt/nowhere/part.jsonl")
    with pytest.raises(BadInput, match=r"part\.jsonl: found a symbolic link to /mnt/nowhere/part\.jsonl, where no"):
        visible_files(tmp_path)


@pytest.mark.skipif(os.getuid() == 0, reason="root may read all folders")
def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(BadInput, match=r"closed: found a folder that cannot be read"):
        visible_files(tmp_path)
