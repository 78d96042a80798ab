"""Stage activations: one HDF5 a site (stays on this machine).

in:  tokens and a language model; or a folder of vectors made elsewhere
out: results/activations/<site>.h5, activations.sites_per_pass sites in one forward pass
The control sites random_<site> come from the same model with random weights, so they do not read its weights.
"""


for name, random_weights, sites in grid.passes(PARAMS):
    job = work(
        name,
        slices.activations(PARAMS, random_weights, sites),
        stage="activations",
        step=step("activations"),
        folder="results/activations",
        outputs={site: [f"{site}.h5"] for site in sites},
        inputs={"tokens": TOKENS},
        **from_model(weights=not random_weights),
        local=True,
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
            f"results/logs/{name}.log",
        benchmark:
            f"results/logs/{name}.benchmark.tsv"
        threads: shared_threads(len(grid.passes(PARAMS)))
        priority: 0 if random_weights else 10
        shell:
            "{STEP} {params.order:q} --threads {threads} 2> {log:q}"


for site, folder in PARAMS.activations.imported.items():

    if site in PARAMS.grid.sites:
        job = work(
            f"activations_imported_{site}",
            slices.import_activations(PARAMS, site),
            stage="activations",
            step=step("import_activations"),
            folder="results/activations",
            outputs={site: [f"{site}.h5"]},
            leaves=(leaves.imported(folder),),
            paths={"folder": folder},
            local=True,
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
                f"results/logs/activations_imported_{site}.log",
            shell:
                "{STEP} {params.order:q} 2> {log:q}"


rule activations:
    input:
        WORK.stage("activations"),
