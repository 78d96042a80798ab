"""A new kind of dictionary is one file: made-up ones go through all of it, in a copy of the project.

An architecture, and two baselines, with a setting of its own and without. What has to be touched is what CONTRIBUTING
lists: the module, a row of `methods`, settings where it has some, a line of the docs, and its test.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.line.tiny_line import TINY, write_texts
from tests.tiny_model import make_tiny_model
from tests.what_reruns import text
from tests.workspace import ROOT, write_params

pytestmark = pytest.mark.gate

MODULE = "src/sparse_coding/core/architectures/mirror.py"
ROW, SECTION = "src/sparse_coding/methods.py", "src/sparse_coding/settings/params/dictionaries.py"
DOCS, TEST = "docs/what-there-is.md", "tests/core/test_mirror.py"
BASELINE, OWN = "src/sparse_coding/core/baselines/centroids.py", "src/sparse_coding/settings/params/baselines.py"
SITE, NAME = "layer1_residual", "mirror_r2_l1-0.002_s0"

SETTINGS = '''class Mirror(WithL1, Own):
    """A made-up kind."""

    lr: Positive = setting(1e-2, "Peak learning rate of Adam.")
    pull: Positive = setting(0.1, "How strongly scales are held at 1.")


class Dictionaries(Training):
'''


ROWS = """    Method("mirror", "mirror", "l1", 2, "#56B4E9", "h", "made up"),
    Method("centroids", "k-means", None, 1, "#444444", "<", "Lloyd 1982", reads={"seed": "seed", "rounds": "rounds"}),
    Method("cosines", "cosines", None, 1, "#666666", ">", "Ahmed et al. 1974", signed=True),
"""


def add_them(folder: Path) -> None:
    """All that somebody would do, but for docs and test."""
    shutil.copy(Path(__file__).with_name("mirror.py"), folder / MODULE)
    for kind in ("centroids", "cosines"):
        shutil.copy(Path(__file__).with_name(f"{kind}.py"), (folder / BASELINE).with_name(f"{kind}.py"))
    before = '    Method("tied", '
    text(ROW, before, f"{ROWS}{before}")(folder)
    before = "    ica_rows: "
    text(OWN, before, f'    rounds: Count = setting(5, "Rounds of k-means.", unit="rounds")\n{before}')(folder)
    text(SECTION, "class Dictionaries(Training):\n", SETTINGS)(folder)
    before = "    jumprelu: JumpReLU = "
    text(SECTION, before, f'    mirror: Mirror = setting(Mirror(), "What only `mirror` reads.")\n{before}')(folder)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made_up") / "project"
    folder.mkdir()
    for name in ("src", "rules", "profiles", "prompts"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.egg-info"))
    for name in ("Snakefile", "hub.lock.json"):
        shutil.copy(ROOT / name, folder / name)
    add_them(folder)
    grid = TINY["grid"] | {"architectures": ["tied", "mirror"], "ratios": [2], "l1": [0.002], "only": []}
    baselines = {"methods": ["random", "centroids", "cosines"], "topk": [2], "topk_methods": ["cosines"]}
    control = {"architecture": "mirror", "ratio": 2, "l1": 0.002}
    training = TINY["dictionaries"] | {"mirror": {"pull": 0.5}}
    interp = TINY["autointerp"] | {"random_weights": control, "members": "all"}
    write_params(folder, TINY | {"grid": grid, "baselines": baselines, "dictionaries": training, "autointerp": interp})
    make_tiny_model(folder / "models" / "tiny", layers=2)
    write_texts(folder / "texts")
    return folder


def run(folder: Path, *line: str) -> str:
    done = subprocess.run(
        [sys.executable, *line], cwd=folder, text=True, capture_output=True, timeout=300,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_it_goes_through_all_of_it(project):
    assert "dictionaries" in run(project, "-m", "sparse_coding", "forecast")
    run(project, "-m", "snakemake", "--cores", "2", f"results/plots/{SITE}.png")
    table = pq.read_table(project / f"results/evaluation/{SITE}/table.parquet").to_pylist()
    rows = {row["name"]: row for row in table if row["variant"] == "plain"}
    mine = rows[NAME]
    assert (mine["kind"], mine["l1"], mine["broken"]) == ("mirror", 0.002, None)
    assert 0 < mine["fvu"] < 0.9  # it learned to put vectors together, though it was asked for their mirror images
    assert rows["cosines"]["fvu"] < 1e-6  # a whole basis
    assert 1e-6 < rows["cosines_top2"]["fvu"] < 1
    assert (rows["centroids"]["kind"], rows["centroids"]["broken"]) == ("centroids", None)
    scores = pq.read_table(project / f"results/autointerp/{SITE}/table.parquet").to_pylist()
    assert {row["kind"] for row in scores} == {"tied", "mirror", "random", "centroids", "cosines"}
    control = pq.read_table(project / f"results/autointerp/random_{SITE}/table.parquet").to_pylist()
    assert {row["kind"] for row in control} == {"mirror"}
    said = (project / f"results/plots/{SITE}.txt").read_text()
    assert all(label in said for label in ("mirror r2", "k-means", "cosines"))
    for path in (f"dictionaries/{SITE}/{NAME}", f"baselines/{SITE}/centroids", f"baselines/{SITE}/cosines_top2"):
        code = f"from sparse_coding import load_dictionary; print(load_dictionary('results/{path}.safetensors'))"
        assert path.rpartition("/")[2] in run(project, "-c", code)
    log = (project / f"results/dictionaries/{SITE}/{NAME}.log.jsonl").read_text().splitlines()
    assert len(log) > 3


@pytest.mark.parametrize(
    ("old", "new", "mine"),
    [("pull: 0.5", "pull: 0.25", NAME), ("topk_methods:", "rounds: 3\n  topk_methods:", "centroids")],
)
def test_another_setting_of_it_is_its_own_business(old, new, mine, project):
    """Nothing but its own dictionary, and what is made of that, is stale."""
    before = (project / "params.yaml").read_text()
    assert old in before
    (project / "params.yaml").write_text(before.replace(old, new))
    said = run(project, "-m", "sparse_coding", "why", "all")
    (project / "params.yaml").write_text(before)
    files = {word for word in said.split() if ".safetensors" in word}
    assert {Path(file).name.split(".safetensors")[0] for file in files} == {mine}


@pytest.mark.parametrize(
    ("what", "files", "own"),
    [
        ("architecture", (MODULE, ROW, SECTION, DOCS, TEST), "mirror"),
        ("baseline", (BASELINE, ROW, DOCS, TEST, OWN), "centroids"),
    ],
)
def test_the_list_of_files_is_that_of_contributing(what, files, own):
    lines = (ROOT / "CONTRIBUTING.md").read_text().split(f"- *A new {what}*:")[1].split("\n- *")[0]
    named = re.findall(r"`([\w/.<>-]+\.(?:py|md))`", lines)
    wanted = [re.sub(f"{own}|mirror", "<kind>", each) for each in files]
    assert [name.removeprefix("src/sparse_coding/") for name in wanted] == named
    assert len(named) <= 6
