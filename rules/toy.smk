"""Stage toy: what dictionaries find of a truth that is known. Made for those who ask for it: docs/toy.md.

in:  nothing but settings
out: results/toy/<condition>/<member>.safetensors and .json (its metrics), a member for each L1
     results/toy/table.parquet, a row a dictionary, and cells.csv, means over seeds
     results/plots/toy.png, and its caption as text beside it
A job is one size, condition and seed. It trains those members that are not there.
"""

members = []

for cell in toy.cells(PARAMS.toy):
    folder = f"results/toy/{cell.condition}"
    members += [f"{folder}/{name}" for name in cell.members]
    job = work(
        f"toy_{cell.name}".replace(".", "p"),
        cell,
        stage="toy",
        step=step("toy"),
        folder=folder,
        outputs={name: [f"{name}.safetensors", f"{name}.json"] for name in cell.members},
        chosen=(declared.architecture(cell.training.architecture),),
        apart=True,
    )

    rule:
        name:
            job.name
        input:
            job.input,
        output:
            job.output,
        params:
            order=job.order,
        log:
            f"results/logs/{job.name}.log",
        benchmark:
            f"results/logs/{job.name}.benchmark.tsv"
        threads: min(len(cell.members), shared_threads(len(toy.cells(PARAMS.toy))))
        priority: round(cell.ratio)
        shell:
            "{STEP} {params.order:q} --threads {threads} 2> {log:q}"


job = work(
    "toy_tables",
    toy.ToyTablesSlice(),
    stage="toy",
    step=step("toy_tables"),
    folder="results/toy",
    outputs={"tables": ["table.parquet", "cells.csv"]},
    inputs={
        "rows": [f"{member}.json" for member in members],
        "members": [f"{member}.safetensors" for member in members],
    },
    computes=False,
    apart=True,
)


rule:
    name:
        job.name
    input:
        job.input,
    output:
        job.output,
    params:
        order=job.order,
    log:
        f"results/logs/{job.name}.log",
    shell:
        "{STEP} {params.order:q} 2> {log:q}"


job = work(
    "toy_figure",
    toy.figure(PARAMS.toy, PARAMS.plots),
    stage="toy",
    step=step("toy_figure"),
    folder="results/plots",
    outputs={"figure": ["toy.png", "toy.txt"]},
    inputs={"table": "results/toy/table.parquet"},
    computes=False,
    apart=True,
)


rule:
    name:
        job.name
    input:
        job.input,
    output:
        job.output,
    params:
        order=job.order,
    log:
        f"results/logs/{job.name}.log",
    shell:
        "{STEP} {params.order:q} 2> {log:q}"


rule toy:
    input:
        WORK.stage("toy"),
