"""Local folders that are laid out like a repository of the data hub, or that `save_to_disk` of `datasets` wrote.

The `datasets` library says which files belong to which split of which subset: `load_dataset_builder` resolves a card
and the names of files as it does on the hub. It gets to see the files that `corpus_files` lists, as links below a
folder of its own, whose name no pattern fits. What it would read itself, it reads from the files at hand, without its
cache, which knows files by their times.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparse_coding.errors import BadInput
from sparse_coding.files import corpus_files
from sparse_coding.lm.corpora import files
from sparse_coding.lm.corpora.documents import Source
from sparse_coding.lm.corpora.parts import Part
from sparse_coding.lm.corpora.refusing import refusal
from sparse_coding.lm.corpora.streaming import texts

if TYPE_CHECKING:
    from datasets import DatasetBuilder, IterableDataset

_RESOLVED = ("name", "version", "data_dir", "data_files", "description", "features")  # of a builder's configuration
_OWN = ("json", "parquet", "arrow")  # builders in whose place readers of one column stand
_WRITTEN = "what `save_to_disk` of datasets writes"


@dataclass(frozen=True)
class Built:
    """A split in a format that `datasets` alone reads, such as CSV. See `parts.Part`."""

    builder: "DatasetBuilder"
    split: str
    column: str
    place: str

    def texts(self, start: int = 0, stop: int | None = None) -> Iterator[str]:
        """The documents of these rows that hold more than blanks."""
        rows = self.stream().skip(start)
        return texts(rows if stop is None else rows.take(stop - start), self.column, self.place)

    def n_rows(self) -> int:
        """All rows, by reading them."""
        return sum(1 for _ in self.stream())

    def stream(self) -> "IterableDataset":
        """The rows as they are, read when they are asked for, and not kept."""
        return self.builder.as_streaming_dataset(split=self.split)


def parts(source: Source) -> dict[str, Part]:
    """The splits of a local corpus. Raises BadInput where it cannot be opened, or has no such subset."""
    path = source.path
    saved = _saved(path)
    if not saved and corpus_files.is_repository(path):
        return _of_repository(source)
    if source.subset is not None:
        raise BadInput(f"{source.section}.subset", source.subset, f"null: {path} has no subsets")
    if saved:
        return {name: files.Files("arrow", shards, source.text_field) for name, shards in saved.items()}
    return {"train": files.of(path, source.text_field)}


def _of_repository(source: Source) -> dict[str, Part]:
    from datasets import load_dataset_builder  # a second to import, and most runs do without it

    with tempfile.TemporaryDirectory() as folder:
        mirror = Path(folder).resolve() / "corpus"
        _mirror(source.path, mirror)
        arguments = {"path": str(mirror), "name": source.subset}
        try:
            builder = load_dataset_builder(**arguments, cache_dir=str(Path(folder) / "cache"))
        except Exception as error:  # of cards, patterns and configurations
            raise refusal(source, arguments, error) from error
        found = builder.config.data_files
        for split, paths in found.items():
            found[split] = type(paths)([str(_original(source.path, mirror, file)) for file in paths], [])
    return {str(split): _part(builder, str(split), source) for split in found}


def _mirror(path: Path, mirror: Path) -> None:
    """Links to all files of a corpus that may be read, and what its card says to programs."""
    found, description = corpus_files.read_of(path)
    for file in found:
        link = mirror / file.relative_to(path)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file.absolute())
    mirror.mkdir(exist_ok=True)
    if description:
        (mirror / corpus_files.CARD).write_text(f"---\n{description}\n---\n", encoding="utf-8")


def _original(path: Path, mirror: Path, file: str) -> str:
    """The file behind a link; what stands inside an archive or elsewhere keeps its name."""
    return str(path.absolute() / Path(file).relative_to(mirror)) if Path(file).is_relative_to(mirror) else file


def _part(builder: "DatasetBuilder", split: str, source: Source) -> Part:
    names = builder.config.data_files[split]
    paths = [Path(name) for name in names if "://" not in name]  # elsewhere, as a card may say, or in an archive
    kinds = {corpus_files.kind_of(path) for path in paths}
    if len(paths) == len(names) and kinds == {builder.name} and _is_plain(builder):
        return files.Files(builder.name, paths, source.text_field)
    return Built(builder, split, source.text_field, source.place)


def _is_plain(builder: "DatasetBuilder") -> bool:
    """Whether a card says nothing of how its files are to be read."""
    config, default = builder.config, type(builder.config)()
    own = [each.name for each in fields(config) if each.name not in _RESOLVED]
    return builder.name in _OWN and all(getattr(config, name) == getattr(default, name) for name in own)


def _saved(path: Path) -> dict[str, list[Path]]:
    """The Arrow shards of each split of what `save_to_disk` wrote; empty for anything else."""
    if (path / "dataset_dict.json").is_file():
        names = _listed(path, "dataset_dict.json", lambda of_all: list(of_all["splits"]))
        return {name: _shards(path / name) for name in names}
    return {"train": _shards(path)} if (path / "state.json").is_file() else {}


def _shards(folder: Path) -> list[Path]:
    names = _listed(folder, "state.json", lambda of_split: [shard["filename"] for shard in of_split["_data_files"]])
    return [folder / name for name in names]


def _listed(folder: Path, name: str, names: Callable[[Any], list[str]]) -> list[str]:
    """Names in a description that `datasets` wrote. Raises BadInput where it is missing or damaged."""
    try:
        return names(json.loads((folder / name).read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise BadInput(folder / name, "no such file, though dataset_dict.json names the split", _WRITTEN) from None
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(folder, f"a damaged description ({error!r})", _WRITTEN) from None
