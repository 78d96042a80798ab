"""Exactly the files that were listed are read, and of them one column; large documents are cut."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparse_coding.errors import BadInput
from sparse_coding.files import corpus_files
from sparse_coding.lm import corpora
from sparse_coding.lm.corpora.documents import Documents, Source, cut_large
from sparse_coding.settings import outside
from sparse_coding.settings.params import Dataset, Params
from sparse_coding.workflow.graph import Leaf
from tests.lm.test_corpora import TEXTS, load, refused, write_jsonl, write_parquet, write_texts
from tests.lm.test_hub_corpora import rows, streamed, write_repository

LONG = "word " * 2000  # 10 kB: 1,100 rows are more than the 10 MB that the library takes for the whole
TEXT = pa.array(TEXTS)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN", 0.05)


def read(path: Path, **of: str) -> list[str]:
    documents = corpora.load(Source(str(path), **of))
    return sorted(documents.train + documents.held_out)


def key_of(path: Path) -> set[str]:
    """The files in the key of a corpus, below it."""
    return {Path(file).relative_to(path).as_posix() for file in leaf_of(path).files}


def leaf_of(path: Path) -> Leaf:
    grid = {"sites": ["layer2_residual"]}
    return outside.corpus(Params.model_validate({"grid": grid, "dataset": {"corpus": str(path)}}))


# Names that are patterns


@pytest.mark.parametrize("name", ["run[1]", "da*ta", "a?c", "{x}", "a[b]c/**"])
@pytest.mark.parametrize("layout", ["file", "folder", "split", "hub", "saved"])
def test_a_name_is_a_name_though_a_pattern_could_mean_another(tmp_path: Path, name: str, layout: str) -> None:
    right, wrong = tmp_path / name, [tmp_path / other for other in ("run1", "da-old-ta", "abc", "x", "abc/d")]
    for folder, texts in [(right, TEXTS), *((each, ["wrong text"] * 20) for each in wrong)]:
        folder.mkdir(parents=True, exist_ok=True)
        if layout == "hub":
            write_repository(folder / "t", {"default": {"train": texts}})
        elif layout == "saved":
            rows(texts).save_to_disk(folder / "t")
        else:
            write_jsonl(folder / "t.jsonl", texts)
    file = {"file": right / "t.jsonl", "hub": right / "t", "saved": right / "t"}.get(layout, right)
    assert read(file, **({"split": "train"} if layout == "split" else {})) == sorted(TEXTS)


# Links


@pytest.mark.parametrize("names", [["own.txt"], []])
def test_what_lies_behind_a_link_is_read_and_in_the_key(tmp_path: Path, names: list[str]) -> None:
    for name in ("corpus/own.txt", "elsewhere/1.txt", "elsewhere/deep/2.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    if not names:
        (tmp_path / "corpus" / "own.txt").unlink()
    (tmp_path / "corpus" / "more").symlink_to("../elsewhere")
    wanted = sorted([f"corpus/{name}" for name in names] + ["elsewhere/1.txt", "elsewhere/deep/2.txt"])
    assert read(tmp_path / "corpus") == wanted
    assert key_of(tmp_path / "corpus") == {*names, "more/1.txt", "more/deep/2.txt"}
    (tmp_path / "elsewhere" / "back").symlink_to("../corpus")
    with pytest.raises(BadInput, match=r"corpus/more/back: found a symbolic link to .*corpus, in which it lies itself"):
        load(tmp_path / "corpus")


def test_a_linked_folder_of_a_hub_layout_is_read_and_in_the_key(tmp_path: Path) -> None:
    write_repository(tmp_path / "elsewhere", {"default": {"train": TEXTS}})
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "data").symlink_to("../elsewhere/default")
    assert read(tmp_path / "corpus") == sorted(TEXTS)
    assert key_of(tmp_path / "corpus") == {f"data/train-0000{shard}-of-00002.parquet" for shard in range(2)}


# README


@pytest.mark.parametrize("readme", ["README.md", "readme.txt", "LICENSE.md", "LICENSE"])
def test_a_readme_beside_data_does_not_matter(tmp_path: Path, readme: str) -> None:
    corpora_of_rows = {
        "lines": lambda folder: write_jsonl(folder / "a.jsonl", TEXTS),
        "parquet": lambda folder: write_parquet(folder / "deep" / "a.parquet", TEXTS),
        "texts": write_texts,
        "hub": lambda folder: write_parquet(folder / "data" / "train-00000-of-00001.parquet", TEXTS),
    }
    for name, write in corpora_of_rows.items():
        write(tmp_path / name)
        before = key_of(tmp_path / name)
        (tmp_path / name / readme).write_text("# What this is\n")
        assert read(tmp_path / name) == sorted(TEXTS)
        assert read(tmp_path / name, split="train") == sorted(TEXTS)
        assert key_of(tmp_path / name) == before
    write_parquet(tmp_path / "x" / "a.parquet", TEXTS)
    (tmp_path / "x" / "notes.md").write_text("text")
    assert "files of several kinds (parquet, text)" in refused(tmp_path / "x")


def test_a_readme_is_a_document_where_there_is_nothing_else(tmp_path: Path) -> None:
    for name in ("a/README.md", "b/README.md"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(name)
    assert read(tmp_path) == ["a/README.md", "b/README.md"]


def test_of_a_card_what_it_says_to_programs_is_in_the_key(tmp_path: Path) -> None:
    folder = write_repository(tmp_path / "hub", {"default": {"train": TEXTS}})
    before = leaf_of(folder)
    card = (folder / "README.md").read_text()
    (folder / "README.md").write_text(card + "More words.\n")
    assert leaf_of(folder) == before
    (folder / "README.md").write_text(card.replace("license: mit", "license: other"))
    assert leaf_of(folder) != before


# One column


LATER = {
    "one key more": ({}, {"url": "u"}),
    "a number that becomes a fraction": ({"score": 1}, {"score": 1.5}),
    "a number that becomes a word": ({"id": 7}, {"id": "x7"}),
    "a date that becomes a word": ({"date": "2021-03-04T05:06:07"}, {"date": "unknown"}),
    "nothing that becomes a word": ({"author": None}, {"author": "a"}),
    "an empty list": ({"tags": []}, {"tags": ["tag"]}),
    "a struct with one key more": ({"meta": {"a": 1}}, {"meta": {"a": 1, "b": 2}}),
    "text that was null": ({"text": None}, {}),
}


@pytest.mark.parametrize("change", [*LATER, "text that was absent"])
def test_other_columns_may_change_after_the_first_ten_megabytes(tmp_path: Path, change: str) -> None:
    first, later = LATER.get(change, ({}, {}))
    with (tmp_path / "a.jsonl").open("w") as file:
        for index in range(1120):
            row = {"other": LONG, "text": f"{index}"} | (first if index < 1100 else later)
            if change.endswith("absent") and index < 1100:
                del row["text"]
            file.write(json.dumps(row) + "\n")
    assert len(read(tmp_path / "a.jsonl")) == (20 if "text that was" in change else 1120)


def test_other_columns_of_parquet_may_be_of_any_type(tmp_path: Path) -> None:
    headers = pa.array([[("a", 1)]] * len(TEXTS), pa.map_(pa.string(), pa.int32()))
    pq.write_table(pa.table({"text": TEXT, "headers": headers}), tmp_path / "map.parquet")
    assert read(tmp_path / "map.parquet") == sorted(TEXTS)
    for folder, name in (("plain", "{}.parquet"), ("hub/data", "train-0000{}-of-00002.parquet")):
        (tmp_path / folder).mkdir(parents=True)
        for index, more in enumerate(({"id": range(20)}, {"id": [str(i) for i in range(20)], "more": range(20)})):
            pq.write_table(pa.table({"text": TEXT, **more}), tmp_path / folder / name.format(index))
    assert read(tmp_path / "plain") == read(tmp_path / "hub") == sorted(TEXTS * 2)
    assert everything(streamed(tmp_path / "hub")) == sorted(TEXTS * 2)


def everything(documents: Documents) -> list[str]:
    return sorted(documents.train + documents.held_out)


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
@pytest.mark.parametrize("form", ["parquet", "stream", "file"])
def test_text_in_every_arrow_type(tmp_path: Path, kind: pa.DataType, form: str) -> None:
    headers = pa.array([[("a", 1)]] * len(TEXTS), pa.map_(pa.string(), pa.int32()))
    table = pa.table(
        {"headers": headers, "text": TEXT.cast(kind) if kind != pa.string_view() else pa.array(TEXTS, kind)}
    )
    path = tmp_path / ("a.parquet" if form == "parquet" else "a.arrow")
    if form == "parquet":
        pq.write_table(table, path)
    else:
        with (pa.ipc.new_stream if form == "stream" else pa.ipc.new_file)(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=7)
    assert read(path) == sorted(TEXTS)
    assert read(path, split="train[:50%]") == sorted(TEXTS[:10])
    with pytest.raises(BadInput, match=r"found columns headers, text; wanted a column 'body'"):
        read(path, text_field="body")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BadInput, match=r": found a damaged file .*; wanted a whole "):
        read(path)


# Lines


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"text": "a"}\n["text"]\n', r"a\.jsonl: line 2: found a list; wanted one JSON object a line"),
        (b'{"text": "a"}\n{"text": "b\n', r"a\.jsonl: line 2: found a damaged file \(.*\); wanted one JSON object"),
        (b'{"text": "a"}\n{"text": "b \\ud83d c"}\n', r"a\.jsonl: line 2: found half a surrogate pair"),
        (
            b'{"id": 1}\n{"body": "b"}\n',
            r"a\.jsonl: found columns body, id; wanted a column 'text'; text_field names it",
        ),
        ('{"text": "a"}\n'.encode("utf-16"), r"a\.jsonl: found a damaged file"),
    ],
)
def test_a_line_that_is_no_row_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(BadInput, match=message):
        load(tmp_path / "a.jsonl")


def test_lines_with_a_mark_blank_lines_and_a_whole_array(tmp_path: Path) -> None:
    lines = write_jsonl(tmp_path / "plain.jsonl", TEXTS).read_text().splitlines()
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + "\r\n\r\n".join(lines).encode())
    (tmp_path / "b.jsonl").write_text("[" + ",\n".join(lines) + "]")
    for name in ("plain", "a", "b"):
        assert read(tmp_path / f"{name}.jsonl") == sorted(TEXTS)


# Texts and pointers


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
@pytest.mark.parametrize("text", ["It was a bright cold day in April.\n" * 5, "Мороз и солнце; день чудесный!\n" * 5])
def test_utf_16_without_a_mark_is_noticed(tmp_path: Path, encoding: str, text: str) -> None:
    write_texts(tmp_path)
    (tmp_path / "bad.txt").write_bytes(text.encode(encoding))
    with pytest.raises(
        BadInput, match=r"bad\.txt: found (byte|\d+ control characters in \d+: UTF-16 without a byte-ord)"
    ):
        load(tmp_path)


def test_a_single_control_character_is_text(tmp_path: Path) -> None:
    texts = ["one\0two " * 1 + "three four five six", "page\fbreak\tand\vmore\x1b[0m"]
    texts += ["N\bNA\bAM\bME\bE\n     ls - list", "a\x01b\x01c\x01d"]  # a manual page, and fields
    write_texts(tmp_path, texts)
    assert read(tmp_path) == sorted(texts)


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.parquet", "a.arrow", "data/train-00000-of-00001.parquet"])
def test_a_pointer_of_git_lfs_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345\n")
    with pytest.raises(BadInput, match=rf"{name}: found a pointer of git-lfs .*; wanted .*`git lfs pull`"):
        load(tmp_path)


# Large documents


def sentences(n: int, word: str = "word") -> str:
    return "\n".join(f"{word} {index} is said, and then more." for index in range(n))


def test_one_or_two_large_documents_are_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, texts in {"one": [sentences(20_000)], "two": [sentences(9_000), sentences(11_000, "other")]}.items():
        write_texts(tmp_path / name, texts)
        documents = load(tmp_path / name)
        pieces = documents.train + documents.held_out
        assert 100 < len(pieces) <= 200
        assert len(documents.held_out) == round(0.05 * len(pieces))
        assert "".join(sorted(pieces, key=lambda piece: texts_index(piece, texts))) == "".join(texts)
        assert all(piece.endswith(".") or piece.endswith("\n") for piece in pieces)
        assert f"{tmp_path / name}: {len(texts)} large of {len(texts)} document(s) cut into {len(pieces)} pieces" in (
            capsys.readouterr().err
        )
        stream = streamed(tmp_path / name, held_out_share=0.1)
        assert stream.held_out
        assert sorted(stream.train + stream.held_out) == sorted(pieces)
        assert stream.train != sorted(stream.train, key=lambda piece: texts_index(piece, texts))


def texts_index(piece: str, texts: list[str]) -> int:
    return "".join(texts).index(piece)


def test_a_document_among_many_is_cut_where_it_holds_much_of_all() -> None:
    small, large = [sentences(20, f"small{index}") for index in range(50)], sentences(30_000, "large")
    cut = cut_large([*small[:25], large, *small[25:]], "here")
    assert cut[:25] == small[:25]
    assert cut[-25:] == small[25:]
    assert "".join(cut[25:-25]) == large
    assert len(cut) > 150


def test_what_is_small_or_even_is_not_cut() -> None:
    for texts in ([sentences(3)], [sentences(3), sentences(60)], books(30), books(10), books(4)):
        assert cut_large(texts, "here") is texts


def books(n: int) -> list[str]:
    return [sentences(500, f"word{index:02d}") for index in range(n)]


def test_ten_books_of_like_length_are_held_out_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    documents = load(write_texts(tmp_path, books(10)))
    assert (len(documents.train), len(documents.held_out)) == (9, 1)
    assert everything(documents) == books(10)
    assert " cut into " not in capsys.readouterr().err


def test_a_stream_of_ten_books_holds_out_whole_ones(tmp_path: Path) -> None:
    path = str(write_jsonl(tmp_path / "a.jsonl", books(10)))
    for share, n_held_out in {0.001: 1, 0.05: 1, 0.3: 3, 0.999: 9}.items():
        stream = corpora.opened(Dataset(corpus=path, streaming=True, held_out_share=share))
        train, held_out = ([text for _, text in stream.in_order(side, 0)] for side in ("train", "held_out"))
        assert len(held_out) == n_held_out
        assert sorted(train + held_out) == books(10)


def test_text_without_a_break_is_cut_by_length() -> None:
    cut = cut_large(["x" * 100_000], "here")
    assert "".join(cut) == "x" * 100_000
    assert {len(piece) for piece in cut[:-1]} == {2000}


def test_a_stream_of_few_large_documents_has_both_sides(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [sentences(20_000)])
    stream = corpora.opened(Dataset(corpus=str(tmp_path / "a.jsonl"), streaming=True))
    sides = [{text for _, text in stream.in_order(side, 0)} for side in ("train", "held_out")]
    assert all(sides)
    assert not sides[0] & sides[1]


def test_what_is_prose_goes_by_its_name() -> None:
    names = {
        "README.md": True,
        "README": True,
        "license.txt": True,
        "license.rst": True,
        "README.jsonl": False,
        "license.csv": False,
        "readme.csv": False,
        "readme_first.txt": False,
    }
    names |= {"LICENSE": True, "licence.csv.gz": False}
    assert {name: corpus_files.is_prose(Path(name)) for name in names} == names
