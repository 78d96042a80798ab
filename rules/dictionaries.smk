"""Stage dictionaries: sparse autoencoders, a job a cell (site x architecture x ratio).

in:  results/activations/<site>.h5
out: results/dictionaries/<site>/<member>.safetensors and .log.jsonl, a member for each L1 (or k) and seed
"""

for site in sites_with_controls():

    for cell in grid.cells(PARAMS, site):

        rule:
            name:
                f"dictionaries_{site}_{cell.name}".replace(".", "p")
            input:
                activations_of(site),
            output:
                [f"results/dictionaries/{site}/{name}.safetensors" for name in cell.member_names],
                [f"results/dictionaries/{site}/{name}.log.jsonl" for name in cell.member_names],
            params:
                settings=as_json(slices.dictionaries(PARAMS, cell)),
                folder=f"results/dictionaries/{site}",
            log:
                f"results/logs/dictionaries_{site}_{cell.name}.log",
            benchmark:
                f"results/logs/dictionaries_{site}_{cell.name}.benchmark.tsv"
            threads: min(len(cell.members), workflow.cores or 1)
            shell:
                "{STEP} dictionaries --settings {params.settings:q} --activations {input:q}"
                " --output {params.folder:q} --threads {threads} 2> {log:q}"
