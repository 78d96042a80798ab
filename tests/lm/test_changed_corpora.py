"""A corpus that was changed with size and time kept, as rsync -a, tar -x and cp -p do, is read anew in every way."""

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import datasets
import pytest

from sparse_coding.lm import corpora
from sparse_coding.settings.params import Dataset, Transformer
from sparse_coding.stages import transformer
from tests.lm.test_hub_corpora import in_files, rows, write_repository

Write = Callable[[Path, list[str]], object]


def texts(word: str) -> list[str]:
    return [f"{word} {index:03d} it says" for index in range(60)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cache of the library for both readings."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN", 0.05)


def lines(file: Path, of: list[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in of))


def csv(folder: Path, of: list[str]) -> None:
    folder.mkdir()
    (folder / "train-00000-of-00001.csv").write_text("text\n" + "".join(f"{text}\n" for text in of))


def splits(of: list[str]) -> dict[str, list[str]]:
    return {"train": of[:40], "validation": of[40:]}


def arrow(folder: Path, of: list[str]) -> None:
    rows(of).save_to_disk(folder)
    for file in folder.glob("*.json"):
        file.unlink()


def kept(folder: Path, of: list[str]) -> None:
    """A folder of the library's own cache."""
    repository, cache = folder.parent / of[0][:3] / "texts", folder.parent / of[0][:3] / "cache"
    write_repository(repository, {"default": splits(of)})
    datasets.load_dataset(str(repository), cache_dir=str(cache))
    (found,) = {file.parent for file in cache.rglob("*.arrow")}
    shutil.copytree(found, folder)


WAYS: dict[str, tuple[Write, dict]] = {
    "files with a split": (in_files, {"split": "train"}),
    "lines, a slice": (lines, {"split": "train[:90%]"}),
    "parquet with a split": (lambda file, of: rows(of).to_parquet(file), {"split": "train"}),
    "arrow with a split": (arrow, {"split": "train"}),
    "hub layout": (lambda folder, of: write_repository(folder, {"default": splits(of)}), {}),
    "hub layout, a subset": (lambda folder, of: write_repository(folder, {"de": splits(of)}), {"subset": "de"}),
    "hub layout, a split": (lambda folder, of: write_repository(folder, {"d": splits(of)}), {"split": "validation"}),
    "hub layout, a slice": (lambda folder, of: write_repository(folder, {"d": splits(of)}), {"split": "train[:90%]"}),
    "hub layout of another format": (csv, {}),
    "saved": (lambda folder, of: rows(of).save_to_disk(folder), {}),
    "saved, a slice": (lambda folder, of: rows(of).save_to_disk(folder), {"split": "train[:90%]"}),
    "saved with splits": (
        lambda folder, of: datasets.DatasetDict({name: rows(some) for name, some in splits(of).items()}).save_to_disk(
            folder
        ),
        {},
    ),
    "the library's own folder": (kept, {}),
}


def exchange(corpus: Path, write: Write) -> None:
    """Put new words in the place of old ones: files of the same names, sizes and times."""
    new = corpus.with_name(f"new-{corpus.name}")
    write(new, texts("new"))
    files = [file for file in corpus.rglob("*") if file.is_file()] if corpus.is_dir() else [corpus]
    assert files
    for file in files:
        source, before = new / file.relative_to(corpus), file.stat()
        if file.suffix == ".json":  # fingerprints, of which the sizes differ
            continue
        assert source.stat().st_size == before.st_size
        file.write_bytes(source.read_bytes())
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def words(documents: corpora.Documents) -> set[str]:
    assert documents.train
    assert documents.held_out
    return {text.split()[0] for text in documents.train + documents.held_out}


def of_dataset(corpus: Path, **settings: object) -> corpora.Documents:
    found = corpora.opened(Dataset(corpus=str(corpus), held_out_share=0.25, **settings))
    if isinstance(found, corpora.Documents):
        return found
    return corpora.Documents(*([text for _, text in found.in_order(side, 0)] for side in ("train", "held_out")))


def of_transformer(corpus: Path, **settings: object) -> corpora.Documents:
    return transformer._documents(Transformer(corpus=str(corpus), **settings), threads=1)


READERS = {"dataset": of_dataset, "transformer": of_transformer}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("way", WAYS)
def test_new_text_is_read_though_sizes_and_times_are_the_old_ones(tmp_path: Path, way: str, reader: str) -> None:
    write, settings = WAYS[way]
    corpus = tmp_path / ("texts.parquet" if way.startswith("parquet") else "texts.jsonl" if "lines" in way else "texts")
    write(corpus, texts("old"))
    assert words(READERS[reader](corpus, **settings)) == {"old"}
    exchange(corpus, write)
    assert words(READERS[reader](corpus, **settings)) == {"new"}


@pytest.mark.parametrize(
    ("way", "reader", "streamed"),
    [
        ("hub layout, a subset", "transformer", {"documents": 30}),
        ("saved with splits", "dataset", {"streaming": True}),
        ("files with a split", "dataset", {"streaming": True}),
    ],
)
def test_and_in_a_stream(tmp_path: Path, way: str, reader: str, streamed: dict) -> None:
    write, settings = WAYS[way]
    write(tmp_path / "texts", texts("old"))
    assert words(READERS[reader](tmp_path / "texts", **settings, **streamed)) == {"old"}
    exchange(tmp_path / "texts", write)
    assert words(READERS[reader](tmp_path / "texts", **settings, **streamed)) == {"new"}


def test_readers_side_by_side_do_not_meet(tmp_path: Path) -> None:
    """Stages dataset and transformer of one run, and runs of two checkouts, may read one corpus at a time."""
    write_repository(tmp_path / "texts", {"d": splits(texts("old"))})
    write_repository(tmp_path / "other" / "texts", {"d": splits(texts("new"))})
    folders = [tmp_path / "texts", tmp_path / "other" / "texts"] * 4
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda folder: words(of_dataset(folder, split="train[:90%]")), folders))
    assert found == [{"old"}, {"new"}] * 4


def test_nothing_of_a_local_corpus_stays_in_the_cache(tmp_path: Path) -> None:
    write_repository(tmp_path / "texts", {"d": splits(texts("old"))})
    of_dataset(tmp_path / "texts", split="train[:50%]")
    assert not [file for file in (tmp_path / "cache").rglob("*") if file.is_file() and file.stat().st_size]
