"""The table docs/what-reruns.md: edits made for real in a copy of the project, and what Snakemake would run after each.

`make docs` writes it; tests/test_what_reruns.py makes the edits again and holds the page against them.
"""

import json
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from snakemake_logger_plugin_progress import estimate
from sparse_coding.workflow import dump
from sparse_coding.workflow.dump import Dump
from tests.fabricate import finish, timed
from tests.workspace import ROOT

SITE = "layer2_residual"
TRAINEE = "src/sparse_coding/core/training/trainee.py"


@dataclass(frozen=True)
class Edit:
    """Something that a person does: in words, and to the project in a folder."""

    words: str
    make: Callable[[Path], object]


def params(**sections: dict[str, Any]) -> Callable[[Path], object]:
    """An edit of params.yaml."""

    def make(folder: Path) -> None:
        path = folder / "params.yaml"
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
        for section, values in sections.items():
            read[section] = read.get(section, {}) | values
        path.write_text(yaml.safe_dump(read), encoding="utf-8")

    return make


def text(file: str, old: str, new: str) -> Callable[[Path], object]:
    """An edit of a text file, at the first place where `old` stands."""

    def make(folder: Path) -> None:
        path = folder / file
        before = path.read_text(encoding="utf-8")
        assert old in before, (file, old)
        path.write_text(before.replace(old, new, 1), encoding="utf-8")

    return make


def code(module: str) -> Callable[[Path], object]:
    """An edit of a module's code."""
    return text(f"src/sparse_coding/{module}.py", "\nfrom ", "\nEDITED = True\nfrom ")


def everywhere(file: str, old: str, new: str) -> Callable[[Path], object]:
    """An edit of a word of a text file, wherever it stands."""

    def make(folder: Path) -> None:
        path = folder / file
        before = path.read_text(encoding="utf-8")
        after = re.sub(rf"\b{old}\b", new, before)
        assert after != before, (file, old)
        path.write_text(after, encoding="utf-8")

    return make


def new_architecture(folder: Path) -> None:
    """Another kind of dictionary, that no cell is of."""
    package = "src/sparse_coding"
    module = folder / package / "core" / "architectures" / "topk.py"
    shutil.copy(module, module.with_name("another.py"))
    before, row = '    Method("tied", ', '    Method("another", "another", "k", 2, "#000000", "o", "-"),'
    text(f"{package}/methods.py", before, f"{row}\n{before}")(folder)
    before, section = "    jumprelu: JumpReLU = ", '    another: TopK = setting(TopK(), "-")'
    text(f"{package}/settings/params/dictionaries.py", before, f"{section}\n{before}")(folder)


def new_baseline(folder: Path) -> None:
    """Another baseline, that is not asked for."""
    package = "src/sparse_coding"
    module = folder / package / "core" / "baselines" / "pca.py"
    shutil.copy(module, module.with_name("another.py"))
    before, row = '    Method("pca", ', '    Method("another", "another", None, 1, "#000000", "o", "-"),'
    text(f"{package}/methods.py", before, f"{row}\n{before}")(folder)


def column(table: str) -> Callable[[Path], object]:
    """One more column of a table, which may be null."""
    end, new = "    ]\n", '        *columns(NUMBER, "new", required=False),\n'
    return text(f"src/sparse_coding/io/tables/{table}.py", end, f"{new}{end}")


def one_byte(file: str) -> Callable[[Path], object]:
    """One more byte at the end of a file."""

    def make(folder: Path) -> None:
        with (folder / file).open("ab") as opened:
            opened.write(b" ")

    return make


L1 = [0.0003, 0.0005, 0.0008, 0.0013, 0.002, 0.003]
EDITS = (
    Edit("nothing", lambda folder: None),
    Edit("every file's time is changed (clone, copy, checkout)", lambda folder: touch_all(folder)),
    Edit("`grid.l1`: one value more", params(grid={"l1": [*L1, 0.005]})),
    Edit("`grid.l1`: one value less, not a scored one", params(grid={"l1": L1[1:]})),
    Edit("`grid.seeds`: a second seed", params(grid={"seeds": [0, 1]})),
    Edit("`dictionaries.steps`", params(dictionaries={"steps": 2000})),
    Edit("`dictionaries.topk.lr`", params(dictionaries={"topk": {"lr": 0.005}})),
    Edit("`dictionaries.snapshots`: one count", params(dictionaries={"snapshots": [200_000]})),
    Edit("`dictionaries.gated`, which no cell of the grid is of", params(dictionaries={"gated": {"lr": 0.005}})),
    Edit("`dictionaries.l0_rows`, of a wished L0 alone", params(dictionaries={"l0_rows": 1000})),
    Edit("`baselines.ica_rows`", params(baselines={"ica_rows": 50_000})),
    Edit("`evaluation.splice_blocks`", params(evaluation={"splice_blocks": 64})),
    Edit("`autointerp.features`", params(autointerp={"features": 200})),
    Edit("`autointerp.members: all`", params(autointerp={"members": "all"})),
    Edit("`plots.dpi`", params(plots={"dpi": 300})),
    Edit("`activations.batch_tokens` (a setting marked * in params.md)", params(activations={"batch_tokens": 512})),
    Edit("`activations.dtype`", params(activations={"dtype": "float32"})),
    Edit("`dataset.train_tokens`", params(dataset={"train_tokens": 900_000})),
    Edit("one byte of the model's weights", one_byte("models/pydocs-6l/model.safetensors")),
    Edit("one byte of its tokenizer", one_byte("models/pydocs-6l/tokenizer.json")),
    Edit("one byte of its README", one_byte("models/pydocs-6l/README.md")),
    Edit("a comment or docstring in `core/training/trainee.py`", text(TRAINEE, '"""', '"""Now ')),
    Edit("a local of `core/training/trainee.py` that is renamed", everywhere(TRAINEE, "most", "limit")),
    Edit("code of `core/training/trainee.py`", code("core/training/trainee")),
    Edit("a new architecture: a module, and a row of `methods.py`", new_architecture),
    Edit("code of `core/architectures/topk.py`", code("core/architectures/topk")),
    Edit("a new baseline: a module, and a row of `methods.py`", new_baseline),
    Edit("code of `core/baselines/ica.py`", code("core/baselines/ica")),
    Edit("code of `kernels/bounds.py`, which baselines are fitted without", code("kernels/bounds")),
    Edit("a new column of the table of evaluation", column("evaluation")),
    Edit("a new column of the table of the toy", column("toy")),
    Edit("code of `core/metrics/reconstruction.py`", code("core/metrics/reconstruction")),
    Edit("code of `figures/style.py`", code("figures/style")),
    Edit("code of `io/dictionaries.py`", code("io/dictionaries")),
    Edit("a dictionary that is overwritten",
         one_byte(f"results/dictionaries/{SITE}/tied_r4_l1-0.002_s0.safetensors")),
    Edit("activations that are deleted", lambda folder: shutil.rmtree(folder / "results" / "activations")),
    Edit("`.work` that is deleted", lambda folder: shutil.rmtree(folder / ".work")),
)  # fmt: skip


def touch_all(folder: Path) -> None:
    """Give every file another time, some of them in the future."""
    chance = random.Random(0)
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            moment = chance.uniform(1, 2 * time.time())
            os.utime(path, (moment, moment))


def project(folder: Path) -> Dump:
    """The default project, with every artifact in place."""
    folder.mkdir(parents=True)
    for name in ("rules", "profiles", "models", "src"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "hub.lock.json", "params.yaml"):
        shutil.copy(ROOT / name, folder / name)
    return finish(folder)


def planned(folder: Path) -> dict[str, int]:
    """The steps that Snakemake would run for everything, and how many artifacts each would make."""
    graph = folder / "graph.json"
    environment = {"PYTHONPATH": str(folder / "src"), dump.VARIABLE: str(graph)}
    _, said = timed(folder, "snakemake", "-n", "--cores", "2", "--quiet", "host", **environment)
    found = json.loads(graph.read_bytes())
    steps = dict.fromkeys(re.findall(r"^(?:local)?rule (\w+):$", said, re.MULTILINE))
    states = {name: [found["artifacts"][path]["state"] for path in found["jobs"][name]["artifacts"]] for name in steps
              if name in found["jobs"]}  # fmt: skip
    return {name: sum(state != "fresh" for state in states[name]) for name in states}


def row(edit: Edit, steps: dict[str, int]) -> str:
    """A line of the table."""
    trained = sum(count for name, count in steps.items() if name.startswith("dictionaries"))
    rest = sum(count for name, count in steps.items() if not name.startswith("dictionaries"))
    stages = dict.fromkeys(stage for name in steps for stage in estimate.TARGETS[1:] if name.startswith(stage))
    ordered = [stage for stage in estimate.TARGETS[1:] if stage in stages]
    return f"| {edit.words} | {len(steps)} | {trained} | {rest} | {', '.join(ordered) or 'nothing'} |"


def results() -> dict[Edit, dict[str, int]]:
    """What each edit makes Snakemake run; each in a fresh copy of the finished project."""
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        finished = Path(scratch) / "finished"
        project(finished)
        for number, edit in enumerate(EDITS):
            folder = Path(scratch) / str(number)
            shutil.copytree(finished, folder)
            edit.make(folder)
            found[edit] = planned(folder)
            shutil.rmtree(folder)
    return found


def page(found: dict[Edit, dict[str, int]]) -> str:
    """The page, as Markdown."""
    rows = "\n".join(row(edit, steps) for edit, steps in found.items())
    return f"""# What reruns when

Made by `make docs`, and held against the workflow by a test that makes these edits: in a copy of the default project
with everything in place, each edit alone, then `snakemake -n`. How it is decided: [freshness.md](freshness.md).

| edit | steps | dictionaries trained | other artifacts made | stages |
|---|---|---|---|---|
{rows}

An artifact is a file with its companions, as its stamp lists them. Where steps are more than what they make, they look
at what is there and leave it. `dvc repro` comes to the same: it asks Snakemake.
"""


if __name__ == "__main__":
    sys.stdout.write(page(results()))
