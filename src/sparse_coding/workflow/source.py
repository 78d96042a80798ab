"""What a step's code is: its module and what it imports from its own package, without comments and docstrings.

Followed are imports anywhere in a module, also inside functions, but not those for type checkers only. In an
`__init__` file, imports inside functions serve those who ask the package for a name and nobody else. An import that
cannot be followed by reading is refused: a change behind it would make nothing stale. One kind is declared beforehand:
`import_module(f"pkg.kinds.{name}")`, of a package from which settings choose. A job names the modules that it chooses,
and its code holds these, and no others of that package.
"""

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

from sparse_coding.errors import BadInput
from sparse_coding.workflow import canonical, scopes, syntax
from sparse_coding.workflow.read_before import ReadBefore

ANY = ".*"  # after the name of a package: the module of it that a job chooses
BY_NAME = ("import_module", "__import__")  # functions that import what their first argument names


class Source:
    """The code of one package, `name`, below the folder `root`.

    ignore: modules, and packages with all below them, that reach a step only through its settings, which are compared
    by value. choices: packages from which settings choose modules. memory: a file to remember in what was read; where
    there is none, all is read again.
    """

    def __init__(
        self,
        root: Path,
        name: str,
        ignore: tuple[str, ...] = (),
        choices: tuple[str, ...] = (),
        memory: Path | None = None,
    ) -> None:
        self.root, self.name, self.ignore, self.choices = root, name, frozenset(ignore), frozenset(choices)
        self._before = ReadBefore(memory, __file__, str(scopes.__file__), str(syntax.__file__))
        self._found: dict[str, Path | None] = {}
        self._trees: dict[str, ast.Module] = {}
        self._calls: set[str] = set()  # modules in which a call may import something
        self._digests: dict[str, str] = {}
        self._needs: dict[str, set[str]] = {}
        self._whole: dict[tuple[str, ...], str] = {}

    def files(self, module: str, chosen: tuple[str, ...] = ()) -> dict[str, str]:
        """{file, from the root: digest} of `module` and of all that it imports from the package.

        chosen: the modules that its settings choose. Raises BadInput, naming file and line, for an import of which it
        cannot be read what it imports; and where a package is chosen from and `chosen` has no module of it, or has one
        of a package that is not.
        """
        found: dict[str, str] = {}
        waiting = {module, *_parents(module)}
        seen: set[str] = set()
        while waiting:
            current = waiting.pop()
            seen.add(current)
            if not current.endswith(ANY):
                found[self._file(current)] = self._digest(current)
                waiting |= self._imports(current) - seen
                continue
            modules = [each for each in chosen if each.rpartition(".")[0] == current.removesuffix(ANY)]
            if not modules:
                raise BadInput(module, f"no choice of a module of {current.removesuffix(ANY)}", "a job that names one")
            waiting |= {each for name in modules for each in (name, *_parents(name))} - seen
        self._before.save()
        unused = sorted(name for name in chosen if f"{name.rpartition('.')[0]}{ANY}" not in seen)
        if unused:
            raise BadInput(
                module, f"the choice of {', '.join(unused)}", "modules that it imports by a name in settings"
            )
        return dict(sorted(found.items()))

    def digest(self, module: str, chosen: tuple[str, ...] = ()) -> str:
        """One digest of all of `files`."""
        if (module, *chosen) not in self._whole:
            self._whole[module, *chosen] = canonical.digest(self.files(module, chosen))
        return self._whole[module, *chosen]

    def _file(self, module: str) -> str:
        file = self._find(module)
        if file is None:
            raise ModuleNotFoundError(f"no module {module} below {self.root}")
        return file.relative_to(self.root).as_posix()

    def _find(self, module: str) -> Path | None:
        if module not in self._found:
            path = self.root.joinpath(*module.split("."))
            files = (path.with_suffix(".py"), path / "__init__.py")
            self._found[module] = next((file for file in files if file.is_file()), None)
        return self._found[module]

    def _tree(self, module: str) -> ast.Module:
        if module not in self._trees:
            text = (self.root / self._file(module)).read_bytes()
            self._trees[module] = ast.parse(text)
            if any(name.encode() in text for name in BY_NAME):
                self._calls.add(module)
        return self._trees[module]

    def _digest(self, module: str) -> str:
        if module not in self._digests:
            self._digests[module] = self._before.of(
                self.root / self._file(module), "digest", lambda: _digest(self._tree(module))
            )
        return self._digests[module]

    def _imports(self, module: str) -> set[str]:
        if module not in self._needs:
            is_package = self._file(module).endswith("__init__.py")
            names = self._imported(module, inside_functions=not is_package)
            needed = {needed for name in names for needed in self._modules(name)}
            self._needs[module] = {name for name in needed if not self._is_ignored(name)}
        return self._needs[module]

    def _is_ignored(self, name: str) -> bool:
        return not self.ignore.isdisjoint((name, *_parents(name)))

    def _imported(self, module: str, inside_functions: bool) -> list[str]:
        what = "imports" if inside_functions else "imports outside functions"
        try:
            return self._before.of(
                self.root / self._file(module), what, lambda: self._read_imports(module, inside_functions)
            )
        except _Unknown as found:
            wanted = (
                f"`from {self.name}.x import y`: a step is known by its code, and reading it finds no other imports"
            )
            raise BadInput(f"{self.root / self._file(module)}, line {found.line}", found.what, wanted) from None

    def _chosen_in(self, module: str) -> list[str]:
        """The choices in functions of a package's `__init__`, which importing one of its modules does not need."""
        if not self._file(module).endswith("__init__.py"):
            return []
        return [name for name in self._imported(module, inside_functions=True) if name.endswith(ANY)]

    def _read_imports(self, module: str, inside_functions: bool) -> list[str]:
        tree = self._tree(module)
        return _imported(tree, inside_functions, in_calls=module in self._calls, choices=self.choices)

    def _modules(self, name: str) -> set[str]:
        """The modules that importing the full name `name` runs; a name that is no module lies in its parent.

        Who imports a package by its name may call its functions, and so what they choose is needed too.
        """
        if name.split(".")[0] != self.name:
            return set()
        if self._is_ignored(name):
            return set(_parents(name))
        if name.endswith(ANY):
            return {name}
        if self._find(name) is not None:
            return {name, *_parents(name), *self._chosen_in(name)}
        parent = name.rpartition(".")[0]
        needed = self._modules(parent)
        if self._file(parent).endswith("__init__.py"):  # the name may be one that the package imports when asked for it
            for other in self._imported(parent, inside_functions=True):
                if other.rpartition(".")[0] != parent or other.endswith(ANY):
                    needed |= self._modules(other)
        return needed


def _digest(tree: ast.Module) -> str:
    return hashlib.sha256(canonical.text_of(syntax.plain(tree)).encode()).hexdigest()[:16]


def _parents(module: str) -> Iterator[str]:
    parts = module.split(".")
    yield from (".".join(parts[:length]) for length in range(1, len(parts)))


class _Unknown(Exception):
    """An import of which it cannot be read what it imports."""

    def __init__(self, node: ast.stmt | ast.expr, what: str) -> None:
        self.line, self.what = node.lineno, what


def _imported(tree: ast.AST, inside_functions: bool, in_calls: bool, choices: frozenset[str]) -> list[str]:
    """The full names of all that is imported below `tree`, in the order of the text. Raises _Unknown.

    in_calls: also by calls; without, only statements are looked at, which is several times as fast. choices: packages
    from which a module may be chosen.
    """
    names = []
    for node in ast.iter_child_nodes(tree) if in_calls else _statements(tree):
        names += _named(node, choices)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not inside_functions:
            continue
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            names += _imported(ast.Module(node.orelse, type_ignores=[]), inside_functions, in_calls, choices)
        else:
            names += _imported(node, inside_functions, in_calls, choices)
    return names


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """What stands directly below a statement, and is a statement or holds some."""
    for block in ("body", "handlers", "orelse", "finalbody", "cases"):
        yield from getattr(node, block, ())


def _named(node: ast.AST, choices: frozenset[str]) -> list[str]:
    """What one statement or call imports by itself."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        if node.level:
            raise _Unknown(node, f"the relative import `{ast.unparse(node)}`")
        renamed = [alias.name for alias in node.names if alias.name in BY_NAME and alias.asname]
        if renamed:
            raise _Unknown(node, f"{renamed[0]} under another name")
        return [f"{node.module}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and _name_of(node.func) in BY_NAME:
        return [_by_name(node, choices)]
    return []


def _name_of(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _by_name(call: ast.Call, choices: frozenset[str]) -> str:
    """The module that `import_module("pkg.x")` names in its text; `pkg.kinds.*` for one that is chosen."""
    first = call.args[0] if call.args else next((each.value for each in call.keywords if each.arg == "name"), None)
    name = first.value if isinstance(first, ast.Constant) else _chosen(first)
    is_relative = len(call.args) > 4 or any(each.arg == "level" for each in call.keywords)
    is_free = isinstance(name, str) and name.endswith(ANY) and name.removesuffix(ANY) not in choices
    if not isinstance(name, str) or name.startswith(".") or is_relative or is_free:
        raise _Unknown(call, f"the import `{ast.unparse(call)}`")
    return name


def _chosen(name: ast.expr | None) -> str | None:
    """`pkg.kinds.*` for f"pkg.kinds.{name}"; None for another expression."""
    parts = name.values if isinstance(name, ast.JoinedStr) else []
    if len(parts) != 2 or not isinstance(parts[0], ast.Constant) or not isinstance(parts[1], ast.FormattedValue):
        return None
    prefix = str(parts[0].value)
    return f"{prefix[:-1]}{ANY}" if prefix.endswith(".") and parts[1].format_spec is None else None


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )
