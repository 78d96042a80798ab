"""What tables are made of: types of columns, and metrics with their intervals."""

import pyarrow as pa

TEXT, WHOLE, NUMBER = pa.string(), pa.int64(), pa.float64()


def columns(type_: pa.DataType, names: str, required: bool = True) -> list[pa.Field]:
    """Columns of one type; with values in every row, or such as may be null."""
    return [pa.field(name, type_, nullable=not required) for name in names.split()]


def with_interval(names: str, required: bool = True) -> list[pa.Field]:
    """A metric and the two ends of its 95 % interval; the ends may be null."""
    fields = []
    for name in names.split():
        fields += columns(NUMBER, name, required)
        fields += columns(NUMBER, f"{name}_low {name}_high", required=False)
    return fields


def strengths() -> list[pa.Field]:
    """What a dictionary was made with; `l0_target`: the L0 that it was trained for, `l0` is the measured one.

    control: what was held in its training (core.controls), null where nothing was.
    """
    wished = columns(NUMBER, "l0_target", required=False)
    whole = columns(WHOLE, "k seed", required=False)
    control = columns(TEXT, "control", required=False)
    return [*columns(NUMBER, "ratio l1", required=False), whole[0], *wished, whole[1], *control]
