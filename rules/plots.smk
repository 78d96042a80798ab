"""Stage plots: one comparison figure a site.

in:  the tables of evaluation and autointerp, and the table of the random-weights control
out: results/plots/<site>.png, and its caption as text beside it
"""

for site in grid.harvested_sites(PARAMS):

    rule:
        name:
            f"plots_{site}"
        input:
            evaluation=table("evaluation", site),
            frequency=f"results/evaluation/{site}/frequency.parquet",
            autointerp=table("autointerp", site),
            control=[table("autointerp", control) for control in [grid.control_site(PARAMS, site)] if control],
            rows=evaluated(site),
            scores=[interpreted(each) for each in [site, grid.control_site(PARAMS, site)] if each],
        output:
            figure=figure(site),
            caption=f"results/plots/{site}.txt",
        params:
            settings=as_json(slices.plots(PARAMS, site)),
            control=lambda wildcards, input: f"--control {input.control}" if input.control else "",
        log:
            f"results/logs/plots_{site}.log",
        shell:
            "{STEP} plots --settings {params.settings:q} --evaluation {input.evaluation:q}"
            " --frequency {input.frequency:q} --autointerp {input.autointerp:q} {params.control}"
            " --output {output.figure:q} --caption {output.caption:q} 2> {log:q}"
