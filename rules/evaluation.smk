"""Stage evaluation: how well each dictionary and baseline rebuilds held-out activations and the model's output.

in:  results/activations/<site>.h5, tokens, the model, all dictionaries and baselines of the site
out: results/evaluation/<site>/: table.parquet, frequency.parquet, metrics.json, points.csv, rows/<name>.json
     results/evaluation/summary.csv, over all sites
"""

for site in PARAMS.grid.sites:

    rule:
        name:
            f"evaluation_{site}"
        input:
            activations=activations_of(site),
            tokens=[] if site in PARAMS.activations.imported else TOKENS,
            model=[] if site in PARAMS.activations.imported else leaves.model_files(PARAMS),
            dictionaries=dictionary_files(site, slices.evaluation(PARAMS, site).dictionaries),
        output:
            table("evaluation", site),
            f"results/evaluation/{site}/frequency.parquet",
            f"results/evaluation/{site}/metrics.json",
            f"results/evaluation/{site}/points.csv",
            evaluated(site),
            [
                f"results/evaluation/{site}/gains/{row.name}.safetensors"
                for row in slices.evaluation(PARAMS, site).dictionaries
                if row.ratio is not None
            ],
        params:
            settings=as_json(slices.evaluation(PARAMS, site)),
            folder=f"results/evaluation/{site}",
            tokens="" if site in PARAMS.activations.imported else f"--tokens {TOKENS}",
        log:
            f"results/logs/evaluation_{site}.log",
        benchmark:
            f"results/logs/evaluation_{site}.benchmark.tsv"
        threads: 2
        priority: 5
        shell:
            "{STEP} evaluation --settings {params.settings:q} --activations {input.activations:q} {params.tokens}"
            " --dictionaries {input.dictionaries:q} --output {params.folder:q} --threads {threads} 2> {log:q}"


rule summary:
    input:
        tables=[table("evaluation", site) for site in PARAMS.grid.sites],
        rows=[evaluated(site) for site in PARAMS.grid.sites],
    output:
        SUMMARY,
    log:
        "results/logs/summary.log",
    shell:
        "{STEP} summary --settings '{{}}' --tables {input.tables:q} --output {output:q} 2> {log:q}"
