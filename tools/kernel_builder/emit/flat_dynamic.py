"""Rules against code that reaches a module's name or place in a roundabout way.

Most of them hold where modules are joined to a kernel: log records and warnings that
know their place, classes made while the program runs, attribute names that only running
code knows, generic aliases, pickles inside arrays, the path of the running file.
"""

import ast
import re
from collections.abc import Iterator
from typing import Final

from kernel_builder.emit.flat_inert import dotted_target, is_known_decorator
from kernel_builder.emit.flat_reach import Plan
from kernel_builder.emit.flat_shown import Shown
from kernel_builder.emit.flat_tables import Refusal, Table, refuse
from kernel_builder.emit.flat_units import Unit
from kernel_builder.read.modules import MAIN

_ATTRIBUTES: Final = frozenset(
    {"mro", "findCaller", "__orig_bases__", "__orig_class__", "__type_params__"}
    | {"__value__", "__reduce__", "__reduce_ex__", "__dataclass_fields__", "__self__"}
    | {"__func__", "__objclass__", "__parameters__", "__args__", "__origin__"}
    | {"__bound__", "__constraints__", "__supertype__", "__forward_arg__", "registry"}
)
_NAMES: Final = frozenset(
    {"contextlib.redirect_stderr", "dataclasses.make_dataclass"}
    | {"logging.config.fileConfig"}
    | {"enum.global_enum", "enum.global_enum_repr", "enum.global_str", "sys.orig_argv"}
    | {"logging.LogRecord", "logging.makeLogRecord", "logging.setLogRecordFactory"}
    | {"logging.setLoggerClass", "types.new_class", "typing.get_args", "sys.stderr"}
    | {"typing.get_origin", "typing_extensions.deprecated", "warnings.deprecated"}
)
_RECORD: Final = frozenset({"module", "lineno", "filename", "pathname", "funcName"})
_SAVING: Final = frozenset({"numpy.save", "numpy.savez", "numpy.savez_compressed"})
_CLASS_MAKERS: Final = frozenset(
    {"collections.namedtuple", "typing.NamedTuple", "typing.TypedDict"}
    | {"typing.NewType", "enum.Enum", "enum.IntEnum", "enum.StrEnum", "enum.Flag"}
    | {"enum.IntFlag"}
)
_ASKED: Final = frozenset({"getattr", "setattr", "hasattr", "delattr"})
# Such a name or a piece of one.
_PIECE: Final = re.compile(r"(?<![a-zA-Z0-9])__|__(?![a-zA-Z0-9])")
_HARMLESS: Final = frozenset(
    {"__main__", "__init__", "__name__", "__doc__", "__call__", "__len__", "__all__"}
)


def check_dynamic(
    plan: Plan, table: Table, unit: Unit, shown: Shown, logs: bool
) -> Iterator[Refusal]:
    """Find such code in one statement."""
    found = list(_arguments(plan, table, unit))
    if plan.tables.inlined:
        found += _joined(plan, table, unit, shown, logs)
    for node, message in found:
        yield refuse(
            table, node, "introspection", message, "do without it, or use embed"
        )


_Found = Iterator[tuple[ast.AST, str]]


def _joined(plan: Plan, table: Table, unit: Unit, shown: Shown, logs: bool) -> _Found:
    yield from (
        *_names(plan, table, unit),
        *_attributes(plan, unit, logs),
        *_calls(plan, table, unit, shown),
        *_classes(plan, table, unit, logs),
        *_strings(unit),
    )


def _names(plan: Plan, table: Table, unit: Unit) -> _Found:
    for node in unit.imports:
        if isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                if name in _NAMES - {"sys.stderr"}:
                    yield node, f"`{name}` shows or makes what names its module"
    for value in unit.attributes:
        target = dotted_target(plan.tables, table, value)
        name = target.name if target is not None and target.kind == "ext" else ""
        if name == "sys.stderr" and not isinstance(value.ctx, ast.Store):
            continue
        if name in _NAMES:
            yield value, f"`{name}` may show names or places of modules"
    if table.module.name != MAIN:
        for use in unit.uses:
            if use.name == "DeprecationWarning":
                yield use.node, "this warning is shown only where `__main__` causes it"


def _attributes(plan: Plan, unit: Unit, logs: bool) -> _Found:
    fields = any("fields" in table.bindings for table in plan.tables.by_name.values())
    fields = fields or any(node.attr == "fields" for node in unit.attributes)
    for node in unit.attributes:
        if node.attr in _ATTRIBUTES:
            yield node, f"`.{node.attr}` may show a class with its module's name"
        elif node.attr == "type" and fields:
            yield node, "`.type` of a dataclass field may be a class"
        elif logs and node.attr in _RECORD:
            yield node, f"`.{node.attr}` of a log record tells where a log call stands"


def _calls(plan: Plan, table: Table, unit: Unit, shown: Shown) -> _Found:
    for node in unit.calls:
        function = node.func
        target = dotted_target(plan.tables, table, function)
        name = target.name if target is not None and target.kind == "ext" else ""
        given = [*node.args, *(item.value for item in node.keywords)]
        if name in _SAVING and any(shown.shows(table, unit, item) for item in given):
            yield node, f"`{name}` may pickle an object, which names its module"
        elif name in _CLASS_MAKERS and not _at_top(unit, node):
            yield node, "a class made here would name another module"
        elif isinstance(function, ast.Attribute):
            if function.attr in ("__str__", "__format__", "__getattribute__"):
                yield node, f"`{function.attr}` is called by name"
        elif getattr(function, "id", "") == "type" and len(node.args) == 3:
            yield node, "a class made here would name another module"


def _at_top(unit: Unit, call: ast.Call) -> bool:
    """Say whether a call stands where it makes a top-level name or a base class."""
    node = unit.node
    if isinstance(node, ast.ClassDef):
        return call in node.bases
    return isinstance(node, ast.Assign | ast.AnnAssign) and node.value is call


def _classes(plan: Plan, table: Table, unit: Unit, logs: bool) -> _Found:
    node = unit.node
    if logs and isinstance(node, ast.ClassDef):
        for base in node.bases:
            target = dotted_target(plan.tables, table, base)
            if target is not None and target.name.startswith("logging."):
                yield node, "a log handler or formatter may show where a call stands"
    if table.module.name == MAIN:
        return
    for item in ast.walk(node):
        if isinstance(item, ast.ClassDef) and item is not node:
            inside = isinstance(node, ast.ClassDef) and item in node.body
            if not inside or _is_value(plan, unit, item.name):
                yield item, f"the class `{item.name}` is not at the module's top level"
    if isinstance(node, ast.ClassDef):
        for decorator in node.decorator_list:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            if not is_known_decorator(plan.tables, table, called):
                yield decorator, "this decorator may keep the class and show it"


def _is_value(plan: Plan, unit: Unit, name: str) -> bool:
    """Say whether a class in a class is more than a place to read values from."""
    if any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(unit.node)):
        return True
    for table in plan.tables.by_name.values():
        for other in plan.kept_units(table):
            owners = {id(node.value) for node in other.attributes}
            for node in other.attributes:
                if node.attr == name and id(node) not in owners:
                    return True
    return False


def _arguments(plan: Plan, table: Table, unit: Unit) -> _Found:
    """`sys.argv[0]` is the running file: another one, in another folder."""
    found = [
        node
        for node in (*unit.attributes, *(use.node for use in unit.uses))
        if isinstance(node, ast.Attribute | ast.Name)
        and dotted_target(plan.tables, table, node) == ("ext", "", "sys.argv")
    ]
    if not found:
        return
    harmless: set[int] = set()
    for node in ast.walk(unit.node):
        if isinstance(node, ast.Subscript) and _after_first(node.slice):
            harmless.add(id(node.value))
        elif isinstance(node, ast.Compare) and isinstance(node.left, ast.Constant):
            harmless.update(map(id, node.comparators))
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "len":
            harmless.update(map(id, node.args))
    for value in found:
        if id(value) not in harmless and not isinstance(value.ctx, ast.Store):
            yield value, "`sys.argv[0]` tells the place of the running file"


def _after_first(index: ast.expr) -> bool:
    place = index.lower if isinstance(index, ast.Slice) else index
    if not isinstance(place, ast.Constant) or not isinstance(place.value, int):
        return False
    return place.value > 0


def _strings(unit: Unit) -> _Found:
    for node in unit.strings:
        text = str(node.value)
        if text in _ATTRIBUTES and text != "registry" and text != "mro":
            yield node, f"the string {text!r} names something about modules"


def check_computed(plan: Plan, tables: list[Table]) -> Iterator[Refusal]:
    """Find attribute names put together from pieces with double underscores."""
    units = [(table, unit) for table in tables for unit in plan.kept_units(table)]
    asked = False
    for _, unit in units:
        for call in unit.calls:
            name = getattr(call.func, "id", "") or getattr(call.func, "attr", "")
            constant = all(isinstance(item, ast.Constant) for item in call.args[1:2])
            asked = asked or (name in _ASKED and not constant)
            asked = asked or (name in ("attrgetter", "format", "format_map"))
    if not asked:
        return
    for table, unit in units:
        docstrings = _bare_strings(unit.node)
        for node in unit.strings:
            text = str(node.value)
            if id(node) in docstrings or text in _HARMLESS:
                continue
            if _PIECE.search(text) and len(text) < 200:
                yield refuse(
                    table,
                    node,
                    "dotted-string",
                    f"the string {text[:40]!r} may be a part of an attribute's name",
                    "name the attribute, or use embed",
                )


def _bare_strings(node: ast.stmt) -> set[int]:
    return {
        id(item.value)
        for item in ast.walk(node)
        if isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant)
    }
