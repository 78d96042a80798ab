"""The table of the toy."""

import pyarrow as pa

from sparse_coding.io.tables.columns import NUMBER, TEXT, WHOLE, columns

# One row a dictionary of the toy. `mmcs_larger` is null where there is no larger dictionary.
TOY = pa.schema(
    [
        *columns(TEXT, "condition name architecture l1_scaling"),
        *columns(NUMBER, "ratio l1"),
        *columns(WHOLE, "seed n_feat n_true d_act"),
        *columns(NUMBER, "mmcs"),
        *columns(NUMBER, "mmcs_larger", required=False),
        *columns(WHOLE, "dead"),
        *columns(NUMBER, "dead_share fvu mse l0"),
        *columns(WHOLE, "n_vectors"),
    ]
)
