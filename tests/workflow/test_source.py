"""What counts as the code of a step."""

import textwrap
from pathlib import Path

import pytest

from sparse_coding.errors import BadInput
from sparse_coding.workflow.source import Source

STEP = '''
"""A step."""

import json
from pkg.shared import half

def run(x):
    """Halve."""
    return half(x) + 1
'''


@pytest.fixture
def package(tmp_path: Path) -> Path:
    write(tmp_path, "pkg/__init__.py", '"""A package."""\n')
    write(tmp_path, "pkg/shared.py", "def half(x):\n    return x / 2\n")
    write(tmp_path, "pkg/other.py", "def third(x):\n    return x / 3\n")
    write(tmp_path, "pkg/step.py", STEP)
    return tmp_path


def write(root: Path, file: str, text: str) -> None:
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(textwrap.dedent(text))


def digest(root: Path, ignore: tuple[str, ...] = ()) -> str:
    return Source(root, "pkg", ignore).digest("pkg.step")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""Halve."""', '"""Halve, then add one."""'),
        ('"""A step."""\n', ""),
        ("return half(x) + 1", "return half(x) + 1  # one more"),
        ("import json\n", "import json\n\n\n"),
        ("return half(x) + 1", "return (\n        half(x)\n        + 1\n    )"),
    ],
)
def test_words_for_people_and_layout_do_not_count(old, new, package):
    before = digest(package)
    write(package, "pkg/step.py", STEP.replace(old, new))
    assert (package / "pkg/step.py").read_text() != STEP
    assert digest(package) == before


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("pkg/step.py", STEP.replace("+ 1", "+ 2")),
        ("pkg/step.py", STEP.replace("import json", "import math")),
        ("pkg/shared.py", "def half(x):\n    return x * 0.5\n"),
        ("pkg/__init__.py", '"""A package."""\nX = 1\n'),
        ("pkg/step.py", STEP + '\nNOTE = "a string that is no docstring"\n'),
    ],
)
def test_code_counts_in_the_module_and_in_what_it_imports(file, text, package):
    before = digest(package)
    write(package, file, text)
    assert digest(package) != before


def test_what_a_step_does_not_import_does_not_count(package):
    before = digest(package)
    write(package, "pkg/other.py", "def third(x):\n    return x\n")
    assert digest(package) == before


@pytest.mark.parametrize(
    ("imported", "counts"),
    [
        ("def late():\n    from pkg import other\n", True),
        ("def late():\n    import pkg.other\n", True),
        ("from pkg.other import third\n", True),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pkg.other import third\n", False),
        ("import typing\nif typing.TYPE_CHECKING:\n    import pkg.other\nelse:\n    import pkg.other\n", True),
        ("import othermodule\n", False),
    ],
)
def test_imports_are_followed_wherever_they_run(imported, counts, package):
    write(package, "pkg/step.py", STEP + imported)
    assert ("pkg/other.py" in Source(package, "pkg").files("pkg.step")) == counts


def test_names_that_a_package_imports_when_asked_count_for_those_who_ask(package):
    lazy = "def __getattr__(name):\n    from pkg.other import third\n    return third\n"
    write(package, "pkg/__init__.py", lazy)
    assert "pkg/other.py" not in Source(package, "pkg").files("pkg.step")
    write(package, "pkg/step.py", STEP + "from pkg import third\n")
    assert "pkg/other.py" in Source(package, "pkg").files("pkg.step")


def test_modules_in_a_circle_are_each_counted_once(package):
    write(package, "pkg/shared.py", "import pkg.step\ndef half(x):\n    return x / 2\n")
    assert set(Source(package, "pkg").files("pkg.step")) == {"pkg/__init__.py", "pkg/shared.py", "pkg/step.py"}


def test_ignored_modules_and_what_only_they_import_do_not_count(package):
    write(package, "pkg/shared.py", "from pkg.other import third\ndef half(x):\n    return x / 2\n")
    assert set(Source(package, "pkg", ("pkg.shared",)).files("pkg.step")) == {"pkg/__init__.py", "pkg/step.py"}


def test_a_step_that_is_not_there_is_named(package):
    with pytest.raises(ModuleNotFoundError, match=r"pkg\.nowhere"):
        Source(package, "pkg").files("pkg.nowhere")


@pytest.mark.parametrize(
    ("imported", "found"),
    [
        ("from . import other\n", "the relative import `from . import other`"),
        ("from .other import third\n", "the relative import `from .other import third`"),
        ("def late():\n    from .. import pkg\n", "the relative import `from .. import pkg`"),
        ("import importlib\nX = importlib.import_module('.other', 'pkg')\n", r"the import `importlib\.import_module\("),
        (
            "import importlib\nX = importlib.import_module(name=STEP)\n",
            r"the import `importlib\.import_module\(name=STEP",
        ),
        ("from importlib import import_module\nX = import_module(f'pkg.{1}')\n", "the import `import_module"),
        ("from importlib import import_module as load\n", "import_module under another name"),
        ("X = __import__('other', globals(), locals(), ['third'], 1)\n", "the import `__import__"),
        ("X = __import__('other', level=1)\n", "the import `__import__"),
    ],
)
def test_an_import_that_cannot_be_followed_is_refused_with_file_and_line(imported, found, package):
    write(package, "pkg/step.py", STEP + imported)
    line = len(STEP.splitlines()) + imported.count("\n")
    with pytest.raises(BadInput, match=rf"pkg/step\.py, line {line}: found {found}.*; wanted `from pkg\.x import y`"):
        Source(package, "pkg").digest("pkg.step")


def test_so_is_one_in_a_module_that_a_step_imports(package):
    write(package, "pkg/shared.py", "from . import other\ndef half(x):\n    return x / 2\n")
    with pytest.raises(BadInput, match=r"pkg/shared\.py, line 1: found the relative import"):
        Source(package, "pkg").digest("pkg.step")
    Source(package, "pkg").digest("pkg.other")


@pytest.mark.parametrize(
    ("imported", "counts"),
    [
        ("import importlib\nX = importlib.import_module('pkg.other')\n", True),
        ("from importlib import import_module\ndef late():\n    return import_module('pkg.other')\n", True),
        ("X = __import__('pkg.other')\n", True),
        ("import importlib\nX = importlib.import_module('othermodule')\n", False),
    ],
)
def test_imports_by_a_name_that_stands_there_are_followed(imported, counts, package):
    write(package, "pkg/step.py", STEP + imported)
    assert ("pkg/other.py" in Source(package, "pkg").files("pkg.step")) == counts


def test_imports_for_type_checkers_may_be_of_any_kind(package):
    write(
        package, "pkg/step.py", STEP + "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import other\n"
    )
    assert "pkg/other.py" not in Source(package, "pkg").files("pkg.step")


KINDS = "import importlib\n\ndef make(kind):\n    return importlib.import_module(f'pkg.kinds.{kind}')\n"


@pytest.fixture
def choosing(package: Path) -> Path:
    """A package of kinds, of which the step imports the one that a setting names."""
    write(package, "pkg/kinds/__init__.py", KINDS)
    for kind in ("round", "square"):
        write(package, f"pkg/kinds/{kind}.py", "from pkg.kinds.shape import area\n")
    write(package, "pkg/kinds/shape.py", "def area():\n    return 1\n")
    write(package, "pkg/step.py", STEP + "from pkg import kinds\n")
    return package


def of_kind(root: Path, *kinds: str) -> Source | dict[str, str]:
    return Source(root, "pkg", choices=("pkg.kinds",)).files("pkg.step", tuple(f"pkg.kinds.{kind}" for kind in kinds))


@pytest.mark.parametrize("asked", ["from pkg import kinds\n", "from pkg.kinds import make\n", "import pkg.kinds\n"])
def test_of_a_package_that_is_chosen_from_the_chosen_module_counts(asked, choosing):
    write(choosing, "pkg/step.py", STEP + asked)
    found = of_kind(choosing, "round")
    assert {"pkg/kinds/__init__.py", "pkg/kinds/round.py", "pkg/kinds/shape.py"} <= set(found)
    write(choosing, "pkg/kinds/square.py", "X = 1\n")
    write(choosing, "pkg/kinds/new.py", "X = 1\n")
    assert of_kind(choosing, "round") == found
    write(choosing, "pkg/kinds/round.py", "X = 1\n")
    assert of_kind(choosing, "round") != found


def test_who_imports_one_module_of_it_chooses_nothing(choosing):
    write(choosing, "pkg/step.py", STEP + "from pkg.kinds.shape import area\n")
    assert "pkg/kinds/round.py" not in of_kind(choosing)


def test_a_step_that_chooses_nothing_or_what_it_does_not_import_is_refused(choosing):
    with pytest.raises(BadInput, match=r"pkg\.step: found no choice of a module of pkg\.kinds; wanted a job that"):
        of_kind(choosing)
    write(choosing, "pkg/step.py", STEP)
    with pytest.raises(BadInput, match=r"pkg\.step: found the choice of pkg\.kinds\.round; wanted modules that it"):
        of_kind(choosing, "round")


@pytest.mark.parametrize(
    "call",
    ["import_module(f'pkg.{kind}')", "import_module(f'pkg.kinds.{kind}.{kind}')", "import_module(f'pkg.kinds.a{kind}')",
     "import_module(f'{kind}')", "import_module('pkg.kinds.' + kind)"],
)  # fmt: skip
def test_only_a_declared_package_is_chosen_from_and_only_by_a_prefix_that_stands_there(call, choosing):
    write(choosing, "pkg/kinds/__init__.py", f"from importlib import import_module\ndef make(kind):\n    {call}\n")
    with pytest.raises(BadInput, match=r"pkg/kinds/__init__\.py, line 3: found the import"):
        of_kind(choosing, "round")
