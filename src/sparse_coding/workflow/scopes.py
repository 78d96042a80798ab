"""Which names of a syntax tree are locals, and so may be called otherwise without changing what the code does.

A local is numbered by where it appears first. Not numbered are names that are known outside by their letters: of
arguments, of functions and classes, what a class body binds, what an import calls by its own name. Where something may
ask for locals by name (`locals()`, `eval`, `global`, ...), none is numbered in the whole of the outermost function.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

_ASK = frozenset({"locals", "vars", "dir", "eval", "exec"})  # by name for all that is there
_FRAMES = frozenset({"f_locals", "currentframe", "_getframe", "stack"})
_BY_TEXT = frozenset({"eval", "query", "evaluate"})  # methods that may be given an expression of locals, as in pandas
_READ_BY_NO_ONE = frozenset(
    {"staticmethod", "classmethod", "property", "cached_property", "setter", "abstractmethod", "override",
     "contextmanager", "cache", "lru_cache", "wraps", "no_grad", "inference_mode"}
)  # fmt: skip
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_CALLED = {ast.ExceptHandler: "name", ast.MatchAs: "name", ast.MatchStar: "name", ast.MatchMapping: "rest",
           ast.alias: "asname"}  # fmt: skip

Names = dict[int, str]  # id of a node: what its name is called instead


def renamed(tree: ast.AST) -> Names:
    """The number, as a name that no code can have, of each node of `tree` that names a local."""
    reader = _Reader()
    reader.visit(tree, None)
    return reader.names


def name_field(node: ast.AST) -> str | None:
    """The field in which a node names a local; None where it names none."""
    return "id" if isinstance(node, ast.Name) else _CALLED.get(type(node))


def reads_annotations(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a decorator might look at the annotations of a function, as that of a dispatch on types does."""
    return any(_name_of(each) not in _READ_BY_NO_ONE for each in function.decorator_list)


def _name_of(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        return _name_of(node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


@dataclass
class _Scope:
    """kept: names that it binds and that keep their letters; free: those that it binds beside them."""

    parent: "_Scope | None"
    is_class: bool = False
    kept: set[str] = field(default_factory=set)
    free: set[str] = field(default_factory=set)
    numbers: dict[str, str] = field(default_factory=dict)

    def owner(self, name: str) -> "_Scope | None":
        """The scope that a name is looked up in; None where it is a local of none. A class is seen by its body only."""
        scope: _Scope | None = self
        while scope is not None:
            if (scope is self or not scope.is_class) and name in scope.kept | scope.free:
                return scope
            scope = scope.parent
        return None


class _Reader:
    """Goes through a tree once, in the order of its fields."""

    def __init__(self) -> None:
        self.names: Names = {}
        self._count = 0

    def visit(self, node: ast.AST, scope: _Scope | None) -> None:
        """scope: the innermost one that `node` lies in; None at the top, and in classes that lie there."""
        if isinstance(node, (*FUNCTIONS, ast.Lambda, *_COMPREHENSIONS)):
            if scope is None and _may_ask_by_name(node):
                return
            self._comprehension(node, scope) if isinstance(node, _COMPREHENSIONS) else self._function(node, scope)
        elif isinstance(node, ast.ClassDef):
            self._class(node, scope)
        elif isinstance(node, ast.AnnAssign) and scope is not None and not scope.is_class:
            self._all([] if is_bare(node) else [node.target, *([node.value] if node.value else [])], scope)
        else:
            self._number(node, scope)
            self._all(ast.iter_child_nodes(node), scope)

    def _all(self, nodes: Iterator[ast.AST] | list, scope: _Scope | None) -> None:
        for node in nodes:
            self.visit(node, scope)

    def _number(self, node: ast.AST, scope: _Scope | None) -> None:
        called = name_field(node)
        name: str | None = getattr(node, called) if called else None
        owner = scope.owner(name) if scope is not None and name is not None else None
        if name is None or owner is None or owner.is_class or name in owner.kept:
            return
        if name not in owner.numbers:
            owner.numbers[name] = f"%{self._count}"
            self._count += 1
        self.names[id(node)] = owner.numbers[name]

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, scope: _Scope | None) -> None:
        self._all(_outside(node), scope)
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        inner = _scope_of(body, scope)
        inner.kept |= {arg.arg for arg in arguments_of(node)}
        self._all(body, inner)

    def _class(self, node: ast.ClassDef, scope: _Scope | None) -> None:
        self._all(_outside(node), scope)
        inner = _scope_of(node.body, scope)
        inner.is_class = True
        self._all(node.body, inner if scope is not None else None)

    def _comprehension(self, node: ast.AST, scope: _Scope | None) -> None:
        generators: list[ast.comprehension] = getattr(node, "generators", [])
        inner = _Scope(scope)
        for each in generators:
            _bind(each.target, inner, walrus_only=False)
        inner.kept = {name for name in inner.free if name.startswith("__")}
        for index, each in enumerate(generators):
            self.visit(each.iter, inner if index else scope)
            self._all([each.target, *each.ifs], inner)
        results = [getattr(node, name, None) for name in ("elt", "key", "value")]
        self._all([each for each in results if each is not None], inner)


def arguments_of(function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> list[ast.arg]:
    """All that a function takes."""
    own = function.args
    several = [each for each in (own.vararg, own.kwarg) if each is not None]
    return [*own.posonlyargs, *own.args, *own.kwonlyargs, *several]


def is_bare(node: ast.AnnAssign) -> bool:
    """`x: int`, which does nothing in a function but to say that x is a local."""
    return node.value is None and isinstance(node.target, ast.Name)


def _outside(node: ast.AST) -> list[ast.AST]:
    """What of a function or class is evaluated where it stands."""
    found: list[ast.AST] = list(getattr(node, "decorator_list", ()))
    if isinstance(node, ast.ClassDef):
        return [*found, *node.bases, *node.keywords]
    assert isinstance(node, (*FUNCTIONS, ast.Lambda))
    found += [*node.args.defaults, *(each for each in node.args.kw_defaults if each is not None)]
    if isinstance(node, FUNCTIONS) and reads_annotations(node):
        found += [arg.annotation for arg in arguments_of(node) if arg.annotation]
        found += [node.returns] if node.returns else []
    return found


def _scope_of(body: list, parent: _Scope | None) -> _Scope:
    """What statements, or one expression, bind."""
    scope = _Scope(parent)
    for each in body:
        _bind(each, scope, walrus_only=False)
    scope.kept |= {name for name in scope.free if name.startswith("__")}  # a class around may change them
    scope.free -= scope.kept
    return scope


def _bind(node: ast.AST, scope: _Scope, walrus_only: bool) -> None:
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        scope.kept.add(node.name)
    if isinstance(node, (*FUNCTIONS, ast.ClassDef, ast.Lambda)):
        below: list[ast.AST] = _outside(node)
    elif isinstance(node, ast.NamedExpr):
        scope.free.add(node.target.id)
        below = [node.value]
    else:
        below = list(ast.iter_child_nodes(node))
        walrus_only = walrus_only or isinstance(node, _COMPREHENSIONS)
        if not walrus_only:
            _bind_one(node, scope)
    for each in below:
        _bind(each, scope, walrus_only)


def _bind_one(node: ast.AST, scope: _Scope) -> None:
    if _is_bound(node):
        scope.free.add(node.id)  # type: ignore[attr-defined]
    elif isinstance(node, ast.alias) and node.asname is None:
        scope.kept.add(node.name.partition(".")[0])
    elif (called := _CALLED.get(type(node))) and (name := getattr(node, called)) is not None:
        scope.free.add(name)


def _is_bound(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del)


def _may_ask_by_name(function: ast.AST) -> bool:
    """Whether something in an outermost function may ask for a local by its letters, or declares it elsewhere's."""
    return any(_asks_by_name(node) for node in ast.walk(function))


def _asks_by_name(node: ast.AST) -> bool:
    if isinstance(node, ast.Global | ast.Nonlocal) or getattr(node, "type_params", None):
        return True
    if isinstance(node, ast.Name):
        return node.id in _ASK | _FRAMES
    if isinstance(node, ast.Attribute):
        return node.attr in _FRAMES
    if isinstance(node, ast.keyword):  # numba's types of locals
        return node.arg in _ASK
    if isinstance(node, ast.Call):
        return bool(node.args) and isinstance(node.func, ast.Attribute) and node.func.attr in _BY_TEXT
    return type(node).__name__ == "TypeAlias"
