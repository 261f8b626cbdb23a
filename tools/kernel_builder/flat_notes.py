"""What a walk over a statement notes for the rules: roles, shown values, assignments.

The names themselves and their scopes are `flat_scopes`' business, which builds on this.
"""

import ast
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Final

from kernel_builder.flat_units import Unit

_ITERATING: Final = frozenset(
    {"list", "tuple", "set", "frozenset", "sorted", "len", "iter", "enumerate", "zip"}
    | {"sum", "max", "min", "reversed", "any", "all"}
)
# Calls that look at a class or its attributes and hand no class on.
_ASKING: Final = frozenset(
    {"suppress", "fields", "is_dataclass", "hasattr", "callable", "getattr", "setattr"}
    | {"delattr"}
)
_SHOWING: Final = frozenset({"print", "str", "repr", "format", "ascii"})
_SHOWING_METHODS: Final = frozenset(
    {"format", "debug", "info", "warning", "error", "critical", "log", "pprint"}
    | {"pformat", "dumps", "write"}
)


class Notes(ABC):
    """The part of a walk that notes how values are used.

    `roles` says, by identity, in what role a name is read; `safe` holds expressions for
    a class that are used in a way that shows nothing.
    """

    unit: Unit
    class_name: str

    def __init__(self) -> None:
        self.roles: dict[int, str] = {}
        self.safe: set[int] = set()

    @abstractmethod
    def visit(self, node: ast.AST) -> None:
        """Walk over one node."""

    def children(self, node: ast.AST) -> None:
        """Walk over the parts of a node."""
        for name in node._fields:
            value = getattr(node, name, None)
            if type(value) is list:
                for item in value:
                    if isinstance(item, ast.AST):
                        self.visit(item)
            elif isinstance(value, ast.AST):
                self.visit(value)

    def all(self, nodes: Iterable[ast.AST | None]) -> None:
        """Walk over several nodes."""
        for node in nodes:
            if node is not None:
                self.visit(node)

    def role(self, node: ast.AST | None, role: str) -> None:
        """Say in what role `node` is read: the names in it carry no value onwards."""
        if isinstance(node, ast.Name):
            self.roles[id(node)] = role
        elif isinstance(node, ast.Tuple | ast.List | ast.Set):
            for item in node.elts:
                self.role(item, role)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            self.role(node.left, role)
            self.role(node.right, role)
        elif isinstance(node, ast.Subscript):
            self.role(node.value, role)
        elif node is not None:
            self.safe.add(id(node))

    def attribute(self, node: ast.Attribute) -> None:
        """`value.name`."""
        self.unit.attributes.append(node)
        self.role(node.value, "attr")
        if node.attr == "__class__" and id(node) not in self.safe:
            self.unit.class_values.append(node)
        self.visit(node.value)

    def call(self, node: ast.Call) -> None:
        """`function(...)`."""
        self.unit.calls.append(node)
        self.role(node.func, "call")
        if isinstance(node.func, ast.Name):
            self._call_of_name(node, node.func.id)
            if node.func.id in _SHOWING:
                self.show(*node.args)
        elif (
            isinstance(node.func, ast.Attribute) and node.func.attr in _SHOWING_METHODS
        ):
            self.show(*node.args, *(item.value for item in node.keywords))
        for keyword in node.keywords:
            if keyword.arg == "default_factory":
                self.role(keyword.value, "call")
        self.children(node)

    def _call_of_name(self, node: ast.Call, name: str) -> None:
        arguments = node.args
        if name in ("isinstance", "issubclass") and len(arguments) == 2:
            self.role(arguments[0] if name == "issubclass" else None, "test")
            self.role(arguments[1], "test")
        elif name == "super" and arguments:
            self.role(arguments[0], "test")
        elif name == "type" and len(arguments) == 1 and id(node) not in self.safe:
            self.unit.class_values.append(node)
        elif name == "map" and arguments:
            if isinstance(arguments[0], ast.Name) and arguments[0].id in _SHOWING:
                self.show(*arguments[1:])
        elif name == "cast" and arguments:
            self.role(arguments[0], "annotation")
        elif name in _ASKING:
            for argument in arguments:
                if isinstance(argument, ast.Name):
                    self.role(argument, "test")
        elif name in _ITERATING:  # the members of an enum
            for argument in arguments:
                if isinstance(argument, ast.Name):
                    self.role(argument, "iterate")

    def show(self, *nodes: ast.expr) -> None:
        """Note expressions that become text for people."""
        self.unit.shown.extend((node, self.class_name) for node in nodes)

    def formatted(self, node: ast.FormattedValue) -> None:
        """`{value}` in an f-string."""
        self.show(node.value)
        self.children(node)

    def operation(self, node: ast.BinOp) -> None:
        """`text % values` shows its values."""
        if isinstance(node.op, ast.Mod) and isinstance(
            node.left, ast.Constant | ast.JoinedStr
        ):
            self.show(node.right)
        self.children(node)

    def assignment(self, node: ast.Assign) -> None:
        """`target = value`."""
        for target in node.targets:
            self.assign(target, node.value)
        self.children(node)

    def assign(self, target: ast.expr, value: ast.expr) -> None:
        """Note what a name or an attribute may hold."""
        if isinstance(target, ast.Name):
            self.unit.assigned.setdefault(target.id, []).append(value)
        elif isinstance(target, ast.Attribute):
            self.unit.attributes_set.setdefault(target.attr, []).append(value)
        elif isinstance(target, ast.Starred):
            self.assign(target.value, value)
        elif isinstance(target, ast.Tuple | ast.List):
            parts = value.elts if isinstance(value, ast.Tuple | ast.List) else []
            same = len(parts) == len(target.elts)
            for number, item in enumerate(target.elts):
                self.assign(item, parts[number] if same else value)

    def with_(self, node: ast.With | ast.AsyncWith) -> None:
        """`with value as target`."""
        for item in node.items:
            if item.optional_vars is not None:
                self.assign(item.optional_vars, item.context_expr)
        self.children(node)

    def loop(self, node: ast.For | ast.AsyncFor) -> None:
        """`for target in value`."""
        if isinstance(node.iter, ast.Name):
            self.role(node.iter, "iterate")
        self.assign(node.target, node.iter)
        self.children(node)

    def compare(self, node: ast.Compare) -> None:
        """`left is right` and the like."""
        for operand in (node.left, *node.comparators):
            self.role(operand, "test")
        self.children(node)

    def subscript(self, node: ast.Subscript) -> None:
        """`value[index]`."""
        self.role(node.value, "subscript")
        self.children(node)

    def raised(self, node: ast.Raise) -> None:
        """`raise error`."""
        self.role(node.exc, "raise")
        self.role(node.cause, "raise")
        self.children(node)
