"""Tables on disk: Parquet with fixed columns, and small CSV and JSON files beside them.

The columns stand here once, with their types. A row with another column, or with one too few, is refused when it
is written; so is a file with other columns when it is read.
"""

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sparse_coding.atomic import whole_file
from sparse_coding.errors import BadInput
from sparse_coding.io.unreadable import PARQUET, check_is_file, what_is

Row = Mapping[str, Any]

TEXT, WHOLE, NUMBER = pa.string(), pa.int64(), pa.float64()


def _columns(type_: pa.DataType, names: str, required: bool = True) -> list[pa.Field]:
    return [pa.field(name, type_, nullable=not required) for name in names.split()]


def _with_interval(names: str, required: bool = True) -> list[pa.Field]:
    """A metric and the two ends of its 95 % interval; the ends may be null."""
    fields = []
    for name in names.split():
        fields += _columns(NUMBER, name, required)
        fields += _columns(NUMBER, f"{name}_low {name}_high", required=False)
    return fields


# One row a dictionary and variant ("plain", "gain_refit"). What needs a language model is null on imported sites.
# `loss_kind` says what ce, kl and loss_recovered are of: "next_token", or "masked" for an encoder with a head and a
# mask token; "none" for a model that lacks what it needs, which has the final_ columns in their place.
EVALUATION = pa.schema(
    [
        *_columns(TEXT, "site name kind variant"),
        *_columns(NUMBER, "ratio l1", required=False),
        *_columns(WHOLE, "k seed", required=False),
        *_columns(TEXT, "path"),
        *_columns(TEXT, "broken", required=False),  # what is wrong with it: core.metrics.soundness
        *_columns(WHOLE, "n_feat d_act"),
        *_with_interval("l0"),
        *_with_interval("fvu", required=False),
        *_columns(NUMBER, "mse cosine"),
        *_columns(WHOLE, "dead alive"),
        *_columns(NUMBER, "alive_share"),
        *_columns(TEXT, "loss_kind", required=False),
        *_with_interval("ce", required=False),
        *_columns(NUMBER, "ce_clean ce_mean_ablated ce_zero_ablated perplexity", required=False),
        *_with_interval("kl loss_recovered", required=False),
        *_columns(NUMBER, "loss_recovered_zero", required=False),
        *_with_interval("final_fvu final_cosine", required=False),
        *_columns(NUMBER, "final_fvu_mean_ablated", required=False),
        *_columns(WHOLE, "n_vectors"),
        *_columns(WHOLE, "n_tokens", required=False),
    ]
)

# One row a feature of a plain dictionary: the share of held-out vectors on which it fires.
FREQUENCY = pa.schema([*_columns(TEXT, "site name"), *_columns(WHOLE, "feature"), *_columns(NUMBER, "frequency")])

# One row a sampled feature and source. Correlations and accuracies have columns of their own, and who explained, who
# judged and how stands in every row: scores that differ in any of it are not to be put together.
AUTOINTERP = pa.schema(
    [
        *_columns(TEXT, "site name kind condition scorer explainer judge simulator source mode choice"),
        *_columns(TEXT, "prompts", required=False),
        *_columns(NUMBER, "ratio l1", required=False),
        *_columns(WHOLE, "k seed", required=False),
        *_columns(WHOLE, "wanted feature"),
        *_columns(TEXT, "status"),
        *_columns(TEXT, "reason", required=False),
        *_columns(WHOLE, "n_firing_fragments"),
        *_columns(TEXT, "explanation", required=False),
        *_columns(WHOLE, "n_rules", required=False),
        *_columns(NUMBER, "top random top_and_random", required=False),
        *_columns(NUMBER, "balanced_accuracy sensitivity specificity", required=False),
    ]
)

# One row a dictionary of the toy. `mmcs_larger` is null where there is no larger dictionary.
TOY = pa.schema(
    [
        *_columns(TEXT, "condition name architecture l1_scaling"),
        *_columns(NUMBER, "ratio l1"),
        *_columns(WHOLE, "seed n_feat n_true d_act"),
        *_columns(NUMBER, "mmcs"),
        *_columns(NUMBER, "mmcs_larger", required=False),
        *_columns(WHOLE, "dead"),
        *_columns(NUMBER, "dead_share fvu mse l0"),
        *_columns(WHOLE, "n_vectors"),
    ]
)


def write(path: Path, rows: Iterable[Row], schema: pa.Schema) -> None:
    """Write `rows` as Parquet, whole; the bytes depend on the rows alone.

    Raises BadInput, naming `path`, the row and the column, for an unknown, missing, empty or mistyped value and
    for a number that is not finite (what is not defined is None).
    """
    rows = list(rows)
    for index, row in enumerate(rows):
        check(f"{path}: row {index}", row, schema)
    with whole_file(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary, compression="zstd")


def check(place: str, row: Row, schema: pa.Schema) -> None:
    """Raise BadInput, naming `place`, unless `row` has the columns of `schema` and values of their types."""
    _same_names(place, list(row), schema)
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
    """Read what `write` wrote. Raises BadInput, naming `path`, for a missing, damaged or foreign file."""
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
    return table


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
