"""Whether a module's top-level statement does nothing but define.

Only then does it not matter when it runs. It may be left out, where nobody needs it, if
nothing can take note of it (a decorator, a base class, a metaclass) and if it cannot
fail: a module that fails when it is imported must go on failing.
"""

import ast
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from kernel_builder.emit.flat_pure import (
    BUILTIN_BASES,
    BUILTIN_NAMES,
    CALLED_BACK,
    PURE_BASE_FAMILIES,
    PURE_BASES,
    PURE_BUILTIN_DECORATORS,
    PURE_BUILTINS,
    PURE_CALLS,
    PURE_DECORATORS,
    PURE_FAMILIES,
    PURE_METHODS,
)
from kernel_builder.emit.flat_tables import Table, Tables, Target
from kernel_builder.emit.flat_types import (
    bound,
    is_known_type,
    is_number,
    is_plain_number,
    is_whole,
    may_join,
    takes_types,
)
from kernel_builder.emit.flat_units import Unit
from kernel_builder.read.project import KIT


class Verdict(NamedTuple):
    """`work` names a part that runs code at import time; `keep` forbids leaving out."""

    work: tuple[ast.AST, str] | None
    keep: bool


def judge(tables: Tables, table: Table, unit: Unit) -> Verdict:
    """Judge one top-level statement of a module."""
    judging = _Judging(tables, table, unit)
    work = next(iter(judging.statement(unit.node)), None)
    return Verdict(work, judging.keep)


Problem = tuple[ast.AST, str]


class _Judging:
    def __init__(self, tables: Tables, table: Table, unit: Unit) -> None:
        self.tables = tables
        self.table = table
        self.unit = unit
        self.keep = False
        # The kit's own modules are imported by its tests: they do not fail.
        self.trusted = table.module.name.startswith(f"{KIT}.")
        self.postponed = table.postpones_annotations

    def risk(self) -> None:
        """Note that the statement may fail, so that it is never left out."""
        if not self.trusted:
            self.keep = True

    # -- statements

    def statement(self, node: ast.stmt) -> Iterator[Problem]:
        method = _STATEMENTS.get(type(node))
        if method is None:
            yield node, "this statement runs when the module is imported"
        else:
            yield from method(self, node)

    def block(self, nodes: list[ast.stmt]) -> Iterator[Problem]:
        for node in nodes:
            yield from self.statement(node)

    def nothing(self, node: ast.stmt) -> Iterator[Problem]:
        yield from ()

    def expression(self, node: ast.Expr) -> Iterator[Problem]:
        if not isinstance(node.value, ast.Constant):
            yield node, "this expression is evaluated when the module is imported"

    def assign(self, node: ast.Assign) -> Iterator[Problem]:
        for target in node.targets:
            if not isinstance(target, ast.Name):
                self.risk()  # it may be given too few values, or too many
            yield from self.target(target)
        yield from self.pure(node.value)

    def annotated(self, node: ast.AnnAssign) -> Iterator[Problem]:
        yield from self.target(node.target)
        yield from self.annotation(node.annotation)
        if node.value is not None:
            yield from self.pure(node.value)

    def annotation(self, node: ast.expr | None) -> Iterator[Problem]:
        if node is None or self.postponed or isinstance(node, ast.Constant):
            return
        if isinstance(node, ast.Name | ast.Attribute):
            if self.trusted:
                return
            self.readable(node)
            target = self.target_of(node)
            if isinstance(node, ast.Attribute) and not is_known_type(target):
                self.risk()
        elif isinstance(node, ast.Subscript):
            if not self.trusted and not takes_types(self.target_of(node.value), node):
                self.risk()
            yield from self.annotation(node.value)
            yield from self.annotation(node.slice)
        elif isinstance(node, ast.Tuple | ast.List):
            for item in node.elts:
                yield from self.annotation(item)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            if not all(map(may_join, (node.left, node.right))):
                self.risk()
            yield from self.annotation(node.left)
            yield from self.annotation(node.right)
        else:
            yield from self.pure(node)

    def augmented(self, node: ast.AugAssign) -> Iterator[Problem]:
        self.risk()
        yield from self.target(node.target)
        yield from self.pure(node.value)

    def target(self, node: ast.expr) -> Iterator[Problem]:
        if isinstance(node, ast.Tuple | ast.List):
            for item in node.elts:
                yield from self.target(item)
        elif isinstance(node, ast.Starred):
            yield from self.target(node.value)
        elif not isinstance(node, ast.Name):
            yield node, "this assignment changes an object when the module is imported"

    def condition(self, node: ast.If) -> Iterator[Problem]:
        yield from self.pure(node.test)
        yield from self.block([*node.body, *node.orelse])

    def attempt(self, node: ast.Try) -> Iterator[Problem]:
        yield from self.block(node.body)
        for handler in node.handlers:
            yield from self.block(handler.body)
        yield from self.block([*node.orelse, *node.finalbody])

    def function(self, node: ast.FunctionDef) -> Iterator[Problem]:
        yield from self.decorators(node.decorator_list)
        defaults = [item for item in node.args.kw_defaults if item is not None]
        for value in (*node.args.defaults, *defaults):
            yield from self.pure(value)
        given = node.args
        for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs):
            yield from self.annotation(argument.annotation)
        for rest in (given.vararg, given.kwarg):
            yield from self.annotation(rest.annotation if rest else None)
        yield from self.annotation(node.returns)

    def class_(self, node: ast.ClassDef) -> Iterator[Problem]:
        if node.decorator_list or node.keywords or len(node.bases) > 1:
            self.risk()
        yield from self.decorators(node.decorator_list)
        slots = ("__slots__", "__set_name__", "__qualname__", "__classcell__")
        for item in node.body:
            if isinstance(item, ast.Assign | ast.AnnAssign) and any(
                name in slots for name in bound(item)
            ):
                self.risk()
        for base in node.bases:
            risky = self.keep
            yield from self.annotation(base)
            target = self.target_of(base)
            if target is not None and target.name in PURE_BASES:
                self.keep = risky
            self.base(base)
        for keyword in node.keywords:
            yield from self.pure(keyword.value)
            target = self.target_of(keyword.value)
            if target != Target("ext", "", "abc.ABCMeta"):
                self.keep = True
        yield from self.block(node.body)

    def decorators(self, nodes: list[ast.expr]) -> Iterator[Problem]:
        for node in nodes:
            called = node.func if isinstance(node, ast.Call) else node
            if isinstance(node, ast.Call):
                self.risk()  # its arguments may be refused
                for value in (*node.args, *(item.value for item in node.keywords)):
                    yield from self.pure(value)
            if not self.known_decorator(called):
                self.keep = True

    def known_decorator(self, node: ast.expr) -> bool:
        return is_known_decorator(self.tables, self.table, node)

    def base(self, node: ast.expr) -> None:
        """A base may note its subclasses: such a class is never left out."""
        if isinstance(node, ast.Subscript):
            node = node.value
        if isinstance(node, ast.Call):
            node = node.func
        if isinstance(node, ast.Name) and self.is_builtin(node.id):
            if node.id not in BUILTIN_BASES:
                self.risk()
            return
        target = self.target_of(node)
        if target is None:
            self.keep = True
        elif target.kind == "own":
            self.risk()  # as a base it may be refused: an enum, a final class
            self.keep = self.keep or self.notes_subclasses(target)
        elif target.name not in PURE_BASES:
            self.risk()
            self.keep = self.keep or not target.name.startswith(PURE_BASE_FAMILIES)

    def notes_subclasses(self, target: Target) -> bool:
        table = self.tables.by_name[target.module]
        for binding in table.bindings.get(target.name, ()):
            node = binding.node
            if not isinstance(node, ast.ClassDef):
                return True
            for item in node.body:
                if getattr(item, "name", "") == "__init_subclass__":
                    return True
            inner = _Judging(self.tables, table, binding.unit)
            inner.trusted = True  # only what notes its subclasses matters here
            for _ in inner.class_(node):
                pass
            if inner.keep:
                return True
        return False

    # -- expressions

    def pure(self, node: ast.expr) -> Iterator[Problem]:
        if isinstance(node, ast.Call):
            yield from self.call(node)
        elif isinstance(node, ast.Lambda):
            for value in (*node.args.defaults, *node.args.kw_defaults):
                if value is not None:
                    yield from self.pure(value)
        elif isinstance(node, _WORK):
            yield node, "this expression runs code when the module is imported"
        else:
            self.weigh(node)
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    yield from self.pure(child)
                elif isinstance(child, ast.comprehension):
                    for part in (child.iter, *child.ifs):
                        yield from self.pure(part)

    def weigh(self, node: ast.expr) -> None:
        """Note what may fail: nearly everything but constants in containers."""
        if isinstance(node, ast.Name):
            self.readable(node)
        elif isinstance(node, ast.Set | ast.Dict):
            keys = node.elts if isinstance(node, ast.Set) else node.keys
            if not all(isinstance(key, ast.Constant) for key in keys):
                self.risk()
        elif isinstance(node, ast.BinOp):
            numbers = is_number(node.left) and is_number(node.right)
            divides = isinstance(node.op, ast.Div | ast.FloorDiv | ast.Mod | ast.Pow)
            adds = isinstance(node.op, ast.Add | ast.Sub | ast.Mult)
            if (
                not numbers
                or not (adds or divides)
                or (divides and not (is_plain_number(node.right) and is_whole(node)))
            ):
                self.risk()
        elif isinstance(node, ast.UnaryOp):
            if not is_number(node.operand) or isinstance(node.op, ast.Invert):
                self.risk()
        elif not isinstance(node, ast.Constant | ast.Tuple | ast.List):
            self.risk()

    def readable(self, node: ast.expr) -> None:
        """Note a name that may not be there yet, or not at all."""
        while isinstance(node, ast.Attribute):
            node = node.value
        if not isinstance(node, ast.Name):
            return self.risk()
        bindings = self.table.bindings.get(node.id)
        if not bindings:
            if node.id not in BUILTIN_NAMES:
                self.risk()
        elif all(item.unit.first >= self.unit.first for item in bindings):
            self.risk()
        return None

    def call(self, node: ast.Call) -> Iterator[Problem]:
        if not self.pure_callee(node):
            yield (
                node,
                f"`{_text(node.func)}(...)` is called when the module is imported",
            )
        elif self.target_of(node.func) not in _SAFE_CALLS:
            self.risk()
        for value in (*node.args, *(item.value for item in node.keywords)):
            yield from self.pure(value)

    def pure_callee(self, node: ast.Call) -> bool:
        function = node.func
        if isinstance(function, ast.Name) and self.is_builtin(function.id):
            back = function.id in CALLED_BACK
            return function.id in PURE_BUILTINS and not (back and node.keywords)
        target = self.target_of(function)
        if target is not None and target.kind == "ext":
            return target.name in PURE_CALLS or target.name.startswith(PURE_FAMILIES)
        if isinstance(function, ast.Attribute) and function.attr in PURE_METHODS:
            return self.plain_value(function.value)
        return False

    def plain_value(self, node: ast.expr) -> bool:
        """A value of a built-in type: its methods run nothing of anybody else's."""
        if isinstance(node, ast.Constant | ast.JoinedStr | ast.Dict | ast.List):
            return True
        if isinstance(node, ast.Call):
            return self.pure_callee(node)
        if isinstance(node, ast.Name):
            target = self.tables.resolve(self.table.module.name, node.id)
            return target is None or target.kind == "own"
        return False

    def is_builtin(self, name: str) -> bool:
        return name in BUILTIN_NAMES and name not in self.table.bindings

    def target_of(self, node: ast.expr) -> Target | None:
        return dotted_target(self.tables, self.table, node)


def is_known_decorator(tables: Tables, table: Table, node: ast.expr) -> bool:
    """Say whether a decorator is known to keep nothing of what it decorates."""
    if isinstance(node, ast.Name) and node.id not in table.bindings:
        return node.id in PURE_BUILTIN_DECORATORS
    if isinstance(node, ast.Attribute) and node.attr in ("setter", "deleter"):
        return isinstance(node.value, ast.Name)
    target = dotted_target(tables, table, node)
    if target is None or target.kind != "ext":
        return False
    return target.name in PURE_DECORATORS


def dotted_target(tables: Tables, table: Table, node: ast.expr) -> Target | None:
    """Say what `a` or `a.b.c` stands for, as far as imports tell."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    target = tables.resolve(table.module.name, node.id)
    if target is None or not names:
        return target
    if target.kind == "ext":
        return Target("ext", "", ".".join([target.name, *reversed(names)]))
    return None


def _text(node: ast.expr) -> str:
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    names.append(node.id if isinstance(node, ast.Name) else "...")
    return ".".join(reversed(names))


_SAFE_CALLS: Final = (
    Target("ext", "", "dataclasses.field"),
    Target("ext", "", "typing.TypeVar"),
    Target("ext", "", "enum.auto"),
)
_WORK: Final = (ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr)
_STATEMENTS: Final[dict[type, Callable[..., Iterator[Problem]]]] = {
    ast.Import: _Judging.nothing,
    ast.ImportFrom: _Judging.nothing,
    ast.Pass: _Judging.nothing,
    ast.Expr: _Judging.expression,
    ast.Assign: _Judging.assign,
    ast.AnnAssign: _Judging.annotated,
    ast.AugAssign: _Judging.augmented,
    ast.If: _Judging.condition,
    ast.Try: _Judging.attempt,
    ast.FunctionDef: _Judging.function,
    ast.AsyncFunctionDef: _Judging.function,
    ast.ClassDef: _Judging.class_,
}
if hasattr(ast, "TypeAlias"):  # Python 3.12
    _STATEMENTS[ast.TypeAlias] = _Judging.nothing
