"""A text column that is missing is known from the head of the first file."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparse_coding.errors import BadInput
from sparse_coding.files.corpus_columns import check
from sparse_coding.settings import outside
from sparse_coding.settings.params import Params

TABLE = pa.table(
    {"id": [1, 2], "body": ["a", "b"], "tags": pa.array([[("a", 1)]] * 2, pa.map_(pa.string(), pa.int32()))}
)


def arrow(new: type) -> object:
    def write(file: Path) -> None:
        with new(str(file), TABLE.schema) as writer:
            writer.write_table(TABLE)

    return write


def lines(*rows: dict, opened: object = open) -> object:
    def write(file: Path) -> None:
        with opened(file, "wt") as out:
            out.writelines(json.dumps(row) + "\n" for row in rows)

    return write


ROW = {"id": 1, "body": "a", "tags": []}
FORMATS = {
    "0.parquet": lambda file: pq.write_table(TABLE, file),
    "0.arrow": arrow(pa.ipc.new_stream),
    "1.arrow": arrow(pa.ipc.new_file),
    "0.jsonl": lines(*[ROW] * 300),
    "0.jsonl.gz": lines(*[ROW] * 300, opened=gzip.open),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_missing_column_is_named_with_those_that_there_are(tmp_path: Path, name: str) -> None:
    FORMATS[name](tmp_path / name)
    check(tmp_path, "body", "dataset.text_field")
    wanted = rf"dataset\.text_field: found text; wanted one of body, id, tags: the columns of .*{name}"
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(BadInput, match=wanted):
            check(path, "text", "dataset.text_field")


def test_a_row_may_lack_the_column_if_another_has_it(tmp_path: Path) -> None:
    lines(*[{"id": 1}] * 200_000, {"text": "a"})(tmp_path / "late.jsonl")
    check(tmp_path / "late.jsonl", "text", "here")
    lines(*[{"id": 1}] * 200, {"\u00e9": "a"})(tmp_path / "escaped.jsonl")
    check(tmp_path / "escaped.jsonl", "\u00e9", "here")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", b"text"),
        ("a.jsonl", b""),
        ("a.jsonl", b'[{"id": 1}]'),
        ("a.parquet", b"damaged"),
        ("a.arrow", b"ARROW1"),
    ],
)
def test_what_cannot_be_known_passes(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    check(tmp_path, "text", "here")
    check(tmp_path / "nowhere", "text", "here")


def test_a_hub_layout_is_left_to_the_step(tmp_path: Path) -> None:
    pq.write_table(TABLE, tmp_path / "train-00000-of-00001.parquet")
    check(tmp_path, "text", "here")


def test_a_pointer_of_git_lfs_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345\n")
    with pytest.raises(BadInput, match=r"a\.parquet: found a pointer of git-lfs"):
        check(tmp_path, "text", "here")


def params(**sections: dict) -> Params:
    return Params.model_validate({"grid": {"sites": ["layer2_residual"]}} | sections)


def test_both_corpora_of_the_settings_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines(ROW)(tmp_path / "a.jsonl")
    outside.check(params(dataset={"corpus": "a.jsonl", "text_field": "body"}))
    with pytest.raises(BadInput, match=r"params\.yaml: dataset\.text_field: found text; wanted one of body, id, tags"):
        outside.check(params(dataset={"corpus": "a.jsonl"}))
    with pytest.raises(BadInput, match=r"params\.yaml: transformer\.text_field: found text; wanted one of body, id"):
        outside.check(params(transformer={"corpus": "a.jsonl"}))
    imported = {"grid": {"sites": ["mine"]}, "activations": {"imported": {"mine": "vectors"}}}
    outside.check(params(dataset={"corpus": "a.jsonl"}, **imported))


def test_the_check_needs_no_torch_and_no_datasets(tmp_path: Path) -> None:
    FORMATS["0.parquet"](tmp_path / "0.parquet")
    code = (
        "import sys; from pathlib import Path; from sparse_coding.files.corpus_columns import check; "
        "check(Path(sys.argv[1]), 'body', 'here'); print(sorted({'torch', 'datasets', 'pandas'} & set(sys.modules)))"
    )
    source = str(Path(outside.__file__).parents[2])
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, env={"PYTHONPATH": source}, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
