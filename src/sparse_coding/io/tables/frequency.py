"""How often features fire."""

import pyarrow as pa

from sparse_coding.io.tables.columns import NUMBER, TEXT, WHOLE, columns

# One row a feature of a plain dictionary: the share of held-out vectors on which it fires.
FREQUENCY = pa.schema([*columns(TEXT, "site name"), *columns(WHOLE, "feature"), *columns(NUMBER, "frequency")])
