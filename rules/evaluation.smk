"""Stage evaluation: how well each dictionary and baseline rebuilds held-out activations and the model's output.

in:  results/activations/<site>.h5, tokens, the model, all dictionaries and baselines of the site
out: results/evaluation/<site>/rows/<name>.json and .frequency.parquet, a dictionary each; gains/<name>.safetensors,
     thresholds/<name>.safetensors, a dictionary and fitted variant each
     results/evaluation/<site>/table.parquet, frequency.parquet, gathered from them
     results/evaluation/summary.csv, metrics.json, points.csv, over all sites
"""

for site in PARAMS.grid.sites:
    settings = slices.evaluation(PARAMS, site)
    names = list(settings.members)
    rows = f"results/evaluation/{site}/rows"
    imported = site in PARAMS.activations.imported
    job = work(
        f"evaluation_{site}",
        settings,
        stage="evaluation",
        step=step("evaluation"),
        folder=f"results/evaluation/{site}",
        outputs={
            name: [
                f"rows/{name}.json",
                f"rows/{name}.frequency.parquet",
                *(
                    f"{variant.folder}/{name}.safetensors"
                    for variant in settings.evaluation.variants_of(described.kind, described.k)
                    if variant.is_fitted
                ),
            ]
            for name, described in settings.members.items()
        },
        inputs=declared.vectors_of(site) | ({} if imported else {"tokens": TOKENS}),
        each={name: {"dictionaries": dictionary_file(site, row)} for name, row in settings.members.items()},
        **({} if imported else declared.from_model(PARAMS)),
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
            f"results/logs/{job.name}.log",
        benchmark:
            f"results/logs/{job.name}.benchmark.tsv"
        threads: 2
        priority: 5
        shell:
            "{STEP} {params.order:q} --threads {threads} 2> {log:q}"

    job = work(
        f"evaluation_tables_{site}",
        slices.tables(names),
        stage="evaluation",
        step=step("evaluation_tables"),
        folder=f"results/evaluation/{site}",
        outputs={"tables": ["table.parquet", "frequency.parquet"]},
        inputs={
            "rows": [f"{rows}/{name}.json" for name in names],
            "frequencies": [f"{rows}/{name}.frequency.parquet" for name in names],
        },
        computes=False,
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
            f"results/logs/{job.name}.log",
        shell:
            "{STEP} {params.order:q} 2> {log:q}"


job = work(
    "evaluation_summary",
    slices.SummarySlice(),
    stage="evaluation",
    step=step("summary"),
    folder="results/evaluation",
    outputs={"summary": ["summary.csv", "metrics.json", "points.csv"]},
    inputs={"tables": [table("evaluation", site) for site in PARAMS.grid.sites]},
    computes=False,
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
        "results/logs/evaluation_summary.log",
    shell:
        "{STEP} {params.order:q} 2> {log:q}"


rule evaluation:
    input:
        WORK.stage("evaluation"),
