"""Stage dataset: token blocks, and the fragments that interpretation reads.

in:  a corpus and the model's tokenizer
out: results/dataset/tokens.h5 (stays on this machine)
"""

if grid.harvested_sites(PARAMS):
    model = from_model(weights=False)
    job = work(
        "dataset_tokens",
        slices.dataset(PARAMS),
        stage="dataset",
        step=step("dataset"),
        folder="results/dataset",
        outputs={"tokens": ["tokens.h5"]},
        reads=model.get("reads", ()),
        leaves=(*model.get("leaves", ()), leaves.corpus(PARAMS)),
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
            "results/logs/dataset_tokens.log",
        benchmark:
            "results/logs/dataset_tokens.benchmark.tsv"
        threads: 2
        shell:
            "{STEP} {params.order:q} --threads {threads} 2> {log:q}"


rule dataset:
    input:
        WORK.stage("dataset"),
