"""The code of a cell is that of its own architecture: another one's, or a new one, makes nothing stale."""

import shutil

import pytest

from sparse_coding import methods
from sparse_coding.settings import declared, slices
from sparse_coding.workflow.source import Source
from tests.what_reruns import text
from tests.workspace import ROOT

ROW = "sparse_coding/methods.py"
STEP = "sparse_coding.stages.dictionaries"
KINDS = "sparse_coding/core/architectures"
THERE = [kind for kind in methods.LEARNED if (ROOT / "src" / KINDS / f"{kind}.py").is_file()]


@pytest.fixture
def package(tmp_path):
    shutil.copytree(ROOT / "src" / "sparse_coding", tmp_path / "sparse_coding")
    return tmp_path


def source(root) -> Source:
    return Source(root, "sparse_coding", slices.SCHEMA, declared.CHOICES)


def chosen(kind: str) -> tuple[str, str]:
    return declared.architecture(kind), declared.optimiser("adam")


def codes(root) -> dict[str, str]:
    return {kind: source(root).digest(STEP, chosen(kind)) for kind in THERE}


@pytest.mark.parametrize("kind", THERE)
def test_the_module_of_an_architecture_counts_for_those_who_use_it(kind, package):
    before = codes(package)
    with (package / KINDS / f"{kind}.py").open("a") as file:
        file.write("\nEDITED = True\n")
    after = codes(package)
    assert after[kind] != before[kind]
    now, file = source(package), f"{KINDS}/{kind}.py"
    users = {each for each in THERE if file in now.files(STEP, chosen(each))}
    assert {each for each in THERE if after[each] != before[each]} == users
    assert len(users) < len(THERE)


def test_a_new_optimiser_makes_no_cell_stale_and_adam_all(package):
    before, folder = codes(package), package / "sparse_coding/core/training/optimisers"
    shutil.copy(folder / "adam.py", folder / "another.py")
    text(ROW, "OPTIMISERS = {", 'NEW = Optimiser("another", 2, "somebody")\nOPTIMISERS = {')(package)
    assert codes(package) == before
    with (folder / "adam.py").open("a") as file:
        file.write("\nEDITED = True\n")
    assert not set(codes(package).values()) & set(before.values())


def test_a_new_architecture_makes_no_step_stale(package):
    steps = ("evaluation", "plots", "autointerp", "baselines", "summary", "toy_figure")
    before = [codes(package), *(source(package).digest(f"sparse_coding.stages.{step}") for step in steps)]
    shutil.copy(package / KINDS / "topk.py", package / KINDS / "another.py")
    text = (package / "sparse_coding" / "methods.py").read_text()
    row = '    Method("tied", '
    assert row in text
    another = '    Method("another", "another", "k", 2, "#000000", "o", "somebody"),'
    (package / "sparse_coding" / "methods.py").write_text(text.replace(row, f"{another}\n{row}"))
    assert [codes(package), *(source(package).digest(f"sparse_coding.stages.{step}") for step in steps)] == before


@pytest.mark.parametrize(
    ("table", "readers"),
    [("evaluation", {"evaluation", "evaluation_tables", "plots", "summary"}), ("toy", {"toy_tables", "toy_figure"})],
)
def test_the_columns_of_a_table_count_for_those_who_read_it(table, readers):
    file = f"sparse_coding/io/tables/{table}.py"
    steps = ("evaluation", "evaluation_tables", "plots", "summary", "autointerp", "autointerp_tables", "baselines",
             "dataset", "activations", "toy_tables", "toy_figure")  # fmt: skip
    found = {step for step in steps if file in source(ROOT / "src").files(f"sparse_coding.stages.{step}")}
    assert found == readers
