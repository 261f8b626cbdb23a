"""The rules a kernel must keep for the flat form to be provably the same program."""

import ast
from collections.abc import Iterator
from typing import Final

from kernel_builder.emit.flat_imports import prologue
from kernel_builder.emit.flat_inert import judge
from kernel_builder.emit.flat_reach import Plan, collisions
from kernel_builder.emit.flat_seen import check_seen
from kernel_builder.emit.flat_tables import (
    Refusal,
    Table,
    Tables,
    import_nodes,
    is_local,
    package_of,
    refuse,
)
from kernel_builder.emit.flat_units import Unit
from kernel_builder.read.modules import MAIN, absolute_base

DENIED_NAMES: Final = frozenset(
    {"__import__", "breakpoint", "compile", "eval", "exec", "globals", "help"}
    | {"locals", "vars", "dir"}
)
# What every module has without binding it.
_IMPLICIT: Final = frozenset(
    {"__annotations__", "__builtins__", "__cached__", "__dict__", "__doc__", "__file__"}
    | {"__loader__", "__module__", "__name__", "__package__", "__path__", "__spec__"}
)
_NEEDS_ARGUMENT: Final = frozenset({"vars", "dir"})
# Without modules to join these see what they would see anyway.
_HARMLESS_ALONE: Final = DENIED_NAMES - {"__import__", "eval", "exec"}


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
        refusals.extend(_late_in_module(plan, table))
        refusals.extend(_import_time(plan, table))
        for unit in plan.kept_units(table):
            refusals.extend(_names(tables, table, unit))
    refusals.extend(check_seen(plan))
    refusals.extend(collisions(plan))
    return refusals


# -- imports


def _imports(tables: Tables, table: Table) -> Iterator[Refusal]:
    for unit, node in import_nodes(table):
        if _is_star(node) and tables.inlined:
            yield refuse(
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
        yield refuse(
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
            yield refuse(
                table,
                node,
                "module-object",
                f"`{name}` is a module of your own used as an object",
                f"write `from {target.name} import ...` and use the names",
            )
        elif target is not None and target.kind == "missing":
            yield refuse(
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
                    yield refuse(
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
                        yield refuse(
                            other,
                            item.node,
                            "imports-the-kernel",
                            "the kernel is imported by name: it would run twice",
                            "move what is needed into a module of its own",
                        )


def _futures(tables: Tables) -> Iterator[Refusal]:
    """`from __future__ import annotations` holds for a whole file."""
    postponed = {
        table: table.postpones_annotations
        for table in tables.by_name.values()
        if _has_annotations(table)
    }
    if len(set(postponed.values())) < 2:
        return
    for table, value in postponed.items():
        if value:
            yield refuse(
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
    """All modules are joined where the first of them is imported."""
    tables = plan.tables
    entry = tables.entry
    first = set(prologue(plan))
    end = max((unit.last for unit in first), default=0)
    earlier: int | None = None
    seen = False
    for unit in entry.units:
        node = unit.node
        if unit in entry.skipped or unit in first:
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            if not is_local(tables, entry.module, node):
                continue
            if unit.first <= end:
                earlier = end
            if earlier is not None:
                yield refuse(
                    entry,
                    node,
                    "late-import",
                    f"line {earlier} runs before this first-party import",
                    "move the import above it",
                )
            seen = True
        elif seen and earlier is None:
            verdict = judge(tables, entry, unit)
            if verdict.work is not None or verdict.keep:
                earlier = unit.first


def _late_in_module(plan: Plan, table: Table) -> Iterator[Refusal]:
    """What a module does before it imports another would come after that one."""
    earlier: Unit | None = None
    for unit in table.units:
        verdict = plan.verdicts.get(unit)
        node = unit.node
        if isinstance(node, ast.Import | ast.ImportFrom):
            if earlier is not None and is_local(plan.tables, table.module, node):
                yield refuse(
                    table,
                    node,
                    "late-import",
                    f"line {earlier.first} runs before this first-party import",
                    "move the import above it",
                )
        elif verdict is not None and verdict.keep:
            earlier = earlier or unit


# -- names


def _rebinding(tables: Tables, table: Table) -> Iterator[Refusal]:
    for name, bindings in table.bindings.items():
        targets = {binding.target for binding in bindings}
        if len(targets) > 1:
            last = bindings[-1]
            node = next((b.node for b in bindings if b.target is None), last.node)
            yield refuse(
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
                yield refuse(
                    owner,
                    binding.node,
                    "global-state",
                    f"`global {target.name}` changes a name that {table.label} imports",
                    "keep the state in an object",
                )


def _names(tables: Tables, table: Table, unit: Unit) -> Iterator[Refusal]:
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
            if name in _HARMLESS_ALONE and not tables.inlined:
                continue
            yield refuse(
                table,
                use.node,
                "dynamic-name",
                f"`{name}` reaches names that no reader of the text can know",
                "name what you mean",
            )
        elif name in _IMPLICIT and (
            table.module.name != MAIN
            or name in ("__file__", "__builtins__")
            or (name == "__annotations__" and tables.inlined)
        ):
            yield refuse(
                table,
                use.node,
                "module-name",
                f"`{name}` means something else in one file",
                "pass the value in as an argument, or write it out",
            )


def _suspicious(unit: Unit) -> bool:
    return any(use.name in _NEEDS_ARGUMENT for use in unit.uses)


# -- import time


def _import_time(plan: Plan, table: Table) -> Iterator[Refusal]:
    for unit in table.units:
        verdict = plan.verdicts.get(unit)
        if verdict is not None and verdict.work is not None:
            node, message = verdict.work
            yield refuse(
                table,
                node,
                "import-time-work",
                message,
                "move it into a function that the kernel calls",
            )
        for name in unit.binds:
            if table.module.name != MAIN and name in ("__getattr__", "__dir__"):
                yield refuse(
                    table,
                    unit.node,
                    "module-name",
                    f"a module-level `{name}` works only in a module of its own",
                    "define the names themselves",
                )
