"""All modules of one kernel as one program: what a name or an attribute stands for.

`Program.dotted` answers with a dotted name, through aliases, assignments and modules:
`r.get` after `import requests as r` is `requests.get`, `s.get` after
`s = requests.Session()` is `requests.Session().get`. `X()` stands for what a call of X
gives. Names that the kernel's own modules define begin with the module's name, builtins
with `builtins.`, and names that nothing defines with `undefined.`.
"""

import ast
import builtins
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from kernel_builder.check.names import Binding, Scope, Scopes, find_scopes
from kernel_builder.read.modules import MAIN, Closure, Module

_DEPTH: Final = 24
_BUILTINS: Final = frozenset(dir(builtins))
Node = TypeVar("Node", bound=ast.AST)

# Calls whose result has a type with methods that rules ask about.
_RETURNS: Final = {
    **dict.fromkeys(
        (
            *(f"pandas.read_{kind}" for kind in ("csv", "parquet", "table", "json")),
            *(f"pandas.read_{kind}" for kind in ("feather", "excel", "pickle")),
            *("pandas.concat", "pandas.merge", "pandas.get_dummies"),
            *(f"pandas.DataFrame().{name}" for name in ("copy", "merge", "drop")),
            *(
                f"pandas.DataFrame().{name}"
                for name in ("reset_index", "head", "assign")
            ),
        ),
        "pandas.DataFrame",
    ),
    **dict.fromkeys(
        ("requests.session", "requests.sessions.Session"), "requests.Session"
    ),
    "pathlib.Path().joinpath": "pathlib.Path",
}
# Calls that give back their first argument, or one of its kind.
_PASSED_ON: Final = ("kaggle_kit.config.override", "dataclasses.replace", "copy.copy")
_SAME: Final = {
    "posixpath": "os.path",
    "io.open": "builtins.open",
    "lightgbm.sklearn": "lightgbm",
}


@dataclass(eq=False)
class Unit:
    """One module of the kernel with its scopes.

    `path` is how a person would open the file from here. `own` is false for installed
    packages that are only inlined: style is not the user's there.
    """

    module: Module
    path: str
    own: bool
    scopes: Scopes

    @property
    def name(self) -> str:
        """The dotted module name, `__main__` for the kernel."""
        return self.module.name

    @property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return self.module.tree

    @property
    def is_entry(self) -> bool:
        """Whether this is the kernel itself."""
        return self.name == MAIN

    def nodes(self, kind: type[Node]) -> list[Node]:
        """Give every node of one type, in the order of the text."""
        return self.scopes.nodes.get(kind, [])  # type: ignore[return-value]

    def parent(self, node: ast.AST) -> ast.AST | None:
        """Give the node around `node`."""
        return self.scopes.parent.get(id(node))

    def statement(self, node: ast.AST) -> ast.stmt:
        """Give the innermost statement around `node`, or `node` if it is one."""
        current: ast.AST | None = node
        while current is not None and not isinstance(current, ast.stmt):
            current = self.parent(current)
        return current if isinstance(current, ast.stmt) else self.tree.body[0]

    def around(self, node: ast.AST, kind: type[Node]) -> Iterator[Node]:
        """Give the enclosing nodes of one type, the innermost first."""
        for above, _ in self.scopes.ancestors(node):
            if isinstance(above, kind):
                yield above


@dataclass(eq=False)
class Program:
    """Every module of one kernel, the kernel first.

    `dropped` holds the ids of top-level definitions that the built file leaves out.
    """

    units: Sequence[Unit]
    dropped: set[int] = field(default_factory=set)
    _by_name: dict[str, Unit] = field(init=False)
    _dotted: dict[int, str | None] = field(default_factory=dict)
    _uses: dict[str, list[tuple[Unit, ast.expr]]] | None = None

    def __post_init__(self) -> None:
        self._by_name = {unit.name: unit for unit in self.units}

    @property
    def entry(self) -> Unit:
        """The kernel itself."""
        return self.units[0]

    def calls(self) -> Iterator[tuple[Unit, ast.Call, str]]:
        """Give every call of the user's own modules with its dotted name, if any."""
        for unit in self.units:
            if unit.own:
                for call in unit.nodes(ast.Call):
                    yield unit, call, self.dotted(unit, call.func) or ""

    def nodes(self, kind: type[Node]) -> Iterator[tuple[Unit, Node]]:
        """Give every node of one type in the user's own modules."""
        for unit in self.units:
            if unit.own:
                for node in unit.nodes(kind):
                    yield unit, node

    def dotted(self, unit: Unit, expr: ast.AST, depth: int = 0) -> str | None:
        """Give the dotted name of what an expression stands for, or None."""
        key = id(expr)
        if key in self._dotted:
            return self._dotted[key]
        if depth > _DEPTH:
            return None
        self._dotted[key] = None  # a name that depends on itself stands for nothing
        name = self._find_dotted(unit, expr, depth + 1)
        self._dotted[key] = name
        return name

    def _find_dotted(self, unit: Unit, expr: ast.AST, depth: int) -> str | None:
        match expr:
            case ast.Name():
                return self._name(unit, expr, depth)
            case ast.Attribute():
                base = self.dotted(unit, expr.value, depth)
                return self._member(base, expr.attr, depth) if base else None
            case ast.Call():
                base = self.dotted(unit, expr.func, depth)
                if base in _PASSED_ON and expr.args:
                    return self.dotted(unit, expr.args[0], depth)
                return f"{_RETURNS.get(base, base)}()" if base else None
            case ast.Await():
                return self.dotted(unit, expr.value, depth)
            case ast.NamedExpr():
                return self.dotted(unit, expr.value, depth)
            case _:
                return None

    def _member(self, base: str, attribute: str, depth: int) -> str | None:
        """Name an attribute; of the kernel's own objects, what it is set to."""
        found = self.definition(base.removesuffix("()"))
        own = found is not None and isinstance(found[1], ast.ClassDef)
        if found is not None and own and attribute not in found[2].names:
            for unit in self.units:
                for target, value in unit.scopes.attributes.get(attribute, []):
                    owner = self.dotted(unit, target.value, depth)
                    if value is not None and owner == base:
                        return self.dotted(unit, value, depth)
        return self.resolve(f"{base}.{attribute}", depth)

    def _name(self, unit: Unit, name: ast.Name, depth: int) -> str | None:
        scope = unit.scopes.of.get(id(name), unit.scopes.top)
        found = unit.scopes.lookup(name.id, scope)
        if found is None:
            known = name.id in _BUILTINS
            return f"builtins.{name.id}" if known else f"undefined.{name.id}"
        return self._bound(unit, *found, name.id, depth)

    def _bound(
        self, unit: Unit, scope: Scope, bindings: list[Binding], name: str, depth: int
    ) -> str | None:
        for binding in bindings:
            answer = self._binding(unit, scope, binding, name, depth)
            if answer is not None:
                return answer
        return None

    def _binding(
        self, unit: Unit, scope: Scope, binding: Binding, name: str, depth: int
    ) -> str | None:
        path = f"{scope.path}.{name}" if scope.path else name
        match binding.kind:
            case "import":
                return self.resolve(binding.target, depth)
            case "def" | "class":
                return f"{unit.name}.{path}"
            case "value" if binding.value is not None:
                return self.dotted(unit, binding.value, depth)
            case "param":
                return self._self(unit, scope, binding)
            case _:
                return None

    def _self(self, unit: Unit, scope: Scope, binding: Binding) -> str | None:
        """Name the first parameter of a method: an instance of its class."""
        function = scope.node
        outer = scope.parent
        if outer is None or not outer.is_class or isinstance(function, ast.Lambda):
            return None
        arguments = getattr(function, "args", None)
        first = [*arguments.posonlyargs, *arguments.args][:1] if arguments else []
        if first and first[0] is binding.node:
            return f"{unit.name}.{outer.path}()"
        return None

    def resolve(self, dotted: str, depth: int = 0) -> str | None:
        """Follow a dotted name through the kernel's own modules."""
        if depth > _DEPTH:
            return None
        unit, rest = self.split(dotted)
        if unit is None or not rest:
            return _canonical(dotted)
        first, _, tail = rest.partition(".")
        instance = first.endswith("()")
        bindings = unit.scopes.top.names.get(first.removesuffix("()"))
        if not bindings or instance:
            return dotted
        base = self._bound(unit, unit.scopes.top, bindings, first, depth + 1)
        if base is None or base == f"{unit.name}.{first}":
            return dotted
        return self.resolve(f"{base}.{tail}", depth + 1) if tail else base

    def uses(self, dotted: str) -> list[tuple[Unit, ast.expr]]:
        """Find where a function, method or class of the kernel is spoken of.

        A method is `module.Class.method` here, whatever object it is taken from.
        """
        if self._uses is None:
            table: dict[str, list[tuple[Unit, ast.expr]]] = {}
            for unit in self.units:
                nodes: list[ast.Name | ast.Attribute] = [*unit.nodes(ast.Name)]
                for node in [*nodes, *unit.nodes(ast.Attribute)]:
                    name = self.dotted(unit, node)
                    if name is not None and isinstance(node.ctx, ast.Load):
                        plain = name.replace("().", ".")
                        table.setdefault(plain, []).append((unit, node))
            self._uses = table
        return self._uses.get(dotted, [])

    def split(self, dotted: str) -> tuple[Unit | None, str]:
        """Split off the longest prefix that is a module of the kernel."""
        parts = dotted.split(".")
        for count in range(len(parts), 0, -1):
            unit = self._by_name.get(".".join(parts[:count]))
            if unit is not None:
                return unit, ".".join(parts[count:])
        return None, dotted

    def definition(self, dotted: str) -> tuple[Unit, ast.AST, Scope] | None:
        """Find the function or class of a dotted name, and the scope inside it."""
        unit, rest = self.split(dotted)
        if unit is None or not rest:
            return None
        scope = unit.scopes.top
        node: ast.AST | None = None
        for part in rest.split("."):
            bound = scope.names.get(part, [])
            nodes = [b.node for b in bound if b.kind in ("def", "class")]
            if not nodes:
                return None
            node = nodes[0]
            scope = unit.scopes.inner[id(node)]
        return (unit, node, scope) if node is not None else None


def find_program(closure: Closure, paths: dict[str, str], inlined: set[str]) -> Program:
    """Read the scopes of every module of a kernel.

    `paths` maps module names to the paths shown to people; `inlined` are the top-level
    names of packages that are not the user's own.
    """
    units = []
    for module in (closure.entry, *closure.modules):
        package = module.name if module.is_package else module.name.rpartition(".")[0]
        own = module.name.partition(".")[0] not in inlined
        scopes = find_scopes(module.tree, "" if module.name == MAIN else package)
        units.append(Unit(module, paths[module.name], own, scopes))
    return Program(units)


def _canonical(dotted: str) -> str:
    for alias, name in _SAME.items():
        if dotted == alias or dotted.startswith(f"{alias}."):
            return name + dotted[len(alias) :]
    return dotted
