"""Stage plots: one comparison figure a site.

in:  the tables of evaluation and autointerp, and the table of the random-weights control
out: results/plots/<site>.png, and its caption as text beside it
"""

for site in grid.harvested_sites(PARAMS):
    job = work(
        f"plots_{site}",
        slices.plots(PARAMS, site),
        stage="plots",
        step=step("plots"),
        folder="results/plots",
        outputs={"figure": [f"{site}.png", f"{site}.txt"]},
        inputs={
            "evaluation": table("evaluation", site),
            "frequency": f"results/evaluation/{site}/frequency.parquet",
            "autointerp": table("autointerp", site),
            **{"control": table("autointerp", control) for control in control_of(site)},
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


rule plots:
    input:
        WORK.stage("plots"),
