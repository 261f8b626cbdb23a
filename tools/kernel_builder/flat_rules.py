"""The rules a kernel must keep for the flat form to be provably the same program."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from kernel_builder.flat_inert import dotted_target, judge
from kernel_builder.flat_reach import Plan, collisions, future_names
from kernel_builder.flat_scopes import CLASS_SAFE_ROLES, Unit
from kernel_builder.flat_tables import (
    Refusal,
    Table,
    Tables,
    Target,
    import_nodes,
    is_local,
    package_of,
)
from kernel_builder.modules import MAIN, absolute_base
from kernel_builder.project import KIT

# Modules that look at code, frames, files or names: they would see one file.
_SEES: Final = "sees files, lines or module names"
_REACHES: Final = "reaches modules by name"
_PICKLES: Final = "writes module names into files"
DENIED_MODULES: Final = {
    name: reason
    for reason, names in (
        (_SEES, "inspect traceback linecache tracemalloc trace dis symtable pdb bdb"),
        (_SEES, "pydoc doctest unittest timeit cProfile profile code codeop pyclbr"),
        (_SEES, "modulefinder faulthandler"),
        (_REACHES, "importlib imp pkgutil runpy zipimport pkg_resources builtins"),
        (_REACHES, "__main__ sysconfig site"),
        (_PICKLES, "pickle cPickle _pickle dill cloudpickle joblib shelve copyreg"),
        (_PICKLES, "marshal"),
    )
    for name in names.split()
}
# Of denied modules, what is harmless.
_ALLOWED_NAMES: Final = frozenset(
    {"inspect.cleandoc", "inspect.isawaitable", "inspect.iscoroutinefunction"}
    | {"inspect.isclass", "inspect.isfunction", "pickle.UnpicklingError"}
    | {"pickle.PicklingError", "pickle.PickleError", "importlib.metadata.version"}
)
DENIED_NAMES: Final = frozenset(
    {"__import__", "breakpoint", "compile", "eval", "exec", "globals", "help"}
    | {"locals", "vars", "dir"}
)
_NEEDS_ARGUMENT: Final = frozenset({"vars", "dir"})
DENIED_ATTRIBUTES: Final = frozenset(
    {"__module__", "__globals__", "__code__", "__builtins__", "__closure__"}
    | {"__subclasses__", "__annotations__", "__traceback__", "__loader__", "__spec__"}
    | {"__file__", "__path__", "__package__", "__mro__", "__bases__", "__base__"}
    | {"_getframe", "_current_frames", "settrace", "setprofile", "excepthook"}
    | {"f_back", "f_globals", "f_code", "f_lineno", "tb_frame", "tb_lineno"}
    | {"co_filename", "co_firstlineno", "meta_path", "path_hooks", "get_type_hints"}
    | {"get_annotations", "gi_frame", "cr_frame", "showwarning", "formatwarning"}
)
_DENIED_SYS: Final = frozenset({"modules", "path"})
_DENIED_EXT: Final = frozenset(
    {"typing.get_type_hints", "sys.modules", "sys.path", "sys._getframe"}
    | {"gc.get_objects", "gc.get_referrers", "torch.jit.script", "torch.package"}
    | {"concurrent.futures.ProcessPoolExecutor", "multiprocessing.get_context"}
    | {"multiprocessing.set_start_method", "torch.multiprocessing.spawn"}
)
# Record formats that show where a log call stands.
_LOG_PLACE: Final = re.compile(
    r"(?:%\(|\{)(?:module|filename|pathname|lineno|funcName)[):}!]"
)
_DOTTED: Final = re.compile(r"[A-Za-z_]\w*(?:[.:][A-Za-z_]\w*)+")
# What `kaggle_kit` does with these was read and is tested; see tests/kit.
_TRUSTED: Final = KIT + "."


def check_rules(plan: Plan) -> list[Refusal]:
    """Give every reason why the flat form might not be the same program."""
    tables = plan.tables
    refusals: list[Refusal] = list(_circular(tables))
    refusals.extend(_entry_by_name(tables))
    refusals.extend(_futures(tables))
    refusals.extend(_late_imports(plan))
    for table in tables.by_name.values():
        refusals.extend(_imports(tables, table))
        refusals.extend(_rebinding(tables, table))
        refusals.extend(_import_time(plan, table))
        for unit in plan.kept_units(table):
            refusals.extend(_names(table, unit))
            if not table.module.name.startswith(_TRUSTED):
                refusals.extend(_looks_at_itself(plan, table, unit))
    refusals.extend(collisions(plan))
    return refusals


def _refuse(table: Table, node: ast.AST, rule: str, message: str, fix: str) -> Refusal:
    return Refusal(table.label, getattr(node, "lineno", 0), rule, message, fix)


# -- imports


def _imports(tables: Tables, table: Table) -> Iterator[Refusal]:
    for unit, node in import_nodes(table):
        if _is_star(node):
            yield _refuse(
                table,
                node,
                "star-import",
                "a star import hides which names it binds",
                "import the names that are used",
            )
        elif is_local(tables, table.module, node):
            yield from _local_import(tables, table, unit, node)


def _is_star(node: ast.Import | ast.ImportFrom) -> bool:
    return any(alias.name == "*" for alias in node.names)


def _local_import(
    tables: Tables, table: Table, unit: Unit, node: ast.Import | ast.ImportFrom
) -> Iterator[Refusal]:
    if unit.node is not node:
        yield _refuse(
            table,
            node,
            "conditional-import",
            "a first-party import that may or may not run, or runs later",
            "import at the top level of the file",
        )
        return
    for name in unit.binds:
        target = table.bindings[name][-1].target
        target = target and tables.resolve(table.module.name, name)
        if target is not None and target.kind == "module":
            yield _refuse(
                table,
                node,
                "module-object",
                f"`{name}` is a module of your own used as an object",
                f"write `from {target.name} import ...` and use the names",
            )
        elif target is not None and target.kind == "missing":
            yield _refuse(
                table,
                node,
                "missing-name",
                f"`{target.name}` cannot be found in {target.module or 'this package'}",
                "define it at the top level there, or correct the import",
            )


def _circular(tables: Tables) -> Iterator[Refusal]:
    order = {name: number for number, name in enumerate(tables.by_name)}
    for table in tables.inlined:
        own = table.module.name
        for item in table.module.imports:
            if item.context not in ("top", "guarded"):
                continue
            needed = item.loads[-1:]
            if isinstance(item.node, ast.ImportFrom):
                base = absolute_base(item.node, package_of(table.module))
                needed = (base, *item.loads[-1:])
            for name in needed:
                if name in order and order[name] >= order[own]:
                    yield _refuse(
                        table,
                        item.node,
                        "circular-import",
                        f"{own} and {name} import each other",
                        "move what both need into a third module",
                    )


def _entry_by_name(tables: Tables) -> Iterator[Refusal]:
    for table in tables.inlined:
        if table.module.path == tables.entry.module.path:
            for other in tables.by_name.values():
                for item in other.module.imports:
                    if table.module.name in item.loads:
                        yield _refuse(
                            other,
                            item.node,
                            "imports-the-kernel",
                            "the kernel is imported by name: it would run twice",
                            "move what is needed into a module of its own",
                        )


def _futures(tables: Tables) -> Iterator[Refusal]:
    """`from __future__ import annotations` holds for a whole file."""
    postponed = {
        table: "annotations" in future_names(table)
        for table in tables.by_name.values()
        if _has_annotations(table)
    }
    if len(set(postponed.values())) < 2:
        return
    for table, value in postponed.items():
        if value:
            yield _refuse(
                table,
                table.units[0].node,
                "future-annotations",
                "`from __future__ import annotations` here, but not in every file",
                "have it in all of the files or in none",
            )


def _has_annotations(table: Table) -> bool:
    for unit in table.units:
        for use in unit.uses:
            if use.role in ("annotation", "string"):
                return True
    return any(isinstance(unit.node, ast.AnnAssign) for unit in table.units)


def _late_imports(plan: Plan) -> Iterator[Refusal]:
    """Modules are joined ahead of the kernel: nothing of it may run before them."""
    tables = plan.tables
    entry = tables.entry
    earlier: ast.stmt | None = None
    for unit in entry.units:
        if unit in entry.skipped:
            continue
        node = unit.node
        if isinstance(node, ast.Import | ast.ImportFrom):
            if earlier is not None and is_local(tables, entry.module, node):
                yield _refuse(
                    entry,
                    node,
                    "late-import",
                    f"line {earlier.lineno} runs before this first-party import",
                    "move the import above it",
                )
        elif earlier is None:
            verdict = judge(tables, entry, unit)
            if verdict.work is not None or verdict.keep:
                earlier = node


# -- names


def _rebinding(tables: Tables, table: Table) -> Iterator[Refusal]:
    for name, bindings in table.bindings.items():
        targets = {binding.target for binding in bindings}
        if len(targets) > 1:
            last = bindings[-1]
            node = next((b.node for b in bindings if b.target is None), last.node)
            yield _refuse(
                table,
                node,
                "rebinding",
                f"`{name}` is imported and bound again",
                "give one of them another name",
            )
            continue
        target = tables.resolve(table.module.name, name)
        if target is None or target.kind != "own" or target.module == table.module.name:
            continue
        owner = tables.by_name[target.module]
        for binding in owner.bindings[target.name]:
            if target.name in binding.unit.global_binds:
                yield _refuse(
                    owner,
                    binding.node,
                    "global-state",
                    f"`global {target.name}` changes a name that {table.label} imports",
                    "keep the state in an object",
                )


def _names(table: Table, unit: Unit) -> Iterator[Refusal]:
    calls = (
        {
            id(call.func): call
            for call in ast.walk(unit.node)
            if isinstance(call, ast.Call)
        }
        if _suspicious(unit)
        else {}
    )
    for use in unit.uses:
        name = use.name
        if name in table.bindings:
            continue
        if name in DENIED_NAMES:
            call = calls.get(id(use.node))
            if name in _NEEDS_ARGUMENT and call is not None and call.args:
                continue
            if name == "locals" and use.in_function:
                continue
            yield _refuse(
                table,
                use.node,
                "dynamic-name",
                f"`{name}` reaches names that no reader of the text can know",
                "name what you mean",
            )
        elif _is_dunder(name) and (table.module.name != MAIN or name == "__file__"):
            yield _refuse(
                table,
                use.node,
                "module-name",
                f"`{name}` means something else in one file",
                "pass the value in as an argument, or write it out",
            )


def _suspicious(unit: Unit) -> bool:
    return any(use.name in _NEEDS_ARGUMENT for use in unit.uses)


def _is_dunder(name: str) -> bool:
    return name[:2] == "__" == name[-2:] and name not in ("__debug__", "__import__")


# -- import time


def _import_time(plan: Plan, table: Table) -> Iterator[Refusal]:
    for unit in table.units:
        verdict = plan.verdicts.get(unit)
        if verdict is not None and verdict.work is not None:
            node, message = verdict.work
            yield _refuse(
                table,
                node,
                "import-time-work",
                message,
                "move it into a function that the kernel calls",
            )
        for name in unit.binds:
            if table.module.name != MAIN and name in ("__getattr__", "__dir__"):
                yield _refuse(
                    table,
                    unit.node,
                    "module-name",
                    f"a module-level `{name}` works only in a module of its own",
                    "define the names themselves",
                )


# -- looking at oneself


def _looks_at_itself(plan: Plan, table: Table, unit: Unit) -> Iterator[Refusal]:
    yield from _denied_imports(plan, table, unit)
    yield from _denied_attributes(plan, table, unit)
    yield from _denied_strings(plan, table, unit)
    yield from _class_values(plan, table, unit)


def _denied_imports(plan: Plan, table: Table, unit: Unit) -> Iterator[Refusal]:
    for node in unit.imports:
        for dotted in _imported(node):
            root = dotted.split(".")[0]
            if root in DENIED_MODULES and dotted not in _ALLOWED_NAMES:
                if DENIED_MODULES[root] == _PICKLES and not plan.tables.inlined:
                    continue
                message = f"`{root}` {DENIED_MODULES[root]}"
            elif dotted in _DENIED_EXT:
                message = f"`{dotted}` sees modules"
            else:
                continue
            yield _refuse(
                table, node, "introspection", message, "do without it, or use embed"
            )


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif not node.level:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _denied_attributes(plan: Plan, table: Table, unit: Unit) -> Iterator[Refusal]:
    for node in unit.attributes:
        denied = node.attr in DENIED_ATTRIBUTES
        if not denied:
            target = dotted_target(plan.tables, table, node)
            denied = (
                target is not None
                and target.kind == "ext"
                and target.name in _DENIED_EXT
            )
        if denied:
            yield _refuse(
                table,
                node,
                "introspection",
                f"`.{node.attr}` shows how the program is divided into modules",
                "do without it, or use embed",
            )


def _denied_strings(plan: Plan, table: Table, unit: Unit) -> Iterator[Refusal]:
    for node in unit.strings:
        text = str(node.value)
        if text in DENIED_ATTRIBUTES:
            message = f"the string {text!r} names something about modules"
        elif _LOG_PLACE.search(text):
            message = "this format shows the file or line of the code"
        elif _DOTTED.fullmatch(text) and plan.tables.by_name.get(_owner(plan, text)):
            message = f"the string {text!r} names a module of your own"
        else:
            continue
        yield _refuse(
            table, node, "dotted-string", message, "refer to the object itself"
        )


def _owner(plan: Plan, text: str) -> str:
    parts = re.split(r"[.:]", text)
    for count in range(len(parts), 0, -1):
        name = ".".join(parts[:count])
        if name in plan.tables.by_name:
            return name
    return ""


def _class_values(plan: Plan, table: Table, unit: Unit) -> Iterator[Refusal]:
    """A printed or stored class shows the module it was defined in."""
    classes = _inlined_classes(plan)
    if not classes:
        return
    for node in unit.class_values:
        yield _refuse(
            table,
            node,
            "class-identity",
            "the class of an object may be shown with its module's name",
            "use `type(x).__name__`, or isinstance",
        )
    for use in unit.uses:
        if use.role in CLASS_SAFE_ROLES or use.role == "string":
            continue
        target = plan.tables.resolve(table.module.name, use.name)
        if target in classes and not target.module.startswith(_TRUSTED):
            yield _refuse(
                table,
                use.node,
                "class-identity",
                f"the class `{use.name}` is used as a value; shown or stored, it names "
                "its module",
                "call it, or use embed",
            )


def _inlined_classes(plan: Plan) -> set[Target]:
    found = set()
    for table in plan.tables.inlined:
        for unit in plan.kept_units(table):
            for name, node in unit.binds.items():
                if isinstance(node, ast.ClassDef) or _makes_class(unit.node):
                    found.add(Target("own", table.module.name, name))
    return found


def _makes_class(node: ast.stmt) -> bool:
    """`Point = namedtuple("Point", "x y")` and its like."""
    return isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
