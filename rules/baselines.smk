"""Stage baselines: PCA, ICA, NMF, neuron basis and random directions, as the same kind of file as dictionaries.

in:  results/activations/<site>.h5
out: results/baselines/<site>/<method>.safetensors, and <method>_top<k>.safetensors
"""

for site in PARAMS.grid.sites:
    job = work(**declared.baselines(PARAMS, site))

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
        threads: 1
        priority: 5
        shell:
            "{STEP} {params.order:q} --threads {threads} 2> {log:q}"


rule baselines:
    input:
        WORK.stage("baselines"),
