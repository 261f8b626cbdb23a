"""What every name of every module means, followed through first-party imports."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal, NamedTuple

from kernel_builder.emit.flat_scopes import units_of
from kernel_builder.emit.flat_units import Unit
from kernel_builder.errors import ToolError
from kernel_builder.read.modules import (
    MAIN,
    Closure,
    Finder,
    Module,
    absolute_base,
    is_type_checking,
)

_FUTURE: Final = "__future__"


class Target(NamedTuple):
    """What a name stands for.

    `own`: `name` as module `module` binds it. `ext`: the object that third-party code
    knows as the dotted `name`. `module`: the first-party module object `name`.
    `missing`: nothing that can be found.
    """

    kind: Literal["own", "ext", "module", "missing"]
    module: str
    name: str


class Binding(NamedTuple):
    """One way in which a module binds a name: its own code, or an import."""

    unit: Unit
    node: ast.AST
    target: Target | None
    plain_import: bool


@dataclass(frozen=True, order=True)
class Refusal:
    """Why a kernel cannot be joined into one flat file, and what to change."""

    path: str
    line: int
    rule: str
    message: str
    fix: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: [{self.rule}] {self.message}; {self.fix}"


def refuse(table: "Table", node: ast.AST, rule: str, why: str, fix: str) -> Refusal:
    """Make a refusal that points at `node` in a module's file."""
    return Refusal(table.label, getattr(node, "lineno", 0), rule, why, fix)


class FlatRefused(ToolError):
    """The flat form would not be provably the same program."""

    def __init__(self, refusals: list[Refusal]) -> None:
        self.refusals = sorted(set(refusals))
        lines = [f"  {refusal}" for refusal in self.refusals[:20]]
        if len(self.refusals) > 20:
            lines.append(f"  ... and {len(self.refusals) - 20} more")
        super().__init__(
            "the flat form is refused, because it might not be the same program:\n"
            + "\n".join(lines)
            + "\n  (--form embed builds it as it is)"
        )


@dataclass(eq=False)
class Table:
    """One module's statements and what its names are bound to.

    `skipped` are the statements that run in no built kernel: `if TYPE_CHECKING` blocks
    and, in modules, `if __name__ == "__main__"` blocks.
    """

    module: Module
    units: list[Unit]
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    skipped: set[Unit] = field(default_factory=set)

    @property
    def label(self) -> str:
        """The file's name for people."""
        return self.module.label

    @cached_property
    def futures(self) -> frozenset[str]:
        """The names it imports from __future__."""
        return frozenset(
            alias.name
            for unit in self.units
            if isinstance(unit.node, ast.ImportFrom) and unit.node.module == _FUTURE
            for alias in unit.node.names
        )

    @property
    def postpones_annotations(self) -> bool:
        """Say whether it has `from __future__ import annotations`."""
        return "annotations" in self.futures


@dataclass(eq=False)
class Tables:
    """The tables of a closure, the kernel's last, and how to follow names in them."""

    closure: Closure
    finder: Finder
    by_name: Mapping[str, Table]
    _resolved: dict[tuple[str, str], Target | None] | None = None

    @property
    def entry(self) -> Table:
        """The kernel's own table."""
        return self.by_name[MAIN]

    @property
    def inlined(self) -> list[Table]:
        """The tables of the modules, in the order Python loads them."""
        return [table for name, table in self.by_name.items() if name != MAIN]

    def resolve(self, module: str, name: str) -> Target | None:
        """Follow `name` in `module` to what it stands for; None if it is not bound."""
        if self._resolved is None:
            return self._resolve(module, name)
        if (module, name) not in self._resolved:
            self._resolved[module, name] = self._resolve(module, name)
        return self._resolved[module, name]

    def settle(self) -> None:
        """Say that every binding is known: from now on answers are kept."""
        self._resolved = {}

    def _resolve(self, module: str, name: str) -> Target | None:
        seen: set[tuple[str, str]] = set()
        while (module, name) not in seen:
            seen.add((module, name))
            table = self.by_name.get(module)
            bindings = table.bindings.get(name) if table else None
            if not bindings:
                return Target("missing", module, name) if len(seen) > 1 else None
            target = bindings[-1].target
            if target is None:
                return Target("own", module, name)
            if target.kind != "own":
                return target
            module, name = target.module, target.name
        return Target("missing", module, name)


def build_tables(closure: Closure) -> Tables:
    """Analyse every module of a closure."""
    finder = Finder(closure.project)
    by_name: dict[str, Table] = {}
    for module in closure.everything:
        by_name[module.name] = Table(module, units_of(module.tree))
    tables = Tables(closure, finder, by_name)
    for table in by_name.values():
        for unit in table.units:
            if not is_skipped(unit.node, table.module.name == MAIN):
                _bind(tables, table, unit)
        table.skipped.update(_skipped(tables, table))
    tables.settle()
    return tables


def _skipped(tables: Tables, table: Table) -> Iterator[Unit]:
    """Give what `is_skipped` finds, provided the tested names are the usual ones."""
    for unit in table.units:
        if is_skipped(unit.node, table.module.name == MAIN):
            if not is_type_checking_name(tables, table, unit):
                _bind(tables, table, unit)
            else:
                yield unit


def is_type_checking_name(tables: Tables, table: Table, unit: Unit) -> bool:
    """Say whether the test of a skipped `if` means what it seems to mean."""
    test = unit.node.test if isinstance(unit.node, ast.If) else None
    if isinstance(test, ast.Compare):
        return "__name__" not in table.bindings
    if isinstance(test, ast.Name):
        target = tables.resolve(table.module.name, test.id)
        return target == Target("ext", "", "typing.TYPE_CHECKING")
    if isinstance(test, ast.Attribute) and isinstance(test.value, ast.Name):
        target = tables.resolve(table.module.name, test.value.id)
        return target == Target("ext", "", "typing")
    return False


def is_skipped(node: ast.stmt, entry: bool) -> bool:
    """Say whether a statement's body never runs in a built kernel."""
    if not isinstance(node, ast.If) or node.orelse:
        return False
    if is_type_checking(node.test):
        return all(isinstance(item, ast.Import | ast.ImportFrom) for item in node.body)
    return not entry and _is_main_test(node.test)


def _is_main_test(test: ast.expr) -> bool:
    """Recognise `__name__ == "__main__"`, either way round."""
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return False
    sides = [test.left, test.comparators[0]]
    names = [side.id for side in sides if isinstance(side, ast.Name)]
    values = [side.value for side in sides if isinstance(side, ast.Constant)]
    return (
        isinstance(test.ops[0], ast.Eq) and names == ["__name__"] and values == [MAIN]
    )


def _bind(tables: Tables, table: Table, unit: Unit) -> None:
    plain = isinstance(unit.node, ast.Import | ast.ImportFrom)
    for name, node in unit.binds.items():
        target = None
        # An import under a condition may not happen: then the name is the module's own.
        if plain and isinstance(node, ast.Import | ast.ImportFrom):
            target = _import_target(tables, table.module, node, name)
        binding = Binding(unit, node, target, plain)
        table.bindings.setdefault(name, []).append(binding)
    for name, node in unit.global_binds.items():
        table.bindings.setdefault(name, []).append(Binding(unit, node, None, False))


def _import_target(
    tables: Tables, module: Module, node: ast.Import | ast.ImportFrom, bound: str
) -> Target:
    if isinstance(node, ast.Import):
        for alias in node.names:
            name = alias.name if alias.asname else alias.name.split(".")[0]
            if bound == (alias.asname or name):
                local = tables.finder.find(name.split(".")[0]) is not None
                return Target("module" if local else "ext", "", name)
        return Target("missing", "", bound)
    original = next(a.name for a in node.names if (a.asname or a.name) == bound)
    base = absolute_base(node, package_of(module))
    if not base:
        return Target("missing", "", original)
    if tables.finder.find(base.split(".")[0]) is None:
        return Target("ext", "", f"{base}.{original}")
    if tables.finder.find(base) is None:
        return Target("missing", base, original)
    if tables.finder.find(f"{base}.{original}") is not None:
        return Target("module", "", f"{base}.{original}")
    return Target("own", base, original)


def package_of(module: Module) -> str:
    """Give the package that relative imports in `module` start from."""
    if module.name == MAIN:
        return ""
    return module.name if module.is_package else module.name.rpartition(".")[0]


def import_nodes(table: Table) -> Iterator[tuple[Unit, ast.Import | ast.ImportFrom]]:
    """Give every import that can run, wherever it stands."""
    for unit in table.units:
        if unit not in table.skipped:
            for node in unit.imports:
                yield unit, node


def is_local(tables: Tables, module: Module, node: ast.Import | ast.ImportFrom) -> bool:
    """Say whether an import statement names anything first-party."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif node.level:
        return True
    else:
        names = [node.module or ""]
    return any(tables.finder.find(name.split(".")[0]) is not None for name in names)
