"""Stage published: dictionaries that were trained elsewhere, as the same kind of file as dictionaries.

in:  what params.yaml names: a file or folder in a format of docs/formats.md, or a name on a model hub
out: results/published/<site>/<name>.safetensors and <name>.certificate.json (stay on this machine)
A job a dictionary.
"""

for site in PARAMS.grid.sites:

    for name in grid.published(PARAMS, site):
        job = work(**declared.published(PARAMS, name))

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


rule published:
    input:
        WORK.stage("published"),
