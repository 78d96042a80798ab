"""The table of evaluation."""

import pyarrow as pa

from sparse_coding.io.tables.columns import NUMBER, TEXT, WHOLE, columns, strengths, with_interval

# One row a dictionary and variant ("plain", "gain_refit"). What needs a language model is null on imported sites.
# `loss_kind` says what ce, kl and loss_recovered are of: "next_token", or "masked" for an encoder with a head and a
# mask token; "none" for a model that lacks what it needs, which has the final_ columns in their place.
EVALUATION = pa.schema(
    [
        *columns(TEXT, "site name kind variant"),
        *strengths(),
        *columns(WHOLE, "tokens", required=False),  # when a snapshot was asked for; null: it is the end of a training
        *columns(WHOLE, "steps_taken", required=False),  # of a training with early stop; null: all
        *columns(TEXT, "path"),
        *columns(TEXT, "broken", required=False),  # what is wrong with it: core.metrics.soundness
        *columns(WHOLE, "n_feat d_act"),
        *with_interval("l0"),
        *with_interval("fvu", required=False),
        *columns(NUMBER, "mean_error", required=False),
        *columns(NUMBER, "mse cosine"),
        *columns(WHOLE, "dead alive"),
        *columns(NUMBER, "alive_share"),
        *columns(TEXT, "loss_kind", required=False),
        *with_interval("ce", required=False),
        *columns(NUMBER, "ce_clean ce_mean_ablated ce_zero_ablated perplexity", required=False),
        *with_interval("kl loss_recovered", required=False),
        *columns(NUMBER, "loss_recovered_zero", required=False),
        *with_interval("final_fvu final_cosine", required=False),
        *columns(NUMBER, "final_fvu_mean_ablated", required=False),
        *columns(WHOLE, "n_vectors"),
        *columns(WHOLE, "n_tokens", required=False),
    ]
)
