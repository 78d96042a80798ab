"""The commands on pages, in their order, in a clone: what a page says to type does what the page says.

PAGES is the table: for each page its fenced blocks, by how they begin, and how each is run. A block that is not in the
table, and a command that its block does not name, fails the test. The default is taken as it was pulled; everything
else runs on the tiny preset, cut down.
"""

import re
import shutil
import sys

import pytest
import yaml

from sparse_coding.load import load_dictionary
from sparse_coding.settings import params_file
from tests.pages import Clone, Run, blocks, commands, merged
from tests.workspace import ROOT

pytestmark = pytest.mark.gate

FIGURE = "results/plots/layer2_residual.png"
# The tiny preset, cut down further: what is tried is that commands work, not what they find.
CUT = {
    "grid": {"architectures": ["tied", "topk"], "ratios": [1], "l1": [0.002], "k": [16], "only": []},
    "dataset": {
        "corpus": "models/texts",
        "held_out_share": 0.3,
        "train_tokens": 6000,
        "held_out_tokens": 3000,
        "fragments": 200,
    },
    "dictionaries": {"steps": 20, "batch": 256},
    "baselines": {"methods": ["pca", "random"], "topk": [16], "topk_methods": ["pca"]},
    "evaluation": {"splice_blocks": 4, "gain_refit_rows": 2000},
    "autointerp": {"features": 5, "bootstrap": 100, "random_weights": None},
    "toy": {"true_features": 8, "d_act": 4, "mean_active": 1, "ratios": [1], "l1": [0.1], "steps": 20, "batch": 64},
    "plots": {"dpi": 50},
}


def small() -> dict:
    return merged(yaml.safe_load((ROOT / "presets/tiny.yaml").read_text(encoding="utf-8")), CUT)


def each(how: dict[str, Run], before: Run = lambda clone, block: None) -> Run:
    """A block of commands, each of which `how` must know."""

    def run(clone: Clone, block: str) -> None:
        before(clone, block)
        assert list(commands(block)) == list(how)
        for command, one in how.items():
            one(clone, command)

    return run


def as_it_stands(clone: Clone, command: str) -> None:
    clone.does(command)


def says(words: str) -> Run:
    def run(clone: Clone, command: str) -> None:
        assert words in clone.does(command)

    return run


def is_installed(clone: Clone, command: str) -> None:
    assert "Nothing to be done for 'install'" in clone.does(command)


def makes_nothing(clone: Clone, command: str) -> None:
    """The pulled default is what the code would make; where it is not, nothing is trained here to find out."""
    planned = clone.does(f".venv/bin/snakemake -n --cores 2 {FIGURE}")
    assert "Nothing to be done" in planned, f"results are not those of the code: `make refresh`\n{planned[-2000:]}"
    before = clone.files("results")
    said = clone.does(command)
    assert f"Made: {FIGURE}" in said
    assert clone.files("results") == before


def exists(clone: Clone, command: str) -> None:
    assert "pytest" in clone.does(f"{command} --dry-run")


def with_small_settings(clone: Clone, block: str) -> None:
    shutil.copytree(clone.folder / "docs", clone.folder / "models/texts")  # where DVC looks
    clone.set(small())


def on_two_cores(*made: str) -> Run:
    def run(clone: Clone, command: str) -> None:
        clone.does(command.replace("--cores 8", "--cores 2"))
        for file in made:
            assert (clone.folder / file).exists(), file

    return run


def is_fresh(clone: Clone, command: str) -> None:
    assert "Nothing would run" in clone.does(command)


def preset(*following: str) -> Run:
    """`make preset`: params.yaml is the preset, the next lines follow it; then the small settings come back."""

    def run(clone: Clone, command: str) -> None:
        said = clone.does(command)
        name = command.rpartition("=")[2]
        assert (clone.folder / "params.yaml").read_bytes() == (ROOT / f"presets/{name}.yaml").read_bytes()
        assert [line.split("    ")[0].strip() for line in said.partition("Next:\n")[2].splitlines()] == list(following)
        clone.set(small())

    return run


def settings(clone: Clone, block: str) -> None:
    """A part of params.yaml, over the small settings: it can be planned, with a model and texts where it names them."""
    sections = yaml.safe_load(block)
    clone.set(merged(small(), sections))
    for path, source in ((sections.get("model", {}).get("name"), "models/pydocs-6l"),
                         (sections.get("dataset", {}).get("corpus"), "docs")):  # fmt: skip
        if path:
            shutil.copytree(clone.folder / source, clone.folder / path)
    params = params_file.load(clone.folder / "params.yaml")
    said = clone.does(".venv/bin/snakemake -n --cores 2")
    for site in params.grid.sites:
        assert f"plots_{site}" in said


def python_on_the_default(clone: Clone, block: str) -> None:
    """After a switch back to the default, which brings its dictionaries back; by force, as DVC never saw the toy."""
    clone.does("git checkout -q . && .venv/bin/dvc checkout --force")
    (clone.folder / "block.py").write_text(f"{block}\nassert d.atoms.shape[1] == 128\n", encoding="utf-8")
    clone.does(".venv/bin/python block.py")


def python_that_steers(clone: Clone, block: str) -> None:
    """The same, and what it says: the dictionary, what fires, and a text of what was added."""
    python_on_the_default(clone, block)
    said = clone.does(".venv/bin/python block.py")
    assert "topk_r4_k8_s0" in said
    assert "feature=63" in said
    assert "index of the index" in said


def no_commands(clone: Clone, block: str) -> None:
    """A drawing."""


def is_taken(clone: Clone, block: str) -> None:
    """A part of params.yaml that needs a server: it can be read."""
    clone.set(merged(small(), yaml.safe_load(block)))
    params = params_file.load(clone.folder / "params.yaml")
    assert params.autointerp.llm.connection.base_url in block


def elsewhere(*programs: str) -> Run:
    """What is typed where a server runs: nothing of it is run here."""

    def run(clone: Clone, block: str) -> None:
        words = [command.split() for command in commands(block)]
        assert [next(word for word in each if "=" not in word) for each in words] == list(programs)

    return run


def of_a_server(clone: Clone, block: str) -> None:
    """A file that a server reads."""


def publishes(clone: Clone, command: str) -> None:
    """The default's own results; its numbers are those of its tables, and the folder loads."""
    clone.does(command)
    said = (clone.folder / "published" / "README.md").read_text(encoding="utf-8")
    assert "of the model with random weights" in said
    assert "| cross-entropy |" in said
    loaded = load_dictionary(clone.folder / "published" / "layer2_residual" / "topk_r4_k8_s0")
    assert (loaded.n_feat, loaded.k) == (512, 8)
    shutil.rmtree(clone.folder / "published")


PAGES: dict[str, list[tuple[str, Run]]] = {
    "README.md": [
        (
            "make install",
            each(
                {
                    "make install": is_installed,
                    ".venv/bin/dvc pull": as_it_stands,
                    "make plot": makes_nothing,
                    "make test": exists,
                }
            ),
        ),
        ("corpus + model -> dataset", no_commands),
        (
            ".venv/bin/snakemake",
            each(
                {
                    f".venv/bin/snakemake --cores 8 {FIGURE}": on_two_cores(FIGURE),
                    ".venv/bin/snakemake --cores 8": on_two_cores("results/evaluation/summary.csv"),
                    ".venv/bin/dvc repro": on_two_cores("keys.json"),
                    ".venv/bin/sparse_coding why all": is_fresh,
                    "make preset NAME=tiny": preset(f".venv/bin/snakemake --cores all {FIGURE}"),
                    ".venv/bin/snakemake --cores 8 results/plots/toy.png": on_two_cores("results/plots/toy.png"),
                    "make preset NAME=paper": preset(
                        ".venv/bin/sparse_coding lock",
                        ".venv/bin/sparse_coding forecast",
                        ".venv/bin/snakemake --cores all results/plots/layer0_residual.png",
                    ),
                },
                before=with_small_settings,
            ),
        ),
        ("grid:\n  sites:", settings),
        ("grid:\n  architectures:", settings),
        ("from sparse_coding import load_dictionary", python_that_steers),
    ],
    "docs/use.md": [
        (
            ".venv/bin/sparse_coding features",
            each(
                {
                    f".venv/bin/sparse_coding features layer2_residual/topk_r4_k8_s0{asked}": says(word)
                    for asked, word in (
                        ("", "those with the highest scores"),
                        (" --feature 339", "Strongest contexts:"),
                        (' --text "Return the index of this file"', "' index'"),
                    )
                }
            ),
        ),
        ("from sparse_coding import load_dictionary", python_on_the_default),
        ("import torch", python_on_the_default),
    ],
    "docs/publishing.md": [
        (
            ".venv/bin/sparse_coding publish",
            each(
                {
                    ".venv/bin/sparse_coding publish layer2_residual/topk_r4_k8_s0 layer2_residual/tied_r4_l1-0.002_s0 "
                    "published": publishes
                }
            ),
        ),
    ],
    "docs/servers.md": [
        ("llama-server", elsewhere("llama-server")),
        ("autointerp:\n  scorer: simulation", is_taken),
        ("FROM", of_a_server),
        ("ollama create", elsewhere("ollama", "ollama")),
        ("vllm serve", elsewhere("vllm")),
        ("model_list:", of_a_server),
        ("litellm", elsewhere("litellm")),
        ("autointerp:\n  scorer: detection", is_taken),
        ("transformers serve", elsewhere("transformers")),
    ],
}


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Clone:
    return Clone.make(tmp_path_factory.mktemp("pages") / "clone")


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_the_page_is_in_the_table(page):
    found = blocks(ROOT / page)
    assert len(found) == len(PAGES[page])
    for text, (begins, _) in zip(found, PAGES[page], strict=True):
        assert text.startswith(begins)


@pytest.mark.parametrize(
    ("page", "number"), [(page, number) for page, table in PAGES.items() for number in range(len(table))]
)
def test_what_the_page_says_to_type_works(page, number, clone):
    """In the order of the page: a block may need what those before it made."""
    PAGES[page][number][1](clone, blocks(ROOT / page)[number])


def test_experiments_are_shown_with_their_names_and_leave_nothing_behind(clone):
    """The command of docs/versions.md."""
    (show,) = (one for block in blocks(ROOT / "docs/versions.md") for one in commands(block) if "exp show" in one)
    head, *rows = clone.does(f"git checkout -qB sparser && .venv/bin/{show}").strip().splitlines()
    columns = [cell.strip() for cell in head.strip("|").split("|")]
    assert columns[0] == "Experiment"
    assert {"grid.l1", "dictionaries.steps", "layer2_residual.tied_r4_l1-0.002_s0.plain.fvu"} <= set(columns)
    assert [row.strip("|").split("|")[0].strip() for row in rows[1:]] == ["workspace", "sparser"]
    clone.does(".venv/bin/dvc plots diff")
    assert (clone.folder / "dvc_plots").exists()
    assert "dvc_plots" not in clone.does("git status --porcelain")


def test_make_install_installs_once(tmp_path):
    """Of the two files, what is newer decides; the environment here only notes how it was called."""
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$@" >> calls\n')
    python.chmod(0o755)
    clone = Clone(tmp_path)
    for _ in range(2):
        clone.does("true; make install")
    assert [line.split()[:3] for line in (tmp_path / "calls").read_text().splitlines()] == [
        ["-m", "pip", "install"]
    ] * 2
    assert re.search("--editable", (tmp_path / "calls").read_text())
    assert sys.executable not in (tmp_path / "calls").read_text()
