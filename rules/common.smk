"""Where each artifact lies, and how a step is called. No rules here."""

import sys

STEP = f"{sys.executable} -m sparse_coding.workflow"
SUMMARY = "results/evaluation/summary.csv"


wildcard_constraints:
    site="[a-z0-9_]+",


def shared_threads(jobs):
    """Threads of one of `jobs` jobs that are ready at the same time: one core each, while there are enough jobs.

    Imports, loading and writing use one core, so two jobs side by side finish before two threads in one after another.
    """
    return -(-(workflow.cores or 1) // max(jobs, 1))


# As many jobs at a time as there are GPUs, unless the command line says how many. Where none is declared, none is asked
# for, and Snakemake knows no limit of it. Which of them a job has, its step decides by a lock.
GPUS = machine.gpus()
if GPUS and "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", GPUS)


def gpus_for(device):
    """GPUs of one job, by a setting `device`."""
    return int(device == "cuda" or (device == "auto" and GPUS > 0))


def work(name, settings, **more):
    """Declare a job; settings that change no result are kept out of its key."""
    deciding, free = slices.split(settings)
    return WORK.job(name, settings=deciding, free=free, **more)


def member_file(site, name):
    return f"results/dictionaries/{site}/{name}.safetensors"


def baseline_file(site, name):
    return f"results/baselines/{site}/{name}.safetensors"


def published_file(site, name):
    return f"results/published/{site}/{name}.safetensors"


def dictionary_file(site, described):
    """The file of a dictionary that a slice describes: those trained here have a ratio, baselines have none."""
    if methods.is_published(described.kind):
        return published_file(site, described.name)
    return (baseline_file if described.ratio is None else member_file)(site, described.name)


def table(stage, site):
    return f"results/{stage}/{site}/table.parquet"


def figure(site):
    return f"results/plots/{site}.png"


def control_of(site):
    """The random-weights control of a site, as a list of one or none."""
    return [control for control in [grid.control_site(PARAMS, site)] if control]
