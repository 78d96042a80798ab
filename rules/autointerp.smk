"""Stage autointerp: an explanation and scores for a sample of each dictionary's features.

in:  results/activations/<site>.h5 (its fragments), tokens (their text), the dictionaries to score;
     with language models prompts/, and an answer for each question from .work/llm or a server
out: results/autointerp/<site>/<name>.parquet, a file a dictionary, a row a sampled feature
     results/autointerp/<site>/table.parquet, gathered from them; means.csv, a row a dictionary, condition and source
"""


def score_files(name, scored):
    return [f"{name}.parquet", *([f"{name}.shuffled_null.parquet"] if scored.shuffled_null else [])]


def asked(settings):
    """What a scorer that asks language models needs beside its settings: what is asked, and the book of what it cost."""
    if isinstance(settings, slices.AutointerpSlice):
        return {"step": step("autointerp")}
    embedders = [outside.embedder(settings.llm.embedder)] if settings.llm.embedder else []
    return {
        "step": step("autointerp_llm"),
        "leaves": (outside.prompts(), *embedders),
        "paths": {"prompts": outside.PROMPTS, "ledger": outside.LEDGER},
    }


for site in (site for site in grid.sites_with_controls(PARAMS) if site not in PARAMS.activations.imported):
    settings = slices.autointerp(PARAMS, site)
    folder = f"results/autointerp/{site}"
    job = work(
        f"autointerp_{site}",
        settings,
        stage="autointerp",
        folder=folder,
        outputs={name: score_files(name, scored) for name, scored in settings.members.items()},
        inputs={"activations": activations_of(site), "tokens": TOKENS},
        each={name: {"dictionaries": dictionary_file(site, row)} for name, row in settings.members.items()},
        **asked(settings),
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
        threads: min(len(settings.members), 2)
        priority: 5
        shell:
            "{STEP} {params.order:q} --threads {threads} 2> {log:q}"

    plain = [f"{folder}/{name}.parquet" for name in settings.members]
    null = [f"{folder}/{file}" for name, scored in settings.members.items() for file in score_files(name, scored)[1:]]
    job = work(
        f"autointerp_tables_{site}",
        slices.autointerp_tables(PARAMS, list(settings.members)),
        stage="autointerp",
        step=step("autointerp_tables"),
        folder=folder,
        outputs={"table": ["table.parquet", "means.csv"]},
        inputs={"scores": [*plain, *null]},
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


rule autointerp:
    input:
        WORK.stage("autointerp"),
