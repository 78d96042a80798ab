"""The code of a dictionary is that of its own kind: another one's, or a new one, makes nothing stale."""

import shutil

import pytest

from sparse_coding import methods
from sparse_coding.settings import declared, slices
from sparse_coding.workflow.source import Source
from tests.what_reruns import text
from tests.workspace import ROOT

ROW = "sparse_coding/methods.py"
CORE = "sparse_coding/core"
ADAM = (declared.optimiser("adam"),)
KINDS = {  # folder of their modules: the step, what chooses, kinds, what is chosen beside
    "architectures": ("dictionaries", declared.architecture, methods.LEARNED, ADAM),
    "baselines": ("baselines", declared.baseline, methods.BASELINES, ()),
}
ROWS = {
    "architectures": 'Method("another", "another", "k", 2, "#000000", "o", "somebody")',
    "baselines": 'Method("another", "another", None, 1, "#000000", "o", "somebody")',
}
COPIED = {"architectures": "topk", "baselines": "nmf"}


@pytest.fixture
def package(tmp_path):
    shutil.copytree(ROOT / "src" / "sparse_coding", tmp_path / "sparse_coding")
    return tmp_path


def source(root, memory=None) -> Source:
    return Source(root, "sparse_coding", slices.SCHEMA, declared.CHOICES, memory)


def codes(root, room) -> dict[str, str]:
    # what was not edited is read once
    (step, module, kinds, beside), now = KINDS[room], source(root, root / "read.json")
    return {kind: now.digest(f"sparse_coding.stages.{step}", (module(kind), *beside)) for kind in kinds}


@pytest.mark.parametrize(("room", "kind"), [(room, kind) for room in KINDS for kind in KINDS[room][2]])
def test_the_module_of_a_kind_counts_for_those_who_use_it(room, kind, package):
    step, module, kinds, beside = KINDS[room]
    before, others = codes(package, room), codes(package, *KINDS.keys() - {room})
    with (package / CORE / room / f"{kind}.py").open("a") as file:
        file.write("\nEDITED = True\n")
    after = codes(package, room)
    assert after[kind] != before[kind]
    assert codes(package, *KINDS.keys() - {room}) == others
    now, file = source(package, package / "read.json"), f"{CORE}/{room}/{kind}.py"
    users = {each for each in kinds if file in now.files(f"sparse_coding.stages.{step}", (module(each), *beside))}
    assert {each for each in kinds if after[each] != before[each]} == users
    assert len(users) < len(kinds)


def test_a_new_optimiser_makes_no_cell_stale_and_adam_all(package):
    before, folder = codes(package, "architectures"), package / CORE / "training" / "optimisers"
    shutil.copy(folder / "adam.py", folder / "another.py")
    text(ROW, "OPTIMISERS = {", 'NEW = Optimiser("another", 2, "somebody")\nOPTIMISERS = {')(package)
    assert codes(package, "architectures") == before
    with (folder / "adam.py").open("a") as file:
        file.write("\nEDITED = True\n")
    assert not set(codes(package, "architectures").values()) & set(before.values())


@pytest.mark.parametrize("room", KINDS)
def test_a_new_kind_makes_no_step_stale(room, package):
    steps = ("evaluation", "plots", "autointerp", "summary", "toy_figure")

    def all_codes() -> list[object]:
        return [
            *(codes(package, each) for each in KINDS),
            *(source(package, package / "read.json").digest(f"sparse_coding.stages.{step}") for step in steps),
        ]

    before = all_codes()
    module = package / CORE / room / f"{COPIED[room]}.py"
    shutil.copy(module, module.with_name("another.py"))
    text = (package / "sparse_coding" / "methods.py").read_text()
    row = '    Method("tied", '
    assert row in text
    (package / "sparse_coding" / "methods.py").write_text(text.replace(row, f"    {ROWS[room]},\n{row}"))
    assert all_codes() == before


@pytest.mark.parametrize(
    ("table", "readers"),
    [("evaluation", {"evaluation", "evaluation_tables", "plots", "summary"}), ("toy", {"toy_tables", "toy_figure"})],
)
def test_the_columns_of_a_table_count_for_those_who_read_it(table, readers):
    file = f"sparse_coding/io/tables/{table}.py"
    steps = ("evaluation", "evaluation_tables", "plots", "summary", "autointerp", "autointerp_tables", "baselines",
             "dataset", "activations", "toy_tables", "toy_figure")  # fmt: skip
    now, chosen = source(ROOT / "src"), {"baselines": (declared.baseline("ica"),)}
    found = {step for step in steps if file in now.files(f"sparse_coding.stages.{step}", chosen.get(step, ()))}
    assert found == readers
