"""From text and a language model to dictionaries of features, and to figures that compare them.

    snakemake --cores 8 results/plots/layer2_residual.png     one site
    snakemake --cores 8                                       all sites, and results/evaluation/summary.csv

Settings come from params.yaml alone. One file a stage, in the order in which data flows.
"""

from pathlib import Path

from sparse_coding import grid, leaves, params, slices
from sparse_coding.errors import BadInput

if config:
    raise WorkflowError(
        "--config and --configfile are refused: DVC could not see such settings. Edit params.yaml, "
        "or copy a preset over it with `make preset NAME=tiny`."
    )

try:
    PARAMS = params.load(Path("params.yaml"))
    leaves.check(PARAMS)
except BadInput as error:
    raise WorkflowError(str(error)) from None


include: "rules/common.smk"
include: "rules/transformer.smk"
include: "rules/dataset.smk"
include: "rules/activations.smk"
include: "rules/dictionaries.smk"
include: "rules/baselines.smk"
include: "rules/evaluation.smk"
include: "rules/autointerp.smk"
include: "rules/plots.smk"


rule all:
    default_target: True
    input:
        [figure(site) for site in grid.harvested_sites(PARAMS)],
        SUMMARY,
