"""What the kernel needs of every module, and what each name must mean in one file."""

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from kernel_builder.emit.flat_inert import Verdict, judge
from kernel_builder.emit.flat_tables import (
    Binding,
    Refusal,
    Table,
    Tables,
    Target,
)
from kernel_builder.emit.flat_units import Unit, Use
from kernel_builder.read.modules import MAIN
from kernel_builder.read.project import KIT

BUILTINS: Final = frozenset(dir(builtins)) - {"__doc__", "__name__", "__spec__"}


@dataclass(eq=False)
class Plan:
    """Which statements stay, and what every name of the joined file stands for.

    `kept` holds the statements that stay. `meanings` gives, for each global name, all
    the things it stands for somewhere, each with a place (file, line); more than one is
    a collision. `free` are names that no module binds, with a place that reads them.
    """

    tables: Tables
    verdicts: dict[Unit, Verdict] = field(default_factory=dict)
    kept: set[Unit] = field(default_factory=set)
    meanings: dict[str, dict[Target, tuple[str, int]]] = field(default_factory=dict)
    free: dict[str, tuple[str, int]] = field(default_factory=dict)

    def kept_units(self, table: Table) -> Iterator[Unit]:
        """Give the statements of a module that stay, in the order of the text."""
        return (unit for unit in table.units if unit in self.kept)


def make_plan(tables: Tables) -> Plan:
    """Follow every name from the kernel on; keep what is reached or may be seen."""
    plan = Plan(tables)
    work: list[tuple[Table, Unit]] = []
    for table in tables.inlined:
        for unit in table.units:
            if unit not in table.skipped:
                plan.verdicts[unit] = judge(tables, table, unit)
                if plan.verdicts[unit].keep:
                    work.append((table, unit))
    entry = tables.entry
    work.extend((entry, unit) for unit in entry.units if unit not in entry.skipped)
    while work:
        table, unit = work.pop()
        if unit not in plan.kept:
            plan.kept.add(unit)
            work.extend(_needed(tables, table, unit))
    _keep_notes(plan)
    _collect_meanings(plan)
    return plan


def _keep_notes(plan: Plan) -> None:
    """A string behind a kept definition says what that is: it stays with it."""
    for table in plan.tables.inlined:
        for before, unit in pairwise(table.units):
            node = unit.node
            constant = isinstance(node, ast.Expr) and isinstance(
                node.value, ast.Constant
            )
            if constant and before in plan.kept:
                plan.kept.add(unit)


def _needed(tables: Tables, table: Table, unit: Unit) -> Iterator[tuple[Table, Unit]]:
    for name in sorted(unit.names | set(unit.global_binds)):
        target = tables.resolve(table.module.name, name)
        if target is None:
            continue
        if target.kind == "own":
            owner = tables.by_name[target.module]
            for binding in owner.bindings.get(target.name, ()):
                yield owner, binding.unit
        for binding in table.bindings.get(name, ()):
            yield table, binding.unit


def _collect_meanings(plan: Plan) -> None:
    for table in plan.tables.by_name.values():
        postponed = table.postpones_annotations
        _imported(plan, table)
        for unit in plan.kept_units(table):
            _defined(plan, table, unit)
            for use in unit.uses:
                _read(plan, table, use, postponed)


def _imported(plan: Plan, table: Table) -> None:
    """An import that stays binds its name even if nothing here reads it."""
    if table.module.name.startswith(f"{KIT}."):
        return  # of the kit's imports only those stay that are read
    for name, bindings in table.bindings.items():
        for binding in bindings:
            if binding.target is not None and binding.target.kind == "ext":
                place = (table.label, binding.unit.first)
                plan.meanings.setdefault(name, {}).setdefault(binding.target, place)


def _defined(plan: Plan, table: Table, unit: Unit) -> None:
    for name, node in (*unit.binds.items(), *unit.global_binds.items()):
        if not _binds_itself(table.bindings.get(name, ()), unit):
            continue
        place = (table.label, getattr(node, "lineno", unit.first))
        target = Target("own", table.module.name, name)
        plan.meanings.setdefault(name, {}).setdefault(target, place)


def _binds_itself(bindings: "list[Binding] | tuple[()]", unit: Unit) -> bool:
    return any(item.unit is unit and item.target is None for item in bindings)


def _read(plan: Plan, table: Table, use: Use, postponed: bool) -> None:
    if use.role == "string" or (postponed and use.role == "annotation"):
        return  # never evaluated
    place = (table.label, getattr(use.node, "lineno", 0))
    target = plan.tables.resolve(table.module.name, use.name)
    if target is None:
        plan.free.setdefault(use.name, place)
    else:
        plan.meanings.setdefault(use.name, {}).setdefault(target, place)


def collisions(plan: Plan) -> Iterator[Refusal]:
    """Find names that would stand for two things in one file."""
    for name, meanings in sorted(plan.meanings.items()):
        if name == "annotations" or _only_future(meanings):
            continue
        places = sorted(meanings.items(), key=lambda item: _rank(plan, item))
        (first, (path, line)), *others = places
        for other, (other_path, other_line) in others:
            yield _collision(name, first, (path, line), other, (other_path, other_line))
        if name in plan.free:
            yield _hidden(name, first, (path, line), plan.free[name])


def _only_future(meanings: dict[Target, tuple[str, int]]) -> bool:
    return all(target.name.startswith("__future__.") for target in meanings)


def _rank(plan: Plan, item: tuple[Target, tuple[str, int]]) -> tuple[int, Target]:
    order = list(plan.tables.by_name)
    target = item[0]
    return (order.index(target.module) if target.module in order else -1, target)


def _collision(
    name: str,
    first: Target,
    first_place: tuple[str, int],
    other: Target,
    place: tuple[str, int],
) -> Refusal:
    path, line = place
    said = f"{first_place[0]}:{first_place[1]}"
    if first.kind == other.kind == "own":
        return Refusal(
            path,
            line,
            "unique-names",
            f"`{name}` is also a name of {said}",
            "rename one of them",
        )
    return Refusal(
        path,
        line,
        "one-meaning",
        f"`{name}` means {_describe(other)} here and {_describe(first)} in {said}",
        "give one of them another name",
    )


def _hidden(
    name: str, target: Target, place: tuple[str, int], reader: tuple[str, int]
) -> Refusal:
    path, line = place
    said = f"{reader[0]}:{reader[1]}"
    if name in BUILTINS:
        return Refusal(
            path,
            line,
            "hidden-builtin",
            f"`{name}` ({_describe(target)}) would hide the builtin that {said} uses",
            "rename it",
        )
    return Refusal(
        reader[0],
        reader[1],
        "unbound-name",
        f"`{name}` is bound nowhere in this file, but {path}:{line} would bind it",
        "import it here, or rename one of them",
    )


def _describe(target: Target) -> str:
    if target.kind == "own":
        where = "the kernel" if target.module == MAIN else target.module
        return f"`{target.name}` of {where}"
    return f"{target.name}"
