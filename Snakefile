"""From text and a language model to dictionaries of features, and to figures that compare them.

    snakemake --cores 8 results/plots/layer2_residual.png     one site
    snakemake --cores 8                                       all sites, and results/evaluation/summary.csv

Settings come from params.yaml alone. One file a stage, in the order in which data flows. What has to be made again is
decided by content (docs/freshness.md), never by time stamps.
"""

import sys
from pathlib import Path

from sparse_coding.settings import declared, earlier, grid, hub_lock, outside, params_file, slices
from sparse_coding.settings.declared import TOKENS, activations_of, step
from sparse_coding.settings.slices import toy
from sparse_coding import methods
from sparse_coding.errors import BadInput
from sparse_coding.forecast.counting import fits, machine, model_folder, preflight
from sparse_coding.workflow import parked
from sparse_coding.workflow.snakefile import Snakefile

if config:
    raise WorkflowError(
        "--config and --configfile are refused: DVC could not see such settings. Edit params.yaml, "
        "or copy a preset over it with `make preset NAME=tiny`."
    )

try:
    PARAMS = hub_lock.pinned(params_file.load(Path("params.yaml")))
    model_folder.check(PARAMS)
    outside.check(PARAMS)
    fits.check(PARAMS)
    WORK = Snakefile(
        workflow,
        declared.empty_graph(Path.cwd()),
        watched=["params.yaml", "hub.lock.json"],
    )
except BadInput as error:
    raise WorkflowError(str(error)) from None


include: "rules/common.smk"
include: "rules/transformer.smk"
include: "rules/dataset.smk"
include: "rules/activations.smk"
include: "rules/dictionaries.smk"
include: "rules/baselines.smk"
include: "rules/published.smk"
include: "rules/evaluation.smk"
include: "rules/autointerp.smk"
include: "rules/plots.smk"
include: "rules/toy.smk"


rule all:
    default_target: True
    input:
        [figure(site) for site in grid.harvested_sites(PARAMS)],
        SUMMARY,


rule finished_beside:
    output:
        WORK.finished_beside(),


try:
    WORK.declared(preflight.of(PARAMS))
except BadInput as error:
    raise WorkflowError(str(error)) from None


onstart:
    WORK.started()
    if said := earlier.hint(WORK.graph, earlier.equal()):
        print(said, file=sys.stderr)


onsuccess:
    WORK.succeeded()
    if said := parked.line(WORK.keeping.store.folder):
        print(said, file=sys.stderr)
