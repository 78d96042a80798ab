"""The table of scores of explanations."""

import pyarrow as pa

from sparse_coding.io.tables.columns import NUMBER, TEXT, WHOLE, columns, strengths

# One row a sampled feature and source. Correlations and accuracies have columns of their own, and who explained, who
# judged and how stands in every row: scores that differ in any of it are not to be put together.
AUTOINTERP = pa.schema(
    [
        *columns(TEXT, "site name kind condition scorer explainer judge simulator source mode choice"),
        *columns(TEXT, "prompts", required=False),
        *strengths(),
        *columns(WHOLE, "wanted feature"),
        *columns(TEXT, "status"),
        *columns(TEXT, "reason", required=False),
        *columns(WHOLE, "n_firing_fragments"),
        *columns(TEXT, "explanation", required=False),
        *columns(WHOLE, "n_rules", required=False),
        *columns(NUMBER, "top random top_and_random", required=False),
        *columns(NUMBER, "balanced_accuracy sensitivity specificity", required=False),
    ]
)
