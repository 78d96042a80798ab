"""Stage autointerp: an explanation and scores for a sample of each dictionary's features.

in:  results/activations/<site>.h5 (its fragments), tokens (their text), the dictionaries to score
out: results/autointerp/<site>/table.parquet and a file a dictionary, a row a sampled feature
"""

for site in sites_with_controls():

    rule:
        name:
            f"autointerp_{site}"
        input:
            activations=activations_of(site),
            tokens=TOKENS,
            dictionaries=dictionary_files(site, slices.autointerp(PARAMS, site).dictionaries),
        output:
            table("autointerp", site),
            interpreted(site),
        params:
            settings=as_json(slices.autointerp(PARAMS, site)),
            folder=f"results/autointerp/{site}",
        log:
            f"results/logs/autointerp_{site}.log",
        benchmark:
            f"results/logs/autointerp_{site}.benchmark.tsv"
        threads: 2
        priority: 5
        shell:
            "{STEP} autointerp --settings {params.settings:q} --activations {input.activations:q}"
            " --tokens {input.tokens:q} --dictionaries {input.dictionaries:q} --output {params.folder:q}"
            " --threads {threads} 2> {log:q}"
