"""Where each artifact lies, and how a step is called. No rules here."""

import sys

STEP = f"{sys.executable} -m sparse_coding"
TOKENS = "results/dataset/tokens.h5"
SUMMARY = "results/evaluation/summary.csv"


wildcard_constraints:
    site="[a-z0-9_]+",


def activations_of(site):
    return f"results/activations/{site}.h5"


def members_of(site):
    """The trained dictionaries of a site, in the order of params.yaml."""
    return [
        f"results/dictionaries/{site}/{name}.safetensors"
        for cell in grid.cells(PARAMS, site)
        for name in cell.member_names
    ]


def baselines_of(site):
    return [f"results/baselines/{site}/{name}.safetensors" for name in grid.baseline_names(PARAMS.baselines)]


def dictionary_files(site, described):
    """The file of each dictionary that a slice describes, in its order."""
    files = {Path(file).stem: file for file in [*members_of(site), *baselines_of(site)]}
    return [files[row.name] for row in described]


def table(stage, site):
    return f"results/{stage}/{site}/table.parquet"


def evaluated(site):
    """A file for each dictionary of a site. Rules at the end ask for these: Snakemake looks for what is new in the
    grid only where the missing file is asked for, not among all that a finished job would also write."""
    return [f"results/evaluation/{site}/rows/{row.name}.json" for row in slices.evaluation(PARAMS, site).dictionaries]


def interpreted(site):
    """A file for each scored dictionary of a site, asked for as those of `evaluated`."""
    return [f"results/autointerp/{site}/{row.name}.parquet" for row in slices.autointerp(PARAMS, site).dictionaries]


def figure(site):
    return f"results/plots/{site}.png"


def as_json(settings):
    return settings.model_dump_json()


def sites_with_controls():
    """The grid's sites, each harvested one followed by its random-weights control."""
    controls = [grid.control_site(PARAMS, site) for site in grid.harvested_sites(PARAMS)]
    return [*PARAMS.grid.sites, *(control for control in controls if control)]
