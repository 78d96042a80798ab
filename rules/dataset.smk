"""Stage dataset: token blocks, and the fragments that interpretation reads.

in:  a corpus and the model's tokenizer
out: results/dataset/tokens.h5 (stays on this machine)
"""

if grid.harvested_sites(PARAMS):
    job = work(**declared.dataset(PARAMS))

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
            "results/logs/dataset_tokens.log",
        benchmark:
            "results/logs/dataset_tokens.benchmark.tsv"
        threads: 2
        shell:
            "{STEP} {params.order:q} --threads {threads} 2> {log:q}"


rule dataset:
    input:
        WORK.stage("dataset"),
