"""Stage activations: one HDF5 a site.

in:  tokens and a language model; or a folder of vectors made elsewhere
out: results/activations/<site>.h5, all sites of a model in one forward pass
The control sites random_<site> come from the same model with random weights.
"""

for random_weights in (False, True):

    if slices.activations(PARAMS, random_weights).sites:

        rule:
            name:
                "activations_random" if random_weights else "activations"
            input:
                tokens=TOKENS,
                model=leaves.model_files(PARAMS),
            output:
                [activations_of(site) for site in slices.activations(PARAMS, random_weights).sites],
            params:
                settings=as_json(slices.activations(PARAMS, random_weights)),
                folder="results/activations",
            log:
                f"results/logs/activations{'_random' if random_weights else ''}.log",
            benchmark:
                f"results/logs/activations{'_random' if random_weights else ''}.benchmark.tsv"
            threads: 2
            priority: 0 if random_weights else 10
            shell:
                "{STEP} activations --settings {params.settings:q} --tokens {input.tokens:q}"
                " --output {params.folder:q} --threads {threads} 2> {log:q}"


for site, folder in PARAMS.activations.imported.items():

    rule:
        name:
            f"import_activations_{site}"
        input:
            leaves.folder_files(folder),
        output:
            activations_of(site),
        params:
            settings=as_json(slices.import_activations(PARAMS, site)),
            folder=folder,
        log:
            f"results/logs/import_activations_{site}.log",
        shell:
            "{STEP} import_activations --settings {params.settings:q} --folder {params.folder:q}"
            " --output {output:q} 2> {log:q}"
