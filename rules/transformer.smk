"""Stage transformer: a small language model in Hugging Face format.

in:  nothing but settings (its corpus is named there)
out: models/<name>/
Runs when the analysed model is models/<name> and that folder has no weights: an hour or so for the default,
which is why its model is committed. A killed run goes on from its last checkpoint.
"""


rule transformer:
    output:
        [f"models/{PARAMS.transformer.name}/{file}" for file in leaves.MODEL_FILES],
    params:
        settings=as_json(slices.transformer(PARAMS)),
        folder=f"models/{PARAMS.transformer.name}",
        checkpoints=f".work/transformer/{PARAMS.transformer.name}",
    log:
        "results/logs/transformer.log",
    threads: workflow.cores or 1
    shell:
        "{STEP} transformer --settings {params.settings:q} --output {params.folder:q}"
        " --checkpoints {params.checkpoints:q} --threads {threads} 2> {log:q}"
