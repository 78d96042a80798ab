"""Digests of files, and when they may be remembered."""

import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from sparse_coding.workflow.hashes import SETTLED_SECONDS, Hashes


@pytest.fixture
def hashes(tmp_path: Path) -> Hashes:
    return Hashes(tmp_path, tmp_path / ".work")


def settled(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    time.sleep(1.5 * SETTLED_SECONDS)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def lie(hashes: Hashes) -> None:
    """Make what is remembered wrong, so that it shows when it is used."""
    for memory in hashes.folder.iterdir():
        entries = json.loads(memory.read_text())
        memory.write_text(json.dumps({file: [entry[0], "remembered"] for file, entry in entries.items()}))


def test_a_digest_is_remembered_while_the_file_stays(hashes, tmp_path):
    settled(tmp_path / "a", b"one")
    assert hashes.of("group", ["a", "b"]) == {"a": sha256(b"one"), "b": None}
    lie(hashes)
    assert hashes.of("group", ["a"]) == {"a": "remembered"}
    assert hashes.of("another group", ["a"]) == {"a": sha256(b"one")}


def test_a_file_overwritten_in_place_is_seen_though_size_and_times_are_the_old_ones(hashes, tmp_path):
    settled(tmp_path / "a", b"one")
    before = os.stat(tmp_path / "a")
    hashes.of("group", ["a"])
    lie(hashes)
    settled(tmp_path / "a", b"two")
    os.utime(tmp_path / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert hashes.of("group", ["a"]) == {"a": sha256(b"two")}


def test_a_file_that_was_just_written_is_not_remembered(hashes, tmp_path):
    (tmp_path / "a").write_bytes(b"one")
    hashes.of("group", ["a"])
    lie(hashes) if hashes.folder.exists() else None
    assert hashes.of("group", ["a"]) == {"a": sha256(b"one")}


def test_what_was_moved_is_remembered_on_the_word_of_the_mover(hashes, tmp_path):
    (tmp_path / "a").write_bytes(b"one")
    hashes.remember("group", {"a": "on my word"})
    assert hashes.of("group", ["a"]) == {"a": "on my word"}


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"a": 3}'])
def test_a_memory_that_cannot_be_read_is_no_memory(damage, hashes, tmp_path):
    settled(tmp_path / "a", b"one")
    hashes.of("group", ["a"])
    for memory in hashes.folder.iterdir():
        memory.write_bytes(damage)
    assert hashes.of("group", ["a"]) == {"a": sha256(b"one")}


def test_a_folder_is_no_file(hashes, tmp_path):
    (tmp_path / "a").mkdir()
    assert hashes.of("group", ["a", "a/b"]) == {"a": None, "a/b": None}
