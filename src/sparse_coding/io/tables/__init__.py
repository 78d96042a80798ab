"""Tables on disk: Parquet with fixed columns, and small CSV and JSON files beside them.

The columns of each table stand once, with their types, in a module of their own: who reads one table does not depend
on the columns of another. A row with another column, or with one too few, is refused when it is written; so is a file
with other columns when it is read.
"""

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sparse_coding import methods
from sparse_coding.atomic import whole_file
from sparse_coding.errors import BadInput
from sparse_coding.io.tables.columns import NUMBER, TEXT, WHOLE
from sparse_coding.io.unreadable import PARQUET, check_is_file, what_is

Row = Mapping[str, Any]


def write(path: Path, rows: Iterable[Row], schema: pa.Schema) -> None:
    """Write `rows` as Parquet, whole; the bytes depend on the rows alone.

    Raises BadInput, naming `path`, the row and the column, for an unknown, missing, empty or mistyped value, for a
    number that is not finite (what is not defined is None) and for a kind of dictionary that there is not.
    """
    rows = list(rows)
    for index, row in enumerate(rows):
        check(f"{path}: row {index}", row, schema)
    with whole_file(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary, compression="zstd")


def check(place: str, row: Row, schema: pa.Schema) -> None:
    """Raise BadInput, naming `place`, unless `row` has the columns of `schema` and values of their types."""
    _same_names(place, list(row), schema)
    _known_kinds(place, [row["kind"]] if "kind" in row else [])
    for field in schema:
        value, column = row[field.name], f"{place}, column {field.name}"
        if value is None:
            if not field.nullable:
                raise BadInput(column, "no value", str(field.type))
        elif not _fits(value, field.type):
            raise BadInput(column, repr(value), f"{'a finite ' if field.type == NUMBER else ''}{field.type}")


def _fits(value: object, type_: pa.DataType) -> bool:
    if type_ == TEXT:
        return isinstance(value, str)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) if type_ == WHOLE else math.isfinite(value)


def read(path: Path, schema: pa.Schema) -> pa.Table:
    """Read what `write` wrote. Raises BadInput, naming `path`, for a missing, damaged or foreign file, or kind."""
    return _checked(path, _parquet(path), schema, "")


def read_also_older(path: Path, schema: pa.Schema, command: str) -> pa.Table:
    """Read a table for people, who may have made it before an update: columns that it lacks are null where they may be.

    command: what makes it again. Raises BadInput as `read`, naming `command` where the columns are others.
    """
    table = _parquet(path)
    for field in schema:
        if field.nullable and field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    in_order = [name for name in schema.names if name in table.column_names]
    in_order += [name for name in table.column_names if name not in schema.names]
    return _checked(path, table.select(in_order), schema, f"; run `{command}`")


def _parquet(path: Path) -> pa.Table:
    wanted = "a table that sparse_coding wrote"
    check_is_file(path, wanted)
    try:
        # Without this, pyarrow would add columns that it reads out of the names of folders.
        return pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        raise BadInput(path, what_is(path, PARQUET, error), f"{wanted}; make it again") from None


def _checked(path: Path, table: pa.Table, schema: pa.Schema, more: str) -> pa.Table:
    _same_names(str(path), table.column_names, schema, more)
    if not table.schema.equals(schema):
        raise BadInput(path, f"columns of types {table.schema.types}", f"{schema.types}{more}")
    _known_kinds(str(path), table.column("kind").unique().to_pylist() if "kind" in schema.names else [])
    return table


def _known_kinds(place: str, kinds: Iterable[object]) -> None:
    for kind in kinds:
        if isinstance(kind, str):  # what is not, is refused by its type
            methods.of(kind, f"{place}, column kind")


def _same_names(place: str, names: Sequence[str], schema: pa.Schema, more: str = "") -> None:
    unknown = [name for name in names if name not in schema.names]
    missing = [name for name in schema.names if name not in names]
    if unknown:
        raise BadInput(place, f"unknown columns {unknown}", f"the columns {schema.names}{more}")
    if missing:
        raise BadInput(place, f"no columns {missing}", f"the columns {schema.names}{more}")


def write_csv(path: Path, rows: Iterable[Row], columns: Sequence[str]) -> None:
    """Write these columns of `rows` as CSV, whole; None is an empty cell, a float keeps all its digits."""
    with whole_file(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([row[column] for column in columns] for row in rows)


def write_json(path: Path, value: object) -> None:
    """Write `value` as JSON, whole. Raises ValueError for a number that is not finite."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")
