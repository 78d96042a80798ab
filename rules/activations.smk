"""Stage activations: one HDF5 a site (stays on this machine).

in:  tokens and a language model; or a folder of vectors made elsewhere
out: results/activations/<site>.h5, activations.sites_per_pass sites in one forward pass
The control sites random_<site> come from the same model with random weights, so they do not read its weights.
"""


for name, random_weights, sites in grid.passes(PARAMS):
    job = work(**declared.activations(PARAMS, name, random_weights, sites))

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
            f"results/logs/{name}.log",
        benchmark:
            f"results/logs/{name}.benchmark.tsv"
        threads: shared_threads(len(grid.passes(PARAMS)))
        priority: 0 if random_weights else 10
        shell:
            "{STEP} {params.order:q} --threads {threads} 2> {log:q}"


for site in PARAMS.activations.imported:

    if site in PARAMS.grid.sites:
        job = work(**declared.imported(PARAMS, site))

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
                f"results/logs/activations_imported_{site}.log",
            shell:
                "{STEP} {params.order:q} 2> {log:q}"


rule activations:
    input:
        WORK.stage("activations"),
