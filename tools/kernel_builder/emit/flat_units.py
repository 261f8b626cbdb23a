"""What is known about each top-level statement of a module."""

import ast
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple

# Roles in which a class may be named without becoming a value that could be printed.
CLASS_SAFE_ROLES: Final = frozenset(
    {"call", "base", "annotation", "except", "test", "attr", "raise", "subscript"}
    | {"iterate", "string"}
)

ANY_PLACE: Final = -1


class Use(NamedTuple):
    """One reading of a global name."""

    name: str
    node: ast.AST
    role: str
    in_function: bool


@dataclass(eq=False)
class Unit:
    """One top-level statement.

    `first` and `last` are its lines, decorators included. `binds` are the module names
    it binds when it runs, each with the node that binds it; `global_binds` those that a
    function in it binds through `global`. `shown` are expressions that become text for
    people, `raised` those that become exceptions; `caught` are names that hold one.
    `parameters` are each name's places in functions (function, number; `ANY_PLACE` of
    those that take several). `assigned` and `attributes_set` are the
    values that names and attributes receive anywhere in it, whatever the scope.
    """

    node: ast.stmt
    first: int
    last: int
    binds: dict[str, ast.AST] = field(default_factory=dict)
    global_binds: dict[str, ast.AST] = field(default_factory=dict)
    uses: list[Use] = field(default_factory=list)
    attributes: list[ast.Attribute] = field(default_factory=list)
    strings: list[ast.Constant] = field(default_factory=list)
    imports: list[ast.Import | ast.ImportFrom] = field(default_factory=list)
    class_values: list[ast.expr] = field(default_factory=list)
    calls: list[ast.Call] = field(default_factory=list)
    shown: list[ast.expr] = field(default_factory=list)
    raised: list[ast.expr] = field(default_factory=list)
    caught: set[str] = field(default_factory=set)
    assigned: dict[str, list[ast.expr]] = field(default_factory=dict)
    attributes_set: dict[str, list[ast.expr]] = field(default_factory=dict)
    parameters: dict[str, list[tuple[str, int]]] = field(default_factory=dict)

    @cached_property
    def names(self) -> set[str]:
        """The global names it reads."""
        return {use.name for use in self.uses}


def statement_lines(node: ast.stmt) -> tuple[int, int]:
    """Give the first line (decorators included) and the last line of a statement."""
    first = node.lineno
    for decorator in getattr(node, "decorator_list", ()):
        first = min(first, decorator.lineno)
    return first, node.end_lineno or node.lineno
