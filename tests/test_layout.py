"""The shape of the project: who imports whom, what has a place where, and how long it is."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from snakemake_logger_plugin_progress import estimate
from sparse_coding.cli import commands
from sparse_coding.cli.main import COMMANDS, STAGES
from sparse_coding.settings import declared, slices
from sparse_coding.settings.params import Params
from sparse_coding.workflow.source import Source
from tests.workspace import ROOT

SOURCE = ROOT / "src" / "sparse_coding"
FILES = sorted(SOURCE.rglob("*.py"))
ALL_FILES = sorted((ROOT / "src").rglob("*.py"))
PLAIN_STAGES = (
    "dataset",
    "activations",
    "dictionaries",
    "baselines",
    "published",
    "evaluation",
    "autointerp",
    "plots",
    "transformer",
    "toy",
)
SECOND_STEPS = {"import_activations", "evaluation_tables", "summary", "autointerp_llm", "autointerp_tables"}
SECOND_STEPS |= {"toy_tables", "toy_figure"}
NOT_IN_DVC = {"transformer", "toy"}  # what `dvc repro` should not make for everyone
HEAVY = {"torch", "transformers", "transformer_lens", "numpy", "pandas", "h5py", "sklearn", "datasets"}
MODELS = {"transformers", "transformer_lens"}
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "base", "tools"}
LONGEST_FILE, LONGEST_FUNCTION = 300, 60

# Rooms from the ground up, and what each may import beside itself: the import of a file above it would be a circle.
NUMBERS = "portions"  # a package of them, in which modules know nothing
GROUND = {"errors", "atomic", "methods", "roles", "variants", NUMBERS}
ROOMS: dict[str, set[str]] = {
    "files": set(),
    "workflow": set(),
    "settings": {"files", "workflow", "ending_quietly"},
    "forecast.counting": {"files", "settings"},
    "kernels": set(),
    "core": {"kernels"},
    "io": {"core"},
    "lm": {"files", "settings", "core", "io"},
    "llm": {"settings"},
    "interp": {"settings", "core", "io", "llm"},
    "figures": {"settings", "core", "io", "interp"},
    "forecast.probing": {"files", "settings", "forecast.counting", "core", "io", "lm", "llm", "interp"},
    "using": {"settings", "core", "io", "lm"},
    "formats": {"files", "settings", "core", "io"},
    "stages": {"files", "settings", "core", "io", "lm", "llm", "interp", "figures", "formats"},
    "load": {"files", "workflow", "settings", "core", "io", "formats"},
    "publishing": {"workflow", "settings", "core", "io", "lm", "interp", "formats", "using", "load"},
    "cli": {
        "workflow",
        "settings",
        "forecast.counting",
        "forecast.probing",
        "core",
        "io",
        "formats",
        "using",
        "stages",
        "load",
        "publishing",
        "ending_quietly",
    },
}
NO_TORCH = {*GROUND, "files", "workflow", "settings", "forecast.counting"}  # Snakemake reads them at each start


def name_of(file: Path) -> str:
    return str(file.relative_to(SOURCE))


def room_of(name: str) -> str:
    """The room of a module, by its name below the package; its own name where it stands at the top."""
    parts = name.split(".")
    return ".".join(parts[:2]) if parts[0] == "forecast" else parts[0]


def room(file: Path) -> str:
    return room_of(".".join(file.relative_to(SOURCE).with_suffix("").parts))


def imported(file: Path) -> Iterator[str]:
    """The full names of all modules that a file imports, also inside functions and for types."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_rooms(file: Path) -> set[str]:
    """The rooms of this package that a file imports from."""
    own = (name.removeprefix("sparse_coding.") for name in imported(file) if name.startswith("sparse_coding."))
    return {room_of(name) for name in own}


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


def test_dvc_asks_snakemake_for_each_stage_by_its_key():
    """Nothing else decides what DVC runs, and it deletes nothing that Snakemake would keep."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert stages.keys() == {"plan", *PLAIN_STAGES} - NOT_IN_DVC
    outs = [out for stage in stages.values() for out in stage.get("outs", [])]
    assert all(options["persist"] is True for out in outs for options in out.values())
    plan = stages.pop("plan")
    assert plan["cmd"].endswith("python -m sparse_coding plan")
    assert plan["outs"] == [{"keys.json": {"cache": False, "persist": True}}]
    for name, stage in stages.items():
        assert stage.keys() <= {"cmd", "params", "outs"}
        assert stage["cmd"] == f"${{run}} {name}"
        assert stage["params"] == [{"keys.json": [name]}]
        assert stage.get("outs", []) in ([], [{f"results/{name}": {"persist": True}}])
    assert {name for name, stage in stages.items() if "outs" not in stage} == {"dataset", "activations", "published"}


def test_each_stage_is_a_target_that_is_no_step():
    """`snakemake dictionaries` makes all files of the stage; the live line counts what is made only."""
    assert set(estimate.TARGETS) == {"all", *PLAIN_STAGES} - {"transformer"}
    for stage in set(PLAIN_STAGES) - {"transformer"}:
        rule = f'rule {stage}:\n    input:\n        WORK.stage("{stage}"),\n'
        assert (ROOT / "rules" / f"{stage}.smk").read_text(encoding="utf-8").endswith(rule)


def test_there_is_no_other_stage():
    assert {file.stem for file in (SOURCE / "stages").glob("*.py")} - {"__init__"} == set(STAGES)
    assert set(STAGES) - set(PLAIN_STAGES) == SECOND_STEPS
    assert {file.stem for file in (ROOT / "rules").glob("*.smk")} - {"common"} == set(PLAIN_STAGES)
    assert set(Params.model_fields) - set(PLAIN_STAGES) == {"grid", "model", "machine"}


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_imports_go_one_way(file):
    here = room(file)
    if here in GROUND:
        assert own_rooms(file) <= {"errors", "methods"}
    elif here in ROOMS:
        assert own_rooms(file) <= {here, *GROUND, *ROOMS[here]}
    if here in NO_TORCH:
        assert not libraries(file) & HEAVY
    if here not in ("lm", "stages", "forecast.probing"):
        assert not libraries(file) & MODELS


def test_the_rooms_stand_in_their_order():
    """Each may import from rooms above it in the table only, so there is no circle; and each is one that there is."""
    seen = {"ending_quietly"}
    for name, below in ROOMS.items():
        assert below <= seen, name
        seen.add(name)
    folders = {file.parent for file in FILES if len(file.relative_to(SOURCE).parts) > 1}
    rooms = {room_of(".".join(folder.relative_to(SOURCE).parts)) for folder in folders}
    assert rooms == {*ROOMS, "forecast", NUMBERS}


def test_at_the_top_stands_what_a_user_imports_and_what_all_rooms_share():
    top = {file.stem for file in SOURCE.glob("*.py")}
    assert top == {"__init__", "__main__", "ending_quietly", *GROUND} - {NUMBERS}


def test_numbers_that_rooms_share_know_nothing():
    for file in (SOURCE / NUMBERS).glob("*.py"):
        assert not set(imported(file)), file


def test_the_workflow_knows_nothing_of_sparse_coding():
    for file in (SOURCE / "workflow").rglob("*.py"):
        assert own_rooms(file) <= {"workflow", "errors", "atomic"}, file
        words = {node.id for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Name)}
        assert not words & {"params", "grid", "sites", "Params"}, file


@pytest.mark.parametrize("stage", STAGES)
def test_how_freshness_is_decided_enters_no_key(stage):
    """A change in the workflow, or in what cuts settings, makes no result stale."""
    chosen = (declared.architecture("topk"),) if stage in ("dictionaries", "toy") else ()
    chosen += (declared.optimiser("adam"),) if stage == "dictionaries" else ()
    chosen += (declared.baseline("ica"),) if stage == "baselines" else ()
    source = Source(ROOT / "src", "sparse_coding", slices.SCHEMA, declared.CHOICES)
    files = source.files(f"sparse_coding.stages.{stage}", chosen)
    modules = {file.removeprefix("sparse_coding/").removesuffix(".py").replace("/", ".") for file in files}
    assert not {name for name in modules if room_of(name) in ("workflow", "forecast.counting", "forecast.probing")}
    assert not {name for name in modules if name.startswith("settings.")} - {"settings.__init__", "settings.sites"}


def test_each_command_is_a_function_of_its_own():
    own = {name for name, value in vars(commands).items() if getattr(value, "__module__", "") == commands.__name__}
    assert set(COMMANDS.values()) == own
    assert not set(COMMANDS) & set(STAGES)
    for name in own:
        assert getattr(commands, name).__doc__


def test_the_core_knows_no_files():
    for file in (SOURCE / "core").rglob("*.py"):
        assert not libraries(file) & {"os", "pathlib", "logging", "tqdm", "json", "h5py", "safetensors"}, file


def test_the_kernels_know_arrays_only():
    for file in (SOURCE / "kernels").rglob("*.py"):
        assert libraries(file) <= {
            "collections",
            "hashlib",
            "pathlib",
            "typing",
            "numba",
            "numpy",
            "jaxtyping",
            "sparse_coding",
        }, file


def test_stages_meet_only_in_files():
    for file in (SOURCE / "stages").glob("*.py"):
        assert "stages" not in own_rooms(file), file


@pytest.mark.parametrize("file", ALL_FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_files_and_functions_are_short_and_well_named(file):
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_FILE
    assert not {file.stem, file.parent.name} & VAGUE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            assert node.end_lineno - node.lineno < LONGEST_FUNCTION, node.name


def test_the_snakefile_loads_no_torch():
    snakefile = ast.parse("\n".join(_import_lines(ROOT / "Snakefile")))
    names = [
        f"{node.module}.{alias.name}" for node in snakefile.body if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]  # fmt: skip
    assert {room_of(name.removeprefix("sparse_coding.")) for name in names} <= NO_TORCH
    script = f"""
import sys
{ast.unparse(snakefile)}
print(*set({sorted({*HEAVY, "huggingface_hub"})!r}) & sys.modules.keys())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == ""


def _import_lines(snakefile: Path) -> list[str]:
    lines = snakefile.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith(("from sparse_coding", "import sparse_coding"))]
