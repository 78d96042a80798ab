"""Stage dictionaries: sparse autoencoders, a job a cell (site x architecture x ratio).

in:  results/activations/<site>.h5
out: results/dictionaries/<site>/<member>.safetensors and .log.jsonl, a member for each L1 (or k) and seed
A job trains those members of its cell that are not there.
"""

for site in grid.sites_with_controls(PARAMS):

    for cell in grid.cells(PARAMS, site):
        job = work(**declared.dictionaries(PARAMS, cell))

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
            threads: min(len(cell.finals), shared_threads(len(grid.cells(PARAMS, site))))
            resources:
                gpu=gpus_for(PARAMS.dictionaries.device),
            shell:
                "{STEP} {params.order:q} --threads {threads} 2> {log:q}"


rule dictionaries:
    input:
        WORK.stage("dictionaries"),
