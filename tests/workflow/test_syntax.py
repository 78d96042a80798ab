"""Code that does the same under other names of locals, and code that only looks as if it did."""

import ast
import inspect
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sparse_coding
from sparse_coding.workflow import canonical, scopes, syntax


def digest(text: str) -> str:
    return canonical.digest(syntax.plain(ast.parse(textwrap.dedent(text))))


SAME = {
    "a local": ("def f(x):\n y = x\n return y", "def f(x):\n z = x\n return z"),
    "two locals that change their names": (
        "def f():\n a = 1\n b = 2\n return a - b",
        "def f():\n b = 1\n a = 2\n return b - a",
    ),
    "a loop": ("def f(xs):\n for x in xs:\n  print(x)", "def f(xs):\n for each in xs:\n  print(each)"),
    "with, except, import as": (
        "def f():\n import json as j\n try:\n  with open(j) as o:\n   o()\n except E as e:\n  raise e",
        "def f():\n import json as k\n try:\n  with open(k) as p:\n   p()\n except E as g:\n  raise g",
    ),
    "match": (
        "def f(v):\n match v:\n  case [a, *b]: return a, b\n  case {1: c, **d}: return c, d\n  case e: return e",
        "def f(v):\n match v:\n  case [m, *n]: return m, n\n  case {1: o, **p}: return o, p\n  case q: return q",
    ),
    "a comprehension": ("X = [a + 1 for a in range(3)]", "X = [b + 1 for b in range(3)]"),
    "a comprehension in a class": (
        "class C:\n n = 3\n X = {a: b for a in range(n) for b in (a,)}",
        "class C:\n n = 3\n X = {c: d for c in range(n) for d in (c,)}",
    ),
    "a walrus in a comprehension is the function's": (
        "def f(xs):\n any((last := x) for x in xs)\n return last",
        "def f(xs):\n any((y := x) for x in xs)\n return y",
    ),
    "a local that an inner function reads": (
        "def f():\n n = 1\n def g(x):\n  return lambda: n + x\n return g",
        "def f():\n m = 1\n def g(x):\n  return lambda: m + x\n return g",
    ),
    "a local that a class in it reads": (
        "def f():\n n = 1\n class C:\n  y = n\n  def g(self):\n   return n\n return C",
        "def f():\n m = 1\n class C:\n  y = m\n  def g(self):\n   return m\n return C",
    ),
    "a local that is called as an argument is named": ("def f(g):\n x = 1\n g(x=x)", "def f(g):\n y = 1\n g(x=y)"),
    "annotations of arguments and results": (
        "def f(x, *a, y=1, **k):\n return x",
        "def f(x: int, *a: int, y: 'str' = 1, **k: T) -> int:\n return x",
    ),
    "annotations of locals": ("def f():\n x = 1\n return x", "def f():\n x: int = 1\n return x"),
    "a local that is announced": (
        "def f():\n b = 1\n a = 2\n return a",
        "def f():\n a: int\n b = 1\n a = 2\n return a",
    ),
    "the annotation of an attribute that is set": (
        "class C:\n def f(self):\n  self.x = 1",
        "class C:\n def f(self) -> None:\n  self.x: int = 1",
    ),
    "under a decorator that reads none": (
        "class C:\n @property\n def f(self):\n  return 1",
        "class C:\n @property\n def f(self) -> int:\n  return 1",
    ),
    "a docstring": ("def f():\n 'x'\n return 1", "def f():\n return 1"),
    "`eval` of a model, which takes nothing": (
        "def f(m):\n x = m.eval()\n return x",
        "def f(m):\n y = m.eval()\n return y",
    ),
}

OTHER = {
    "an argument": ("def f(x):\n return x", "def f(y):\n return y"),
    "an argument of a lambda": ("F = lambda x: x", "F = lambda y: y"),
    "a function": ("def f():\n return 1", "def g():\n return 1"),
    "an inner function, which knows its name": (
        "def f():\n def g(): pass\n return g",
        "def f():\n def h(): pass\n return h",
    ),
    "a module's name": ("x = 1", "y = 1"),
    "an attribute": ("def f(x):\n return x.a", "def f(x):\n return x.b"),
    "a keyword": ("def f(g):\n x = 1\n g(x=x)", "def f(g):\n y = 1\n g(y=y)"),
    "a name in a class": ("class C:\n x = 1", "class C:\n y = 1"),
    "a name in a class in a function": (
        "def f():\n class C:\n  x = 1\n return C",
        "def f():\n class C:\n  y = 1\n return C",
    ),
    "an annotation in a class": ("class C:\n x: int = 1", "class C:\n x: str = 1"),
    "an annotation in a class in a function": (
        "def f():\n class C:\n  x: int\n return C",
        "def f():\n class C:\n  x: str\n return C",
    ),
    "an annotation in a module": ("x: int = 1", "x: str = 1"),
    "an annotation that a decorator may read": ("@register\ndef f(x: int): pass", "@register\ndef f(x: str): pass"),
    "as what the settings of a step are read": ("def run(settings: A): pass", "def run(settings: B): pass"),
    "two locals that change places": (
        "def f():\n a = 1\n b = 2\n return a - b",
        "def f():\n a = 1\n b = 2\n return b - a",
    ),
    "one local for two": ("def f(x):\n a = x\n b = a\n return a, b", "def f(x):\n a = x\n a = a\n return a, a"),
    "a local for a global": ("def f():\n a = 1\n return a", "def f():\n b = 1\n return a"),
    "a local that an inner function binds itself": (
        "def f():\n a = 1\n def g():\n  a = 2\n  return a\n return g, a",
        "def f():\n a = 1\n def g():\n  b = 2\n  return a\n return g, a",
    ),
    "an argument of an inner function that hides a local": (
        "def f():\n a = 1\n return lambda a: a",
        "def f():\n a = 1\n return lambda b: a",
    ),
    "a lambda in a default hides nothing": (
        "def f():\n y = 1\n def g(x=lambda y: y):\n  return y\n return g",
        "def f():\n z = 1\n def g(x=lambda y: y):\n  return y\n return g",
    ),
    "a class does not see its own name in a method": (
        "def f():\n a = 1\n class C:\n  a = 2\n  def g(self):\n   return a\n return C",
        "def f():\n b = 1\n class C:\n  a = 2\n  def g(self):\n   return a\n return C",
    ),
    "a comprehension's name outside it": (
        "def f(xs):\n y = [x for x in xs]\n return x",
        "def f(xs):\n y = [z for z in xs]\n return z",
    ),
    "a walrus at the top": ("[(a := x) for x in y]", "[(b := x) for x in y]"),
    "locals": ("def f():\n x = 1\n return locals()", "def f():\n y = 1\n return locals()"),
    "locals of an inner function": (
        "def f():\n x = 1\n def g():\n  x\n  return locals()\n return g",
        "def f():\n y = 1\n def g():\n  y\n  return locals()\n return g",
    ),
    "eval": ("def f():\n x = 1\n return eval('x')", "def f():\n y = 1\n return eval('x')"),
    "exec by another name": ("def f():\n e = exec\n x = 1\n e('x')", "def f():\n e = exec\n y = 1\n e('x')"),
    "a query of text": ("def f(t):\n x = 1\n return t.query('@x')", "def f(t):\n y = 1\n return t.query('@x')"),
    "global": ("def f():\n global x\n x = 1", "def f():\n global y\n y = 1"),
    "nonlocal": (
        "def f():\n x = 1\n def g():\n  nonlocal x\n  x = 2\n g()\n return x",
        "def f():\n x = 1\n def g():\n  x = 2\n g()\n return x",
    ),
    "an f-string that says the name": ("def f():\n x = 1\n return f'{x=}'", "def f():\n y = 1\n return f'{y=}'"),
    "a name that is mangled": (
        "class C:\n def f(self):\n  __x = 1\n  return __x",
        "class C:\n def f(self):\n  __y = 1\n  return __y",
    ),
    "a module by its own name": (
        "def f():\n import json\n return json",
        "def f():\n import pickle\n return pickle",
    ),
    "whether a name is a local at all": ("def f():\n x: int\n return x", "def f():\n return x"),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME.keys())
def test_what_does_the_same_is_the_same(one, other):
    assert digest(one) == digest(other)


@pytest.mark.parametrize(("one", "other"), OTHER.values(), ids=OTHER.keys())
def test_what_may_do_something_else_is_another(one, other):
    assert digest(one) != digest(other)


class Rename(ast.NodeTransformer):
    """Call every name that Python's own compiler takes for a plain local of one function otherwise."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def visit_Name(self, node):
        return ast.copy_location(ast.Name(self.names.get(node.id, node.id), node.ctx), node)


FILES = sorted(path for path in Path(str(sparse_coding.__file__)).parent.rglob("*.py"))


def functions(path: Path) -> list[ast.FunctionDef]:
    """Those with locals that need no other kind of scope to be understood: by the compiler, not by what is tested."""
    return [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        and not any(isinstance(each, ast.Nonlocal) for each in ast.walk(node))
        and plain_locals(node)
    ]


def plain_locals(node: ast.FunctionDef) -> list[str]:
    alone = ast.Module([ast.FunctionDef(**{name: getattr(node, name, []) for name in node._fields})], [])
    alone.body[0].decorator_list = []  # type: ignore[attr-defined]
    text = ast.unparse(ast.fix_missing_locations(alone))
    space: dict = {}
    exec(
        compile(f"from __future__ import annotations\ndef outer():\n{textwrap.indent(text, ' ')}\n", "x", "exec"), space
    )
    code = next(each for each in space["outer"].__code__.co_consts if inspect.iscode(each))
    inner = [each for each in code.co_consts if inspect.iscode(each)]
    n_arguments = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 4) + bool(code.co_flags & 8)
    imports = [each for each in ast.walk(node) if isinstance(each, ast.Import | ast.ImportFrom)]
    imported = {alias.asname or alias.name.partition(".")[0] for each in imports for alias in each.names}
    names = [each for each in code.co_varnames[n_arguments:] if each.isidentifier() and each not in imported]
    caught = {each.name for each in ast.walk(node) if isinstance(each, ast.ExceptHandler)}
    return [] if inner else [each for each in names if each not in caught]


CHOSEN = [(path, node) for path in FILES for node in functions(path)]


@given(st.sampled_from(CHOSEN), st.randoms())
def test_the_locals_of_any_function_of_this_package_may_be_renamed(chosen, random):
    path, node = chosen
    names = plain_locals(node)
    before = ast.Module([node], [])
    others = [f"other{index}" for index in range(len(names))]
    random.shuffle(others)
    after = Rename(dict(zip(names, others, strict=True))).visit(ast.parse(ast.unparse(before)))
    are_free = bool(scopes.renamed(before))  # nothing in it asks by name
    if are_free:
        assert canonical.digest(syntax.plain(after)) == canonical.digest(syntax.plain(before)), path
    two = Rename(dict.fromkeys(names, "same")).visit(ast.parse(ast.unparse(before)))
    is_same = canonical.digest(syntax.plain(two)) == canonical.digest(syntax.plain(before))
    assert is_same == (are_free and len(names) == 1)


def test_nearly_all_functions_may_be_renamed():
    assert len(CHOSEN) > 300
    held = [node.name for _, node in CHOSEN if not scopes.renamed(ast.Module([node], []))]
    assert len(held) < 0.05 * len(CHOSEN), held
