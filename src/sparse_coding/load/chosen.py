"""A file of a results folder, with what the tables beside it say of it; and whether all of it belongs together."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sparse_coding import methods, variants
from sparse_coding.core import variants as recodings
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries, fitted
from sparse_coding.workflow import stamps, vouched
from sparse_coding.workflow.stamps import Stamp

Row = dict[str, Any]
_TOLD_IF_THERE = ("l0_target", "control", "tokens")  # by the file of a trained one, so that who does not, has none


@dataclass(frozen=True)
class Chosen:
    """A file, the results folder it belongs to, and the rows of the evaluation table that are its own."""

    path: Path
    results: Path
    rows: list[Row]

    @property
    def evaluation(self) -> Path:
        """The folder of its evaluation."""
        return self.results / "evaluation" / self.rows[0]["site"]

    @property
    def table(self) -> Path:
        """The table of the site."""
        return table_of(self.results, self.rows[0]["site"])

    @property
    def row_file(self) -> Path:
        """The file that its rows in the table come from."""
        return self.evaluation / "rows" / f"{self.rows[0]['name']}.json"

    def check_has(self, variant: variants.Variant) -> None:
        """Raise BadInput where a variant was not measured."""
        if not self.rows:
            wanted = f"one evaluated in {self.results}"
            raise BadInput(f"load_dictionary: {self.path}", "a dictionary that was not evaluated", wanted)
        made = [row["variant"] for row in self.rows]
        if variant.name not in made:
            wanted = (
                f"one that was measured of it ({', '.join(made)}): evaluation.variants in params.yaml asks for them"
            )
            raise BadInput(f"load_dictionary: {variant.name}", f"none for {self.rows[0]['name']}", wanted)

    def recoded(self, plain: Dictionary, variant: variants.Variant) -> Dictionary:
        """A variant of `plain`, with what was fitted of it. Raises BadInput where its file is not to be had."""
        found = {}
        if variant.folder is not None:
            file = self.evaluation / variant.folder / f"{self.rows[0]['name']}.safetensors"
            _checked(file, self.row_file)
            found = fitted.load(file, variant.name, self.path)
        return recodings.build(variant.name).dictionary(plain, found)


def loaded(chosen: Chosen, variant: str) -> Dictionary:
    """The dictionary, with what is known of it."""
    about = None if variant == variants.PLAIN else variants.of(variant)
    if about is not None:
        chosen.check_has(about)
    stamp = _checked(chosen.path)
    dictionary, made = dictionaries.load_with_settings(chosen.path)
    _check_kind(chosen.path, made)
    _check_row(chosen, made)
    if about is not None:
        dictionary = chosen.recoded(dictionary, about)
    row = next((row for row in chosen.rows if row["variant"] == variant), {})
    measured = row if row and is_measured(chosen, stamp) else {}
    if row and not measured:
        print(f"{chosen.table}: its L0 and FVU are those of another version of {chosen.path}", file=sys.stderr)
    return replace(
        dictionary,
        name=row.get("name", chosen.path.stem),
        site=row.get("site", made.get("site")),
        kind=row.get("kind", _kind(made)),
        control=row.get("control", made.get("control")),
        variant=variant,
        l0=measured.get("l0"),
        fvu=measured.get("fvu"),
        path=str(chosen.path),
    )


def _checked(path: Path, artifact: Path | None = None) -> Stamp | None:
    """The stamp that vouches for what is to be loaded; where there is none, a line says so. Raises as check_bytes."""
    if not path.is_file():
        return None  # whoever reads it says what is there
    stamp = vouched.check_bytes(path, artifact)
    if stamp is None:
        print(f"{path}: there is no stamp beside it, so nothing vouches for what it was made from", file=sys.stderr)
    return stamp


def _check_row(chosen: Chosen, made: Row) -> None:
    """Raise BadInput where a file says that it is something else than its name in the table."""
    named = made | {"kind": _kind(made)}
    for row in chosen.rows:
        for column in ("site", "kind", "ratio", "l1", "k", *_TOLD_IF_THERE):
            silent = named.get(column) is None and (column not in _TOLD_IF_THERE or "architecture" not in made)
            if not silent and named.get(column) != row[column]:
                raise BadInput(
                    chosen.path, f"a dictionary of {column} {named.get(column)}", f"{row[column]}, as the table says"
                )


def _kind(made: Row) -> str | None:
    return made.get("architecture", made.get("method"))


def _check_kind(path: Path, made: Row) -> None:
    """Raise BadInput where a file is of a kind that there is not."""
    if (kind := _kind(made)) is not None and not methods.is_known(kind):
        known = f"one of {', '.join(methods.BY_KIND)}"
        raise BadInput(path, f"a dictionary of kind {kind!r}, which this version does not know", known)


def is_measured(chosen: Chosen, stamp: Stamp | None) -> bool:
    """Whether the rows are of this file and not of another version of it."""
    row_stamp, table_stamp = (stamps.read(Path(stamps.path_of(str(path)))) for path in (chosen.row_file, chosen.table))
    return vouched.is_made_from(row_stamp, stamp) and vouched.is_made_from(table_stamp, row_stamp)


def place(results: Path, row: Row) -> Path:
    """Where the file of a row lies; paths in tables begin beside the results folder, which may have been renamed."""
    path = Path(row["path"])
    return results.joinpath(*path.parts[1:]) if path.parts[0] == "results" else results.parent / path


def table_of(results: Path, site: str) -> Path:
    """The table of a site."""
    return results / "evaluation" / site / "table.parquet"
