"""Stamps, and the store of finished artifacts."""

import errno
import hashlib
import os
from pathlib import Path

import pytest

from sparse_coding.errors import BadInput
from sparse_coding.workflow import canonical, stamps
from sparse_coding.workflow.hashes import Hashes
from sparse_coding.workflow.stamps import Stamp
from sparse_coding.workflow.store import Store

FILE, COMPANION = "results/a/x.bin", "results/b/x.log"
CONTENT = {FILE: b"weights", COMPANION: b"log"}


def stamp_of(content: dict[str, bytes] = CONTENT, **record: object) -> Stamp:
    record = {"makes": FILE, "settings": {"l1": 0.1}} | record
    files = {file: hashlib.sha256(data).hexdigest() for file, data in content.items()}
    return Stamp(canonical.digest(record), record, files, {"step.py": "0"}, {}, [{"cpu": "this"}])


def write(folder: Path, content: dict[str, bytes] = CONTENT) -> None:
    for file, data in content.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(data)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path, tmp_path / ".work" / "store", Hashes(tmp_path, tmp_path / ".work" / "hashes"))


def test_a_stamp_comes_back_and_its_bytes_depend_on_its_content_alone(tmp_path):
    one = stamp_of()
    other = Stamp(one.key, dict(reversed(one.record.items())), dict(reversed(one.files.items())), one.source, {},
                  one.environments)  # fmt: skip
    stamps.write(tmp_path / "one", one)
    stamps.write(tmp_path / "other", other)
    assert stamps.read(tmp_path / "one") == one
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    assert stamps.read(tmp_path / "none") is None


def test_an_edited_stamp_is_not_whole():
    one = stamp_of()
    assert one.is_whole
    assert not Stamp("0" * 32, one.record, one.files).is_whole
    assert not Stamp(one.key, one.record | {"settings": {"l1": 0.2}}, one.files).is_whole


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "stamp 0"}', '{"format": "stamp 1", "what": 1}'])
def test_a_file_that_is_no_stamp_is_named(tmp_path, text):
    (tmp_path / "x.stamp").write_text(text)
    with pytest.raises(BadInput, match=r"x\.stamp: found a damaged stamp .*; wanted a stamp as a step wrote it"):
        stamps.read(tmp_path / "x.stamp")


def test_a_folder_in_the_place_of_a_stamp_is_named(tmp_path):
    (tmp_path / "x.stamp").mkdir()
    with pytest.raises(BadInput, match=r"x\.stamp: found a folder; wanted a stamp as a step wrote it"):
        stamps.read(tmp_path / "x.stamp")


def test_what_is_kept_is_published_whole_with_its_stamp(store, tmp_path):
    write(tmp_path / "making")
    stamp = stamp_of()
    store.keep(stamp, tmp_path / "making")
    assert store.holds(stamp.key) == stamp
    assert not (tmp_path / FILE).exists()
    store.publish(stamp)
    assert {file: (tmp_path / file).read_bytes() for file in CONTENT} == CONTENT
    assert stamps.read(tmp_path / f"{FILE}.stamp") == stamp
    assert store.holds(stamp.key) is None
    assert not list(store.entries())


@pytest.mark.parametrize("damage", ["a byte", "a file", "the stamp", "another key"])
def test_an_entry_that_is_not_whole_is_not_held(store, tmp_path, damage):
    write(tmp_path / "making")
    stamp = stamp_of()
    store.keep(stamp, tmp_path / "making")
    entry = store.folder / stamp.key
    if damage == "a byte":
        (entry / FILE).write_bytes(b"weighty")
    elif damage == "a file":
        (entry / COMPANION).unlink()
    elif damage == "the stamp":
        (entry / f"{FILE}.stamp").unlink()
    else:
        stamps.write(entry / f"{FILE}.stamp", stamp_of(settings={"l1": 0.2}))
    assert store.holds(stamp.key) is None


def test_what_is_parked_comes_back(store, tmp_path):
    write(tmp_path)
    stamp = stamp_of()
    stamps.write(tmp_path / f"{FILE}.stamp", stamp)
    store.park(stamp, leave=True)
    assert (tmp_path / FILE).exists()
    (tmp_path / FILE).unlink()  # as Snakemake does before it runs a job
    assert store.holds(stamp.key) == stamp
    store.publish(stamp)
    assert (tmp_path / FILE).read_bytes() == CONTENT[FILE]
    store.park(stamp, leave=False)
    assert not [file for file in (tmp_path / "results").rglob("*") if file.is_file()]
    store.publish(stamp)
    assert (tmp_path / COMPANION).read_bytes() == CONTENT[COMPANION]


def test_a_newer_result_of_the_same_key_takes_the_place_of_the_older(store, tmp_path):
    for content in (CONTENT, CONTENT | {FILE: b"rounded otherwise"}):
        write(tmp_path / "making", content)
        store.keep(stamp_of(content), tmp_path / "making")
    held = store.holds(stamp_of().key)
    assert held is not None
    store.publish(held)
    assert (tmp_path / FILE).read_bytes() == b"rounded otherwise"


@pytest.mark.parametrize("links", [True, False])
def test_a_folder_in_the_place_of_a_file_is_named_and_nothing_is_lost(store, tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", no_second_names)
    write(tmp_path / "making")
    store.keep(stamp_of(), tmp_path / "making")
    (tmp_path / FILE).mkdir(parents=True)
    with pytest.raises(BadInput, match=rf"/{FILE}: found a folder; wanted room for the file$"):
        store.publish(stamp_of())
    assert store.holds(stamp_of().key) == stamp_of()
    (tmp_path / FILE).rmdir()
    store.publish(stamp_of())
    assert (tmp_path / FILE).read_bytes() == CONTENT[FILE]
    assert not list(tmp_path.rglob("*.part"))


def test_a_place_that_cannot_be_written_is_named(store, tmp_path):
    write(tmp_path / "making")
    store.keep(stamp_of(), tmp_path / "making")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "a").write_text("a file where a folder belongs")
    with pytest.raises(BadInput, match=r"found a place that cannot be written \(.+\); wanted room for the file$"):
        store.publish(stamp_of())


def no_second_names(*_: object) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def test_without_second_names_it_is_copied(store, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", no_second_names)
    write(tmp_path / "making")
    store.keep(stamp_of(), tmp_path / "making")
    store.publish(stamp_of())
    assert {file: (tmp_path / file).read_bytes() for file in CONTENT} == CONTENT


def test_the_store_counts_and_forgets(store, tmp_path):
    write(tmp_path / "making")
    store.keep(stamp_of(), tmp_path / "making")
    ((stamp, size),) = store.entries()
    assert stamp == stamp_of()
    assert size > sum(map(len, CONTENT.values()))
    store.clear()
    assert not list(store.entries())
