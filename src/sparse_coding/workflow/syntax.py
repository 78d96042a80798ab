"""A syntax tree as a JSON value that is equal for equal code: what for people only, or for type checkers, is left out.

Free are comments, docstrings, layout, names of locals, and annotations of arguments, results and locals. Annotations
count in classes and modules, where code reads them; so do those that a decorator may read, and that of the `settings`
of a step's `run`, which says as what they are read.
"""

import ast
from typing import Any

from sparse_coding.workflow import scopes

_SKIPPED = ("ctx", "kind", "type_comment")


def plain(tree: ast.AST) -> Any:
    """The JSON value of a tree."""
    return _Plain(scopes.renamed(tree)).of(tree, in_function=False)


class _Plain:
    def __init__(self, names: scopes.Names) -> None:
        self.names = names

    def of(self, node: Any, in_function: bool) -> Any:
        """No docstrings, no positions, nothing that is empty.

        Leaving out what is empty makes trees of one text equal under Python versions that know more kinds of fields.
        """
        if isinstance(node, list):
            kept = [
                each for each in node if not (in_function and isinstance(each, ast.AnnAssign) and scopes.is_bare(each))
            ]
            return [self.of(each, in_function) for each in kept]
        if not isinstance(node, ast.AST):
            return node if isinstance(node, str | int | bool) or node is None else repr(node)
        fields = {name: getattr(node, name, None) for name in node._fields if name not in _SKIPPED}
        if id(node) in self.names:
            fields[str(scopes.name_field(node))] = self.names[id(node)]
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            fields["body"] = _without_docstring(node.body)
        if isinstance(node, ast.AnnAssign) and in_function:
            return ["Assign", {"targets": [self.of(node.target, True)]} | self._value(node)]
        if isinstance(node, scopes.FUNCTIONS):
            return self._function(node, fields, in_function)
        return self._kept(node, fields, in_function and not isinstance(node, ast.ClassDef))

    def _value(self, node: ast.AnnAssign) -> dict[str, Any]:
        return {"value": self.of(node.value, True)} if node.value is not None else {}

    def _kept(self, node: ast.AST, fields: dict[str, Any], in_function: bool) -> Any:
        kept = {
            name: self.of(value, in_function) for name, value in fields.items() if value is not None and value != []
        }
        return [type(node).__name__, kept]

    def _function(self, node: Any, fields: dict[str, Any], in_function: bool) -> Any:
        if not scopes.reads_annotations(node):
            del fields["returns"]
        name, kept = self._kept(node, {each: value for each, value in fields.items() if each != "body"}, in_function)
        if not scopes.reads_annotations(node):
            _drop_annotations(kept["args"], but="settings" if node.name == "run" else "")
        return [name, kept | {"body": self.of(fields["body"], True)}]


def _drop_annotations(arguments: Any, but: str) -> None:
    """Of the plain form of a function's arguments. but: the one argument that keeps its own."""
    for value in arguments[1].values():
        for each in value if value and isinstance(value[0], list) else [value]:
            if each[0] == "arg" and each[1]["arg"] != but:
                each[1].pop("annotation", None)


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    documented = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return body[1:] if documented else body
