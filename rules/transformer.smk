"""Stage transformer: a small language model in Hugging Face format.

in:  a corpus, and a tokenizer where it is not to be trained
out: models/<name>/
Declared when the analysed model is models/<name> and that folder has no weights, or weights that this stage made:
an hour or so for the default, which is why its model is committed. A killed run goes on from its last checkpoint.
"""

if outside.makes_model(PARAMS):
    job = work(**declared.transformer(PARAMS))

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
            "results/logs/transformer.log",
        threads: workflow.cores or 1
        shell:
            "{STEP} {params.order:q} --threads {threads} 2> {log:q}"
