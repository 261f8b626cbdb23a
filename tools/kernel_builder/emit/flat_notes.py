"""What a walk over a statement notes for the rules: roles, shown values, assignments.

The names themselves and their scopes are `flat_scopes`' business, which builds on this.
"""

import ast
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Final

from kernel_builder.emit.flat_units import ANY_PLACE, Unit

_ITERATING: Final = frozenset(
    {"list", "tuple", "set", "frozenset", "sorted", "len", "iter", "enumerate", "zip"}
    | {"sum", "max", "min", "reversed", "any", "all"}
)
# Calls that look at a class or its attributes and hand no class on.
_ASKING: Final = frozenset(
    {"suppress", "fields", "is_dataclass", "hasattr", "callable", "getattr", "setattr"}
    | {"delattr"}
)
_SHOWING: Final = frozenset(
    {"print", "str", "repr", "format", "ascii", "pprint", "pformat", "pp", "dumps"}
    | {"dump", "savetxt"}
)
_SHOWING_METHODS: Final = frozenset(
    {"format", "debug", "info", "warn", "warning", "error", "exception", "critical"}
    | {
        "fatal",
        "log",
        "pprint",
        "pformat",
        "pp",
        "dump",
        "dumps",
        "write",
        "writelines",
    }
    | {"writerow", "writerows", "substitute", "safe_substitute", "set_description"}
    | {"set_postfix", "savetxt", "add_text"}
)
# Methods that write out the object they are called on.
_WRITING_METHODS: Final = frozenset(
    {"to_csv", "to_html", "to_json", "to_latex", "to_markdown", "to_string"}
)
_ASKING_TYPES: Final = frozenset({"isinstance", "issubclass", "cast"})
# Methods that put what they are given into the object they are called on.
_PUTTING: Final = frozenset(
    {"add", "append", "appendleft", "extend", "extendleft", "insert", "put", "push"}
    | {"put_nowait", "setdefault", "update", "heappush", "send"}
)


# Parts of nodes that hold no names and no values, whatever the node.
_EMPTY: Final = frozenset({"ctx", "op", "ops", "kind", "type_comment", "conversion"})
_FIELDS: dict[type, tuple[str, ...]] = {}
# What a part of a node may be that is no node.
_PLAIN: Final = frozenset(
    {str, int, float, complex, bytes, bool, type(None), type(...)}
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
        kind = type(node)
        if kind not in _FIELDS:
            _FIELDS[kind] = tuple(n for n in node._fields if n not in _EMPTY)
        visit = self.visit
        for name in _FIELDS[kind]:
            value: Any = getattr(node, name, None)
            if value.__class__ is list:
                for item in value:
                    if item.__class__ not in _PLAIN:
                        visit(item)
            elif value.__class__ not in _PLAIN:
                visit(value)

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
        given = [*node.args, *(item.value for item in node.keywords)]
        if isinstance(node.func, ast.Name):
            self._call_of_name(node, node.func.id)
            if node.func.id in _SHOWING:
                self.show(*node.args)
        elif isinstance(node.func, ast.Attribute):
            if node.func.attr in _SHOWING_METHODS:
                self.show(*given)
            elif node.func.attr in _WRITING_METHODS:
                self.show(node.func.value)
            elif node.func.attr in _PUTTING:
                for value in given:
                    self.assign(node.func.value, value)
            elif node.func.attr == "__new__":
                for value in node.args:
                    self.role(value, "call")
            given.append(node.func.value)
        self._handed_over(node, given)
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
        elif name == "setattr" and len(arguments) == 3:
            named = arguments[1].value if isinstance(arguments[1], ast.Constant) else ""
            values = self.unit.attributes_set.setdefault(str(named), [])
            values.append(arguments[2])
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

    def _handed_over(self, node: ast.Call, given: list[ast.expr]) -> None:
        """Note functions that a call may run over the other values it is given."""
        asks = isinstance(node.func, ast.Name) and node.func.id in _ASKING_TYPES
        for function in given:
            if isinstance(function, ast.Name) and function.id in _SHOWING and not asks:
                self.show(*(value for value in given if value is not function))
            elif isinstance(function, ast.Lambda):
                others = [value for value in given if value is not function]
                for argument in ast.walk(function.args):
                    if isinstance(argument, ast.arg):
                        self.unit.assigned.setdefault(argument.arg, []).extend(others)

    def show(self, *nodes: ast.expr) -> None:
        """Note expressions that become text for people."""
        self.unit.shown.extend(nodes)

    def formatted(self, node: ast.FormattedValue) -> None:
        """`{value}` in an f-string."""
        self.show(node.value)
        self.children(node)

    def operation(self, node: ast.BinOp) -> None:
        """`text % values` shows its values."""
        if isinstance(node.op, ast.Mod):
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
            if isinstance(value, ast.Lambda):
                self._of_lambda(target.id, value.args)
        elif isinstance(target, ast.Attribute):
            self.unit.attributes_set.setdefault(target.attr, []).append(value)
        elif isinstance(target, ast.Starred | ast.Subscript):
            self.assign(target.value, value)
        elif isinstance(target, ast.Tuple | ast.List):
            parts = value.elts if isinstance(value, ast.Tuple | ast.List) else []
            same = len(parts) == len(target.elts)
            for number, item in enumerate(target.elts):
                self.assign(item, parts[number] if same else value)

    def _of_lambda(self, function: str, args: ast.arguments) -> None:
        for number, argument in enumerate([*args.posonlyargs, *args.args]):
            places = self.unit.parameters.setdefault(argument.arg, [])
            places.append((function, number))
        for several in (args.vararg, args.kwarg, *args.kwonlyargs):
            if several is not None:
                places = self.unit.parameters.setdefault(several.arg, [])
                places.append((function, ANY_PLACE))

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
        if id(node.value) not in self.roles:  # as `base` or `call`, as a whole
            self.role(node.value, "subscript")
        self.children(node)

    def raised(self, node: ast.Raise) -> None:
        """`raise error`."""
        self.role(node.exc, "raise")
        self.role(node.cause, "raise")
        self.unit.raised.extend(e for e in (node.exc, node.cause) if e is not None)
        self.children(node)

    def asserted(self, node: ast.Assert) -> None:
        """`assert test, message`."""
        if node.msg is not None:
            self.unit.raised.append(node.msg)
        self.children(node)

    def matched(self, node: ast.Match) -> None:
        """`match value:`; what its patterns capture is the value or a part of it."""
        for case in node.cases:
            attributes = {
                name
                for item in ast.walk(case.pattern)
                if isinstance(item, ast.MatchClass)
                for name in (*item.kwd_attrs, *(["__dict__"] if item.patterns else []))
            }
            parts = [
                ast.copy_location(ast.Attribute(node.subject, name, ast.Load()), node)
                for name in sorted(attributes)
            ]
            for item in ast.walk(case.pattern):
                name = getattr(item, "rest", None) or getattr(item, "name", None)
                if isinstance(name, str):
                    places = self.unit.assigned.setdefault(name, [])
                    places += [node.subject, *parts]
        self.children(node)
