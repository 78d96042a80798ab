"""Corpora: the embedded one, files in every format, and what is refused."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_coding.errors import BadInput
from sparse_coding.lm import corpora
from sparse_coding.lm.corpora import pydocs, windows
from sparse_coding.lm.corpora.documents import Documents, Source, split

TEXTS = [f"Document {i}.\nIt says: {'word ' * i}\u00e9 \u4e2d." for i in range(20)]


def load(name: Path | str) -> Documents:
    return corpora.load(Source(str(name)))


def write_texts(folder: Path, texts: list[str] = TEXTS) -> Path:
    for i, text in enumerate(texts):
        file = folder / f"{i // 10}" / f"{i:03d}{'.md' if i % 2 else '.txt'}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


def write_jsonl(file: Path, texts: list[str], field: str = "text") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = (json.dumps({"id": i, field: text}) for i, text in enumerate(texts))
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return file


def write_parquet(file: Path, texts: list[str | None], field: str = "text") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": list(range(len(texts))), field: pa.array(texts, pa.string())}), file)
    return file


# Windows


def brute_force_windows(text: str) -> list[tuple[str, ...]]:
    words = text.split()
    return [tuple(words[i : i + windows.WORDS]) for i in range(max(len(words) - windows.WORDS + 1, 1))]


# Few different words and lengths around 12, so that windows meet.
some_texts = st.lists(st.lists(st.sampled_from(["a", "b", "c\n"]), max_size=16).map(" ".join), max_size=6)


@settings(max_examples=100, deadline=None)
@given(some_texts)
def test_share_seen_before_is_that_of_a_set(texts: list[str]) -> None:
    seen: set = set()
    wanted = []
    for text in texts:
        mine = brute_force_windows(text)
        wanted.append(np.mean([window in seen for window in mine]))
        seen |= set(mine)
    np.testing.assert_allclose(windows.share_seen_before(texts), wanted)


@settings(max_examples=100, deadline=None)
@given(some_texts, some_texts, st.integers(1, 4))
def test_share_in_is_that_of_a_set(texts: list[str], others: list[str], at_once: int) -> None:
    there = {window for text in others for window in brute_force_windows(text)}
    mine = [window in there for text in texts for window in brute_force_windows(text)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "AT_ONCE", at_once)
        assert windows.share_in(texts, others) == pytest.approx(np.mean(mine) if mine else 0)


# Files


def test_every_format_gives_the_same_documents(tmp_path: Path) -> None:
    names = [
        write_texts(tmp_path / "folder"),
        write_jsonl(tmp_path / "one.jsonl", TEXTS),
        write_parquet(tmp_path / "one.parquet", TEXTS),
    ]
    write_jsonl(tmp_path / "many" / "b.jsonl", TEXTS[7:])
    write_jsonl(tmp_path / "many" / "a.jsonl", TEXTS[:7])
    write_parquet(tmp_path / "parts" / "x" / "0.parquet", [*TEXTS[:3], None, "  "])
    write_parquet(tmp_path / "parts" / "x" / "1.parquet", TEXTS[3:])
    names += [tmp_path / "many", tmp_path / "parts"]
    first, *rest = [corpora.load(Source(str(name)), 0.2, seed=1) for name in names]
    assert sorted(first.train + first.held_out) == sorted(TEXTS)
    assert len(first.held_out) == 4
    for documents in rest:
        assert documents == first


def test_files_without_rows_are_passed_over(tmp_path: Path) -> None:
    write_parquet(tmp_path / "parts" / "0.parquet", [])
    write_parquet(tmp_path / "parts" / "1.parquet", TEXTS)
    (tmp_path / "parts" / "2.parquet").touch()
    assert load(tmp_path / "parts") == load(write_jsonl(tmp_path / "all.jsonl", TEXTS))


def test_another_column_can_hold_the_text(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "a.jsonl", TEXTS, "body")
    assert corpora.load(Source(str(file), "body")) == load(write_jsonl(tmp_path / "b.jsonl", TEXTS))
    with pytest.raises(BadInput, match=r"a\.jsonl: found columns body, id; wanted a column 'text'"):
        load(file)
    with pytest.raises(BadInput, match=r"b\.parquet: found columns body, id; wanted a column 'text'"):
        load(write_parquet(tmp_path / "b.parquet", TEXTS, "body"))


def test_the_split_is_by_document_and_seeded() -> None:
    one, same, other = (split(TEXTS, 0.25, seed, "here") for seed in (0, 0, 1))
    assert one == same
    assert one != other
    assert len(one.held_out) == 5
    assert not set(one.train) & set(one.held_out)
    assert one.train == [text for text in TEXTS if text in one.train]


@pytest.mark.parametrize(("share", "n_held_out"), [(0.0, 1), (0.001, 1), (1.0, 19)])
def test_both_sides_of_a_split_hold_something(share: float, n_held_out: int) -> None:
    assert len(split(TEXTS, share, 0, "here").held_out) == n_held_out


def test_repeated_text_is_reported_as_a_leak() -> None:
    text = " ".join(map(str, range(30)))
    assert corpora.leak(Documents([text], ["new " + text])) == pytest.approx(19 / 20)
    assert corpora.leak(Documents([text], ["other words"])) == 0


def refused(path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        load(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_what_holds_no_corpus_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    assert "found no file that could be a corpus" in refused(tmp_path / "empty")
    (tmp_path / "empty" / "a.txt").write_text(" \n")
    assert "found 1 file(s) and no text" in refused(tmp_path / "empty")
    (tmp_path / "zero.jsonl").touch()
    assert "no text" in refused(tmp_path / "zero.jsonl")
    (tmp_path / "a.csv").write_text("text\nhello")
    assert "found no file that could be a corpus" in refused(tmp_path / "a.csv")
    write_texts(tmp_path / "one", TEXTS[:1])
    assert "found 1 document(s) with text; wanted at least 2" in refused(tmp_path / "one")
    write_texts(tmp_path / "mixed")
    write_jsonl(tmp_path / "mixed" / "b.jsonl", TEXTS)
    assert "files of several kinds (json, text)" in refused(tmp_path / "mixed")
    assert "found no such file or folder; wanted" in refused(tmp_path / "nowhere")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(BadInput, match="corpus no-such/corpus: found no such file or folder, and nothing usable on"):
        load("no-such/corpus")


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    folder = write_texts(tmp_path / "latin")
    (folder / "1" / "bad.txt").write_bytes("caf\u00e9".encode("latin-1"))
    assert re.search(r"1/bad\.txt: found byte 0xe9 at 3; wanted UTF-8 text", _message(folder))
    (tmp_path / "bad.jsonl").write_text('{"text": "a"}\n{"text": \n')
    assert "a damaged file" in refused(tmp_path / "bad.jsonl")
    (tmp_path / "bytes.jsonl").write_bytes('{"text": "caf\u00e9"}\n'.encode("latin-1"))
    assert "a damaged file" in refused(tmp_path / "bytes.jsonl")
    file = write_parquet(tmp_path / "cut.parquet", TEXTS)
    file.write_bytes(file.read_bytes()[:-20])
    assert "a damaged file" in refused(file)
    (tmp_path / "numbers.jsonl").write_text('{"text": 1}\n{"text": 2}\n')
    assert "column 'text': found int 1; wanted text" in refused(tmp_path / "numbers.jsonl")


def _message(path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        load(path)
    return str(caught.value)


def test_reading_files_leaves_no_copy_behind(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", TEXTS)
    write_parquet(tmp_path / "b.parquet", TEXTS)
    code = (
        "import sys; from sparse_coding.lm import corpora; from sparse_coding.lm.corpora.documents import Source; "
        "[corpora.load(Source(name)) for name in sys.argv[1:]]"
    )
    home = tmp_path / "home"
    source = str(Path(corpora.__file__).parents[3])
    environment = {"HOME": str(home), "HF_HOME": str(home / "hf"), "PYTHONPATH": source, "HF_HUB_OFFLINE": "1"}
    names = [str(tmp_path / "a.jsonl"), str(tmp_path / "b.parquet")]
    subprocess.run([sys.executable, "-c", code, *names], env=environment, check=True)
    assert not [file for file in home.rglob("*") if file.is_file() and file.stat().st_size]


# pydocs

SMALL = {"jaxtyping": {"split": "train"}, "h5py": {"split": "held_out"}}


def small_lock(folder: Path) -> Path:
    lock = folder / "lock.json"
    lock.write_text(json.dumps(pydocs.rebuild(SMALL, 1)[1]))
    return lock


def test_docstrings_are_those_of_ast_walk() -> None:
    source = (
        Path(pydocs.__file__).read_bytes()
        + b'''
async def outer(x=lambda: 0):
    """%s"""
    try:
        match x:
            case 1:
                class Inner:
                    """%s"""
    except OSError:
        def handler(): """%s"""
    else:
        with x if x else x:
            def last(): """%s"""
            def short(): """too short"""
    finally:
        def cleanup(): """%s"""
    return [y for y in (lambda: x)() if y]
'''
        % tuple(letter * 60 for letter in (b"a", b"b", b"c", b"d", b"e"))
    )
    found = [
        text
        for node in ast.walk(ast.parse(source))
        if isinstance(node, pydocs.DOCUMENTED) and (text := ast.get_docstring(node)) and len(text) >= 50
    ]
    assert len(found) > 6
    assert list(pydocs._docstrings(source)) == found
    assert list(pydocs._docstrings(b"def broken(")) == []


def test_the_text_does_not_depend_on_the_number_of_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pydocs, "FILES_IN_A_TASK", 5)
    lock = small_lock(tmp_path)
    one, two = pydocs.build(1, lock), pydocs.build(2, lock)
    assert one == two
    assert one.train
    assert one.held_out
    assert one.sha256 == json.loads(lock.read_text())["sha256"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": "0.0.1"}, r"found package h5py \d+\.\d+.*; wanted h5py 0\.0\.1; run `pip install -r"),
        ({"sha256": "f" * 64}, r"found docstrings of h5py \d+\.\d+\S* with sha256 .*; wanted ffffffffffffffff…"),
    ],
)
def test_a_package_that_the_lock_does_not_know_is_named(tmp_path: Path, change: dict, message: str) -> None:
    lock = small_lock(tmp_path)
    wanted = json.loads(lock.read_text())
    wanted["packages"]["h5py"] |= change
    lock.write_text(json.dumps(wanted))
    with pytest.raises(BadInput, match=message):
        pydocs.build(1, lock)


def test_a_missing_package_and_another_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="found package no-such-package not installed"):
        pydocs.rebuild({"no-such-package": {"split": "train"}}, 1)
    lock = small_lock(tmp_path)
    lock.write_text(json.dumps(json.loads(lock.read_text()) | {"sha256": "0" * 64}))
    with pytest.raises(BadInput, match=r"found text with sha256 \w+; wanted 0+"):
        pydocs.build(1, lock)


def test_the_committed_lock_holds_whole_packages_out() -> None:
    packages = json.loads(pydocs.LOCK.read_text())["packages"]
    splits = {package["split"] for package in packages.values()}
    assert splits == {"train", "held_out"}
    assert all(package["licence"] != "not stated" for package in packages.values())
