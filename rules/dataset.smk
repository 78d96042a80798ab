"""Stage dataset: token blocks, and the fragments that interpretation reads.

in:  a corpus and the model's tokenizer
out: results/dataset/tokens.h5
"""


rule dataset:
    input:
        model=leaves.model_files(PARAMS),
        corpus=leaves.corpus_files(PARAMS),
    output:
        TOKENS,
    params:
        settings=as_json(slices.dataset(PARAMS)),
    log:
        "results/logs/dataset.log",
    benchmark:
        "results/logs/dataset.benchmark.tsv"
    threads: 2
    shell:
        "{STEP} dataset --settings {params.settings:q} --output {output:q} --threads {threads} 2> {log:q}"
