"""What a preflight is told: what Snakemake would really make, and nothing where nothing runs."""

import json

PRINTED = 'import json; WORK.declared(lambda todo, cores: print("TODO", json.dumps(todo)))'
REFUSED = 'WORK.declared(lambda todo, cores: BadInput("room", "none", "some"))'


def told(project, *arguments: str) -> dict[str, list[str]]:
    said = project.snakemake("--dry-run", *arguments).said
    lines = [line.removeprefix("TODO ") for line in said.splitlines() if line.startswith("TODO ")]
    return json.loads(lines[0]) if lines else {}


def test_it_is_what_is_stale_and_upstream_of_what_was_asked_for(project):
    project.replace("Snakefile", "WORK.declared()", PRINTED)
    assert told(project) == {}
    project.set(style="bold")
    assert told(project) == {"plots_picture": ["picture"]}
    assert told(project, "scores") == {}
    assert told(project, "models_round", "-R", "models_round").keys() == {"models_round"}
    project.set(values=[1, 2, 3, 4])
    found = told(project)
    assert (found["models_round"], found["models_square"]) == (["round_4"], ["square_4"])
    assert "words_all" not in found
    assert told(project, "results/models/round/round_4.txt") == {"models_round": ["round_4"]}


def test_what_comes_back_from_the_store_takes_nothing(project):
    project.set(values=[1, 2])
    project.build()
    project.set(values=[1, 2, 3])
    project.replace("Snakefile", "WORK.declared()", PRINTED)
    assert not {"models_round", "models_square"} & told(project).keys()


def test_a_refusal_begins_nothing(project):
    project.set(style="bold")
    project.replace("Snakefile", "WORK.declared()", REFUSED)
    before = project.results()
    done = project.snakemake()
    assert done.code == 1
    assert "room: found none; wanted some" in done.said
    assert project.results() == before
    assert project.made() == []
    tried = project.snakemake("--dry-run")
    assert tried.code == 0
    assert "warning: a run would be refused: room" in tried.said
