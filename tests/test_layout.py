"""The shape of the project: who imports whom, what has a place where, and how long it is."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparse_coding.__main__ import STAGES
from sparse_coding.params import Params
from tests.workspace import ROOT

SOURCE = ROOT / "src" / "sparse_coding"
FILES = sorted(SOURCE.rglob("*.py"))
ALL_FILES = sorted((ROOT / "src").rglob("*.py"))
PLAIN_STAGES = (
    "dataset",
    "activations",
    "dictionaries",
    "baselines",
    "evaluation",
    "autointerp",
    "plots",
    "transformer",
)
NO_TORCH = (
    "errors",
    "sites",
    "params",
    "grid",
    "slices",
    "leaves",
)  # what the Snakefile imports, and what that imports
HEAVY = {"torch", "transformers", "transformer_lens", "numpy", "pandas", "h5py", "sklearn", "datasets"}
MODELS = {"transformers", "transformer_lens"}
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "base", "tools"}
LONGEST_FILE, LONGEST_FUNCTION = 300, 60

# A part, and the parts it may import; each may import itself and the modules of NO_TORCH.
MAY_IMPORT = {
    "core": set(),
    "io": {"core"},
    "lm": {"core", "io"},
    "interp": {"core", "io"},
    "figures": {"core", "io", "interp"},
    "stages": {"core", "io", "lm", "interp", "figures"},
}


def name_of(file: Path) -> str:
    return str(file.relative_to(SOURCE))


def part_of(file: Path) -> str:
    """The folder of the package that a file is in, or its own name at the top."""
    return file.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(file: Path) -> Iterator[str]:
    """The full names of all modules that a file imports, also inside functions and for types."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_parts(file: Path) -> set[str]:
    """The parts of this package that a file imports."""
    return {name.split(".")[1] for name in imported(file) if name.startswith("sparse_coding.")}


def libraries(file: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(file)}


@pytest.mark.parametrize("stage", PLAIN_STAGES)
def test_a_stage_has_the_same_name_everywhere(stage):
    assert stage in STAGES
    assert stage in Params.model_fields
    assert (ROOT / "rules" / f"{stage}.smk").is_file()
    assert (SOURCE / "stages" / f"{stage}.py").is_file()
    assert (ROOT / "tests" / "stages" / f"test_{stage}.py").is_file()
    assert f'include: "rules/{stage}.smk"' in (ROOT / "Snakefile").read_text()


def test_there_is_no_other_stage():
    assert {file.stem for file in (SOURCE / "stages").glob("*.py")} - {"__init__"} == set(STAGES)
    assert set(STAGES) - set(PLAIN_STAGES) == {"import_activations", "summary"}  # second entries of two stages
    assert {file.stem for file in (ROOT / "rules").glob("*.smk")} - {"common"} == set(PLAIN_STAGES)
    assert set(Params.model_fields) - set(PLAIN_STAGES) == {"grid", "model"}


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_imports_go_one_way(file):
    part = part_of(file)
    if part in NO_TORCH:
        assert own_parts(file) <= set(NO_TORCH)
        assert not libraries(file) & HEAVY
    elif part in MAY_IMPORT:
        assert own_parts(file) <= {part, *NO_TORCH, *MAY_IMPORT[part]}
    if part not in ("lm", "stages"):
        assert not libraries(file) & MODELS


def test_every_folder_is_under_the_rule():
    folders = {folder.name for folder in SOURCE.iterdir() if folder.is_dir() and folder.name != "__pycache__"}
    assert folders == set(MAY_IMPORT)


def test_the_core_knows_no_files():
    for file in (SOURCE / "core").rglob("*.py"):
        assert not libraries(file) & {"os", "pathlib", "logging", "tqdm", "json", "h5py", "safetensors"}, file


def test_stages_meet_only_in_files():
    for file in (SOURCE / "stages").glob("*.py"):
        assert "stages" not in own_parts(file), file


@pytest.mark.parametrize("file", ALL_FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_files_and_functions_are_short_and_well_named(file):
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_FILE
    assert not {file.stem, file.parent.name} & VAGUE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            assert node.end_lineno - node.lineno < LONGEST_FUNCTION, node.name


def test_the_snakefile_loads_no_torch():
    script = f"""
import sys
from sparse_coding import {", ".join(NO_TORCH)}
print(*set({sorted(HEAVY)!r}) & sys.modules.keys())
"""
    snakefile = (ROOT / "Snakefile").read_text()
    for line in snakefile.splitlines():
        if line.startswith("from sparse_coding import"):
            assert set(line.removeprefix("from sparse_coding import").replace(",", " ").split()) <= set(NO_TORCH)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == ""
