"""Stage baselines: PCA, ICA, NMF, neuron basis and random directions, as the same kind of file as dictionaries.

in:  results/activations/<site>.h5
out: results/baselines/<site>/<method>.safetensors, and <method>_top<k>.safetensors
"""

for site in PARAMS.grid.sites:

    rule:
        name:
            f"baselines_{site}"
        input:
            activations_of(site),
        output:
            baselines_of(site),
        params:
            settings=as_json(slices.baselines(PARAMS, site)),
            folder=f"results/baselines/{site}",
        log:
            f"results/logs/baselines_{site}.log",
        benchmark:
            f"results/logs/baselines_{site}.benchmark.tsv"
        threads: 1
        shell:
            "{STEP} baselines --settings {params.settings:q} --activations {input:q}"
            " --output {params.folder:q} --threads {threads} 2> {log:q}"
