"""Third-party imports of all modules: merged, sorted, each once."""

import ast
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from kernel_builder.emit.flat_inert import judge
from kernel_builder.emit.flat_reach import Plan
from kernel_builder.emit.flat_tables import Table, is_local, package_of
from kernel_builder.emit.flat_units import Unit
from kernel_builder.read.modules import MAIN, STDLIB, absolute_base
from kernel_builder.read.project import KIT

WIDTH: Final = 88

# Packages of the Kaggle image whose import does nothing that a program could see. Where
# a module of the kit imports one that its kept code does not need, that is left out; in
# any other module an import may fail, and then it must go on failing.
_QUIET_PACKAGES: Final = frozenset(
    {"numpy", "pandas", "torch", "torchvision", "sklearn", "scipy", "matplotlib"}
    | {"seaborn", "cv2", "PIL", "tqdm", "pyarrow", "typing_extensions"}
)
_NOISY: Final = frozenset({"this", "antigravity", "__hello__", "__phello__", "idlelib"})
QUIET: Final = (_QUIET_PACKAGES | STDLIB) - _NOISY


class Wanted(NamedTuple):
    """One imported name: `import module as alias` if `name` is empty, else `from`."""

    module: str
    name: str
    alias: str


def prologue(plan: Plan) -> list[Unit]:
    """Give the kernel's statements that must run before its modules.

    These are all those before its first first-party import, unless none of them does
    anything: then they stay with the rest of the kernel, behind the modules.
    """
    entry = plan.tables.entry
    before: list[Unit] = []
    active = False
    for unit in entry.units:
        node = unit.node
        if isinstance(node, ast.Import | ast.ImportFrom):
            if is_local(plan.tables, entry.module, node):
                return before if active else []
        elif unit not in entry.skipped:
            verdict = judge(plan.tables, entry, unit)
            active = active or verdict.work is not None or verdict.keep
        if not _stands_first(unit, entry):
            before.append(unit)
    return []


def _stands_first(unit: Unit, entry: Table) -> bool:
    """The docstring and `from __future__` imports come before everything anyway."""
    node = unit.node
    if isinstance(node, ast.ImportFrom):
        return node.module == "__future__"
    return unit is entry.units[0] and is_docstring(node)


def leading_imports(plan: Plan) -> list[Unit]:
    """Give the kernel's import statements up to its first other statement.

    They start behind the prologue. Only these may be merged: what stands below may
    depend on what ran before it.
    """
    entry = plan.tables.entry
    first = set(prologue(plan))
    found: list[Unit] = []
    for unit in entry.units:
        if unit in first or unit in entry.skipped or _stands_first(unit, entry):
            continue
        if not isinstance(unit.node, ast.Import | ast.ImportFrom):
            break
        found.append(unit)
    return found


def is_docstring(node: ast.stmt) -> bool:
    """Say whether a statement is a bare string."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def wanted_imports(plan: Plan) -> list[Wanted]:
    """Collect the third-party imports that the kept code of all modules needs."""
    wanted: set[Wanted] = set()
    leading = set(leading_imports(plan))
    used = _used_names(plan)
    for table in plan.tables.by_name.values():
        main = table.module.name == MAIN
        mentioned = {name for unit in table.units for name in unit.names}
        for unit in table.units:
            if unit in table.skipped or (main and unit not in leading):
                continue
            for item, bound in _items(plan, table, unit):
                own = not table.module.name.startswith(f"{KIT}.")
                if own or bound in used[table] or _must_stay(item, bound, mentioned):
                    wanted.add(item)
    return sorted(_without_doubles(wanted))


def _used_names(plan: Plan) -> dict[Table, set[str]]:
    """Give the names of each module that kept code reads, there or through imports."""
    used: dict[Table, set[str]] = {
        table: set() for table in plan.tables.by_name.values()
    }
    for table in plan.tables.by_name.values():
        for unit in plan.kept_units(table):
            for name in unit.names:
                _mark(plan, table, name, used)
    return used


def _mark(plan: Plan, table: Table, name: str, used: dict[Table, set[str]]) -> None:
    """Mark a name as used, and what it is imported from, module after module."""
    while name not in used[table]:
        used[table].add(name)
        bindings = table.bindings.get(name)
        target = bindings[-1].target if bindings else None
        following = plan.tables.by_name.get(target.module) if target else None
        if target is None or following is None:
            return
        table, name = following, target.name


def _must_stay(item: Wanted, bound: str, mentioned: set[str]) -> bool:
    """An import nobody names is there for its effect; an unknown one may have some."""
    root = item.module.split(".")[0]
    if root not in QUIET:
        return True
    return bound not in mentioned and root not in STDLIB


def _items(plan: Plan, table: Table, unit: Unit) -> Iterator[tuple[Wanted, str]]:
    node = unit.node
    if not isinstance(node, ast.Import | ast.ImportFrom):
        return
    if is_local(plan.tables, table.module, node):
        return
    if isinstance(node, ast.Import):
        for alias in node.names:
            bound = alias.asname or alias.name.split(".")[0]
            yield Wanted(alias.name, "", alias.asname or ""), bound
        return
    base = absolute_base(node, package_of(table.module))
    if base == "__future__":
        return
    for alias in node.names:
        own = alias.asname if alias.asname != alias.name else None
        yield Wanted(base, alias.name, own or ""), alias.asname or alias.name


def _without_doubles(wanted: set[Wanted]) -> Iterator[Wanted]:
    """`from a import b` and `import a.b as b` bind the same: keep the former."""
    for item in wanted:
        if not item.name and item.alias:
            module, _, last = item.module.rpartition(".")
            alias = item.alias if item.alias != last else ""
            if Wanted(module, last, alias) in wanted:
                continue
        yield item


def format_imports(wanted: Iterable[Wanted]) -> list[str]:
    """Write the lines as isort does: standard library first, `import` before `from`."""
    items = list(wanted)
    lines: list[str] = []
    for standard in (True, False):
        block = [item for item in items if (_root(item) in STDLIB) == standard]
        if block and lines:
            lines.append("")
        lines.extend(_plain(block))
        lines.extend(_from(block))
    return lines


def _root(item: Wanted) -> str:
    return item.module.split(".")[0]


def _plain(block: list[Wanted]) -> Iterator[str]:
    for item in sorted(block, key=lambda item: (item.module.lower(), item)):
        if not item.name:
            yield f"import {item.module}" + (f" as {item.alias}" if item.alias else "")


def _from(block: list[Wanted]) -> Iterator[str]:
    modules = sorted(
        {item.module for item in block if item.name},
        key=lambda name: (name.lower(), name),
    )
    for module in modules:
        names = sorted(
            (item for item in block if item.module == module and item.name),
            key=lambda item: (_kind(item.name), item.name.lower(), item),
        )
        words = [n.name + (f" as {n.alias}" if n.alias else "") for n in names]
        line = f"from {module} import {', '.join(words)}"
        if len(line) <= WIDTH:
            yield line
        else:
            yield f"from {module} import ("
            yield from (f"    {word}," for word in words)
            yield ")"


def _kind(name: str) -> int:
    """Order as isort does: CONSTANTS, Classes, functions."""
    if name.isupper() and len(name) > 1:
        return 0
    return 1 if name[:1].isupper() else 2
