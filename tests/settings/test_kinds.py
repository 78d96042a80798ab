"""Kinds of dictionary are told apart in one place, `methods`: nowhere else by their names, and no second list of them.

An activation is no kind, though one is called `topk`, nor is what a hub says of a model that is gated.
"""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparse_coding import methods
from sparse_coding.core import baselines
from sparse_coding.errors import BadInput
from sparse_coding.io import tables
from sparse_coding.io.tables.evaluation import EVALUATION
from sparse_coding.settings.params import Baselines
from tests.workspace import ROOT

SOURCE = ROOT / "src"
KINDS = set(methods.BY_KIND)
NO_KINDS = {"activation", "reason"}  # what is compared with such a literal and is no kind
# Where names may be compared and listed: in methods, and where one architecture speaks of itself.
OWN = ["sparse_coding/methods.py", *(f"sparse_coding/core/architectures/{kind}.py" for kind in methods.LEARNED)]
# Where it says what was of the kinds that there were before.
BEFORE = ["sparse_coding/settings/moved.py", "sparse_coding/stages/dictionaries.py"]
# Where they may be listed: activations, some of which are called as kinds are ...
TABLES = ["sparse_coding/core/dictionary_checks.py"]
PARAMS = "sparse_coding/settings/params/"  # ... and types and defaults of settings
OTHERS = "sparse_coding/formats/"  # whose words are those of other libraries' files


def _files() -> Iterator[tuple[str, ast.AST]]:
    for path in sorted(path for path in SOURCE.rglob("*.py") if OTHERS not in path.as_posix()):
        yield path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def _kinds_in(node: ast.AST) -> set[str]:
    """The literals that are names of kinds: `node` itself, or the items of a list, keys of a table."""
    items = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", [node])
    return {each.value for each in items if isinstance(each, ast.Constant) and isinstance(each.value, str)} & KINDS


def _called(node: ast.AST) -> str:
    """What a value is called, e.g. `activation` of `self.activation`; empty where it has no name."""
    return str(getattr(node, "attr", getattr(node, "id", "")))


def _compared(tree: ast.AST) -> Iterator[str]:
    """Comparisons with the name of a kind, those of `match` and of `startswith` among them."""
    for node in ast.walk(tree):
        sides: list[ast.AST] = []
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            sides = [node.value]
        elif isinstance(node, ast.Call) and _called(node.func) in ("startswith", "endswith", "isin", "eq"):
            sides = [*node.args]
        found = set().union(*map(_kinds_in, sides))
        if found and not any(_called(side) in NO_KINDS for side in sides):
            yield ast.unparse(node)


def _listed(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.List | ast.Tuple | ast.Set | ast.Dict) and len(_kinds_in(node)) > 1:
            yield ast.unparse(node)


def test_no_kind_is_compared_by_its_name() -> None:
    found = [f"{name}: {each}" for name, tree in _files() if name not in OWN for each in _compared(tree)]
    assert not found


def test_there_is_no_second_list_of_kinds() -> None:
    own = (*OWN, *BEFORE, *TABLES)
    found = [f"{name}: {each}" for name, tree in _files() if name not in own for each in _listed(tree)]
    assert not [each for each in found if not each.startswith(PARAMS)]


@pytest.mark.parametrize(
    "code",
    [
        'kind == "topk"',
        'row["kind"] in ("tied", "untied")',
        '"nmf" != member.method',
        'name.startswith("pca")',
        'table["kind"].isin(["ica"])',
        'match kind:\n    case "random": pass',
    ],
)
def test_a_comparison_is_seen(code: str) -> None:
    assert list(_compared(ast.parse(code)))


def test_what_is_no_kind_may_be_compared() -> None:
    assert not list(_compared(ast.parse('self.activation == "topk" or kind == "relu"')))


def test_each_kind_has_a_module_that_can_do_what_is_asked_of_it() -> None:
    architectures, baselines = (
        {kind: importlib.import_module(f"sparse_coding.core.{room}.{kind}") for kind in kinds}
        for room, kinds in (("architectures", methods.LEARNED), ("baselines", methods.BASELINES))
    )
    assert all(callable(module.build) for module in architectures.values())
    assert all(callable(module.build) and callable(module.work) for module in baselines.values())


def test_what_a_baseline_reads_is_there_and_every_setting_of_them_is_read() -> None:
    reads = {setting for kind in methods.BASELINES for setting in methods.of(kind).reads.values()}
    assert reads | {"methods", "of_pairs", "topk", "topk_methods", "original"} == set(Baselines.model_fields)
    assert not any(methods.of(kind).reads for kind in methods.LEARNED)


def test_no_architecture_is_a_baseline() -> None:
    with pytest.raises(BadInput, match=r"^baseline: found 'tied'; wanted one of pca, ica, nmf"):
        baselines.work("tied", 1, 1, {})


def test_a_kind_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^kind of dictionary: found kind 'tide'; wanted one of tied, untied, topk, "):
        methods.of("tide")
    with pytest.raises(BadInput, match="tide"):
        methods.is_learned("tide")
    texts = {field.name: "x" if str(field.type) == "string" else 1 for field in EVALUATION}
    row = {name: None if EVALUATION.field(name).nullable else value for name, value in texts.items()}
    with pytest.raises(BadInput, match=r"t.parquet: row 0, column kind: found kind 'x'; wanted one of tied"):
        tables.write(tmp_path / "t.parquet", [row], EVALUATION)


def test_a_table_of_an_unknown_kind_is_refused_when_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.parquet"
    row = dict.fromkeys(EVALUATION.names)
    row |= {field.name: "x" if str(field.type) == "string" else 1 for field in EVALUATION if not field.nullable}
    with monkeypatch.context() as patched:
        patched.setitem(methods.BY_KIND, "tide", methods.BY_KIND["tied"])
        tables.write(path, [row | {"kind": "tide"}], EVALUATION)
        assert tables.read(path, EVALUATION).num_rows == 1
    for read in (tables.read, lambda path, schema: tables.read_also_older(path, schema, "snakemake")):
        with pytest.raises(BadInput, match=r"t.parquet, column kind: found kind 'tide'; wanted one of tied"):
            read(path, EVALUATION)
