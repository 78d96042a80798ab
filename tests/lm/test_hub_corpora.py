"""Repositories of the data hub, on local copies in the hub's own formats, whole and streamed."""

import bz2
import gzip
import json
import lzma
from collections import Counter
from pathlib import Path

import datasets
import pyarrow as pa
import pytest
import yaml

from sparse_coding.errors import BadInput
from sparse_coding.lm import corpora
from sparse_coding.lm.corpora.documents import Documents, Source, split
from sparse_coding.settings.params import Dataset

TEXTS = [f"Document {i}.\nIt says: {'word ' * i}\u00e9 \u4e2d." for i in range(40)]
SUBSETS = {"default": {"train": TEXTS}, "de": {"train": TEXTS[:30], "test": TEXTS[30:32], "validation": TEXTS[32:]}}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN", 0.05)  # 5 s after each pass over shards
    return tmp_path / "cache"


def rows(texts: list[str]) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"id": list(range(len(texts))), "text": texts})


def write_repository(folder: Path, subsets: dict[str, dict[str, list[str]]] = SUBSETS) -> Path:
    """A folder laid out as a repository of the hub: a card, and shards of Parquet."""
    configs = []
    for subset, splits in subsets.items():
        (folder / subset).mkdir(parents=True)
        for name, texts in splits.items():
            for shard in range(2):
                file = folder / subset / f"{name}-0000{shard}-of-00002.parquet"
                rows(texts).shard(2, shard).to_parquet(file)
        paths = [{"split": name, "path": f"{subset}/{name}-*"} for name in splits]
        configs.append({"config_name": subset, "data_files": paths})
    card = f"---\n{yaml.safe_dump({'license': 'mit', 'configs': configs})}---\n# Some texts\n"
    (folder / "README.md").write_text(card)
    return folder


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_repository(tmp_path_factory.mktemp("hub") / "texts")


def opened(corpus: Path, **changes: object) -> Documents | corpora.Stream:
    return corpora.opened(Dataset(corpus=str(corpus), **({"held_out_share": 0.25} | changes)))


def streamed(corpus: Path, seed: int = 0, **changes: object) -> Documents:
    """All that a stream of the corpus gives."""
    stream = opened(corpus, streaming=True, seed=seed, **changes)
    numbers = [[number for number, _ in stream.in_order(side, seed)] for side in ("train", "held_out")]
    assert numbers == [list(range(len(stream.train))), list(range(len(stream.held_out)))]
    return stream.seen(len(stream.train), len(stream.held_out))


def test_a_repository_without_a_held_out_split_is_split(repository: Path) -> None:
    assert opened(repository) == split(TEXTS, 0.25, 0, "here")


def test_a_subset_keeps_its_own_split(repository: Path) -> None:
    assert opened(repository, subset="de") == Documents(TEXTS[:30], TEXTS[32:])
    assert opened(repository, subset="de", split="validation") == Documents(TEXTS[32:], TEXTS[30:32])
    stream = streamed(repository, subset="de")
    assert (sorted(stream.train), sorted(stream.held_out)) == (sorted(TEXTS[:30]), sorted(TEXTS[32:]))


def test_a_slice_of_a_split(repository: Path) -> None:
    assert opened(repository, subset="de", split="train[:10%]") == Documents(TEXTS[:3], TEXTS[32:])
    assert opened(repository, subset="de", split="train[:2]+test") == Documents([*TEXTS[:2], *TEXTS[30:32]], TEXTS[32:])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"subset": "fr"}, r"dataset\.subset: found fr; wanted one of default, de: the subsets of corpus .*texts$"),
        ({"split": "foo"}, r"dataset\.split: found foo; wanted one of train: the splits of corpus .*texts$"),
        ({"split": "train[foo]"}, r"dataset\.split: found train\[foo\]; wanted a slice such as train\[:10%\], or one"),
        ({"text_field": "body"}, r"train-0000\d-of-00002\.parquet: found columns id, text; wanted a column 'body'"),
        ({"text_field": "id"}, r"train-00000-of-00002\.parquet: column 'id': found int 0; wanted text"),
        (
            {"streaming": True, "split": "train[:10%]"},
            r"dataset\.split: found train\[:10%\] of a streamed corpus; wanted a whole split, or dataset\.streaming",
        ),
        ({"streaming": True, "held_out_share": 0}, r"dataset\.held_out_share: found 0; wanted a share between 0 and 1"),
        (
            {"streaming": True, "text_field": "body"},
            r"train-0000\d-of-00002\.parquet: found columns id, text; wanted a column 'body'",
        ),
    ],
)
def test_what_a_repository_has_not_is_refused(repository: Path, changes: dict, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        next(opened(repository, **changes).in_order("train", 0))


def test_a_repository_of_subsets_asks_for_one(tmp_path: Path) -> None:
    subsets = {"fr": {"test": TEXTS}, "de": {"train": TEXTS}}
    folder = write_repository(tmp_path / "many", subsets)
    with pytest.raises(BadInput, match=r"dataset\.subset: found null; wanted one of fr, de: the subsets of corpus"):
        opened(folder)
    with pytest.raises(BadInput, match=r"dataset\.split: found null, which means `train`; wanted one of test: the spl"):
        opened(folder, subset="fr")


def test_what_datasets_saves_and_keeps_is_a_corpus(tmp_path: Path, repository: Path) -> None:
    rows(TEXTS).save_to_disk(tmp_path / "saved", num_shards=3)
    own = datasets.DatasetDict({name: rows(texts) for name, texts in SUBSETS["de"].items()})
    own.save_to_disk(tmp_path / "splits")
    datasets.load_dataset(str(repository), "de", cache_dir=str(tmp_path / "kept"))
    (kept,) = {file.parent for file in (tmp_path / "kept").rglob("*.arrow")}
    assert opened(tmp_path / "saved") == opened(repository)
    assert opened(tmp_path / "saved", split="train[:4]") == split(TEXTS[:4], 0.25, 0, "here")
    for folder in (tmp_path / "splits", kept):
        assert opened(folder) == opened(repository, subset="de")
        assert Counter(streamed(folder).train) == Counter(TEXTS[:30])
    with pytest.raises(BadInput, match=r"dataset\.subset: found de; wanted null: .*saved has no subsets"):
        opened(tmp_path / "saved", subset="de")
    with pytest.raises(BadInput, match=r"dataset\.split: found dev; wanted one of train, test, validation: the splits"):
        opened(tmp_path / "splits", split="dev")
    (tmp_path / "splits" / "test" / "state.json").unlink()  # else test would be held out of train, without a word
    with pytest.raises(BadInput, match=r"splits/test/state\.json: found no such file, though dataset_dict\.json names"):
        opened(tmp_path / "splits")
    (tmp_path / "saved" / "data-00001-of-00003.arrow").unlink()
    with pytest.raises(
        BadInput, match=r"saved/data-00001-of-00003\.arrow: found no such file; wanted a whole Arrow file"
    ):
        opened(tmp_path / "saved")
    (tmp_path / "saved" / "state.json").write_text("{}")
    with pytest.raises(BadInput, match=r"saved: found a damaged description .*; wanted what `save_to_disk`"):
        opened(tmp_path / "saved")


def test_a_folder_of_arrow_shards(tmp_path: Path, repository: Path) -> None:
    rows(TEXTS).save_to_disk(tmp_path / "saved", num_shards=3)
    (tmp_path / "shards").mkdir()
    for file in (tmp_path / "saved").glob("*.arrow"):
        file.rename(tmp_path / "shards" / file.name)
    assert opened(tmp_path / "shards") == opened(repository)
    (tmp_path / "shards" / "data-00001-of-00003.arrow").write_bytes(b"no arrow")
    with pytest.raises(BadInput, match=r"data-00001-of-00003\.arrow: found a damaged file .*; wanted a whole Arrow f"):
        opened(tmp_path / "shards")


def test_compressed_lines(tmp_path: Path, repository: Path) -> None:
    lines = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS).encode()
    for suffix, compress in (("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)):
        file = tmp_path / f"texts.jsonl.{suffix}"
        file.write_bytes(compress(lines))
        assert opened(file) == opened(repository)
        file.write_bytes(file.read_bytes()[:50])
        with pytest.raises(BadInput, match=rf"texts\.jsonl\.{suffix}: found a damaged file .*; wanted one JSON object"):
            opened(file)


def test_files_have_slices_too(tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    for corpus in (tmp_path / "texts.jsonl", in_files(tmp_path / "files")):
        assert opened(corpus, split="train[:10%]") == split(TEXTS[:4], 0.25, 0, "here")
        with pytest.raises(BadInput, match=r"dataset\.split: found test; wanted one of train: the splits of corpus"):
            opened(corpus, split="test")


def test_zstandard_is_read_without_another_package(tmp_path: Path, repository: Path) -> None:
    half = [json.dumps({"text": text}) + "\n" for text in TEXTS]
    frames = [pa.compress("".join(lines).encode(), codec="zstd", asbytes=True) for lines in (half[:9], half[9:])]
    file = tmp_path / "texts.jsonl.zst"
    file.write_bytes(b"".join(frames))
    assert opened(file) == opened(repository)


# Streams


def in_files(folder: Path, texts: list[str] = TEXTS) -> Path:
    folder.mkdir()
    for i, text in enumerate(texts):
        (folder / f"{i:03d}.txt").write_text(text)
    return folder


def test_a_stream_gives_every_document_once_in_a_seeded_order(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"body": text}) + "\n" for text in TEXTS))
    corpora_of_all_kinds = [
        (repository, {}),
        (in_files(tmp_path / "files"), {}),
        (tmp_path / "texts.jsonl", {"text_field": "body"}),
    ]
    for corpus, changes in corpora_of_all_kinds:
        first = streamed(corpus, shuffle_buffer=10, **changes)
        assert sorted(first.train + first.held_out) == sorted(TEXTS)
        assert first.train != sorted(first.train, key=TEXTS.index)
        assert first == streamed(corpus, shuffle_buffer=10, **changes)
        other = streamed(corpus, seed=1, shuffle_buffer=10, **changes)
        assert first.train != other.train
        assert set(first.held_out) != set(other.held_out)


def test_what_is_held_out_depends_on_the_document_alone(tmp_path: Path, repository: Path) -> None:
    whole = streamed(repository)
    assert 2 <= len(whole.held_out) <= 20
    for corpus in (
        in_files(tmp_path / "files"),
        write_repository(tmp_path / "half", {"default": {"train": TEXTS[::2]}}),
    ):
        part = streamed(corpus, shuffle_buffer=3)
        assert set(part.held_out) == set(whole.held_out) & set(part.train + part.held_out)


def test_a_stream_reads_no_further_than_it_is_asked(tmp_path: Path) -> None:
    folder = in_files(tmp_path / "files", [f"Document {i}." for i in range(400)])
    stream = opened(folder, streaming=True, shuffle_buffer=1)
    documents = stream.in_order("train", 0)
    first = [next(documents) for _ in range(3)]
    assert first == list(enumerate(streamed(folder, shuffle_buffer=1).train[:3]))
    for text in folder.iterdir():
        text.write_bytes(b"\xff")
    with pytest.raises(BadInput, match=r"\d\d\.txt: found byte 0xff at 0; wanted UTF-8 text"):
        list(documents)
    assert stream.seen(2, 0) == Documents([text for _, text in first[:2]], [])


@pytest.mark.parametrize("subset", ["default", "de"])
def test_the_first_documents_of_a_stream(repository: Path, subset: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Those of the whole stream, in its order; a subset with a held-out split gives of that."""
    source = Source(str(repository), subset=subset, section="transformer")
    whole = streamed(repository, seed=3, subset=subset)
    assert corpora.first(source, 12, 10_000, 0.25, seed=3) == Documents(whole.train[:12], whole.held_out[:3])
    assert corpora.first(source, 12, 10_000, 0.25, seed=4).train != whole.train[:12]
    assert corpora.first(source, 10**6, 10_000, 0.25, seed=3) == whole
    assert f"corpus {repository}: train: 100%" in capsys.readouterr().err


def test_what_the_first_documents_cannot_be_of(repository: Path) -> None:
    sliced = Source(str(repository), split="train[:10%]", section="transformer")
    wanted = r"transformer\.split: found train\[:10%\] of a streamed corpus; wanted a whole split, or transformer\.doc"
    with pytest.raises(BadInput, match=wanted):
        corpora.first(sliced, 5, 100)
    with pytest.raises(BadInput, match=r"transformer\.documents: found 5, and corpus pydocs; wanted null: it is made"):
        corpora.first(Source("pydocs", section="transformer"), 5, 100)
    with pytest.raises(BadInput, match=r"transformer\.subset: found fr; wanted one of default, de"):
        corpora.first(Source(str(repository), subset="fr", section="transformer"), 5, 100)


def test_what_is_streamed_by_default(repository: Path) -> None:
    assert isinstance(opened(repository), Documents)
    assert isinstance(opened(repository, streaming=True), corpora.Stream)
    with pytest.raises(BadInput, match=r"dataset\.streaming: found true, and corpus pydocs; wanted auto or false"):
        opened(Path("pydocs"), streaming=True)
    with pytest.raises(BadInput, match=r"found train\[:1%\], and corpus pydocs; wanted null"):
        opened(Path("pydocs"), split="train[:1%]")
