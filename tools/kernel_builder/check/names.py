"""Scopes of one module: which name means which import, value, parameter or definition.

A static reading of the syntax tree, as Python's own symbol table does it: a name
belongs to the innermost scope that binds it, class scopes hidden from the functions in
them. `names.Scopes` answers "what may this Name be bound to"; following the answer over
modules is `program.Program`'s work.
"""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from kernel_builder.read.modules import absolute_base

Kind = Literal["import", "value", "item", "param", "def", "class", "opaque"]
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
_COMPREHENSIONS: Final = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(eq=False, slots=True)
class Binding:
    """One way a name gets its value.

    `value` is the assigned expression (kind `value`), the iterable (kind `item`: a for
    loop's variable) or a parameter's default (kind `param`); `target` the absolute
    dotted name of an import.
    """

    kind: Kind
    node: ast.AST
    value: ast.expr | None = None
    target: str = ""


@dataclass(eq=False, slots=True)
class Scope:
    """A module, class, function, lambda or comprehension and the names it binds."""

    node: ast.AST
    parent: "Scope | None"
    path: str
    names: dict[str, list[Binding]] = field(default_factory=dict)
    declared: dict[str, Literal["global", "nonlocal"]] = field(default_factory=dict)

    @property
    def is_class(self) -> bool:
        """Whether functions inside do not see these names."""
        return isinstance(self.node, ast.ClassDef)


@dataclass(eq=False, slots=True)
class Scopes:
    """The scopes of one module, the parent of every node, and nodes by type."""

    top: Scope
    of: dict[int, Scope] = field(default_factory=dict)
    parent: dict[int, ast.AST] = field(default_factory=dict)
    nodes: dict[type[ast.AST], list[ast.AST]] = field(default_factory=dict)
    inner: dict[int, Scope] = field(default_factory=dict)
    attributes: dict[str, list[tuple[ast.Attribute, ast.expr | None]]] = field(
        default_factory=dict
    )
    items: list[tuple[ast.Subscript, ast.expr | None]] = field(default_factory=list)

    def lookup(self, name: str, scope: Scope) -> tuple[Scope, list[Binding]] | None:
        """Find the scope that binds `name`, seen from `scope`, and its bindings."""
        current: Scope | None = scope
        while current is not None:
            declared = current.declared.get(name)
            if declared == "global":
                current = self.top
            elif (
                declared != "nonlocal"
                and name in current.names
                and (current is scope or not current.is_class)
            ):
                return current, current.names[name]
            if current is self.top:
                found = self.top.names.get(name)
                return (self.top, found) if found else None
            current = current.parent
        return None

    def ancestors(self, node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
        """Give (parent, child) pairs from `node` up to the module."""
        while (above := self.parent.get(id(node))) is not None:
            yield above, node
            node = above


def find_scopes(tree: ast.Module, package: str) -> Scopes:
    """Read the scopes of a module; its relative imports start from `package`."""
    scopes = Scopes(Scope(tree, None, ""))
    _Walk(scopes, package).run(tree)
    return scopes


class _Walk:
    """Visits every node once, with a stack of its own: long sums nest very deep."""

    def __init__(self, scopes: Scopes, package: str) -> None:
        self.scopes = scopes
        self.package = package
        self.stack: list[tuple[ast.AST, Scope]] = []

    def run(self, tree: ast.Module) -> None:
        self.stack.append((tree, self.scopes.top))
        while self.stack:
            node, scope = self.stack.pop()
            self.scopes.of[id(node)] = scope
            self.scopes.nodes.setdefault(type(node), []).append(node)
            first = len(self.stack)
            self._visit(node, scope)
            # Last in, first out: turn round what was pushed, to keep the text's order.
            self.stack[first:] = self.stack[first:][::-1]

    def _visit(self, node: ast.AST, scope: Scope) -> None:
        if isinstance(node, FunctionNode | ast.Lambda):
            self._function(node, scope)
        elif isinstance(node, ast.ClassDef):
            self._bind(scope, node.name, Binding("class", node))
            inner = self._open(node, scope, node.name)
            self._push(node, scope, skip=("body",))
            self._push_all(node, node.body, inner)
        elif isinstance(node, _COMPREHENSIONS):
            self._comprehension(node, scope)
        else:
            self._bind_statement(node, scope)
            self._push(node, scope)

    def _open(self, node: ast.AST, scope: Scope, name: str) -> Scope:
        path = f"{scope.path}.{name}" if scope.path else name
        inner = Scope(node, scope, path)
        self.scopes.inner[id(node)] = inner
        return inner

    def _push(self, node: ast.AST, scope: Scope, skip: tuple[str, ...] = ()) -> None:
        for name, value in ast.iter_fields(node):
            if name not in skip:
                items = value if isinstance(value, list) else [value]
                self._push_all(node, items, scope)

    def _push_all(self, parent: ast.AST, nodes: Sequence[object], scope: Scope) -> None:
        for child in nodes:
            # Contexts and operators are shared objects without a place.
            if isinstance(child, ast.AST) and not isinstance(
                child, ast.expr_context | ast.operator | ast.unaryop | ast.boolop
            ):
                self.scopes.parent[id(child)] = parent
                self.stack.append((child, scope))

    def _function(self, node: FunctionNode | ast.Lambda, scope: Scope) -> None:
        name = "<lambda>" if isinstance(node, ast.Lambda) else node.name
        if not isinstance(node, ast.Lambda):
            self._bind(scope, name, Binding("def", node))
        inner = self._open(node, scope, name)
        arguments = node.args
        positional = [*arguments.posonlyargs, *arguments.args]
        missing = len(positional) - len(arguments.defaults)
        defaults = [*[None] * missing, *arguments.defaults, *arguments.kw_defaults]
        for argument, default in zip(
            [*positional, *arguments.kwonlyargs], defaults, strict=True
        ):
            self._bind(inner, argument.arg, Binding("param", argument, default))
        for extra in (arguments.vararg, arguments.kwarg):
            if extra is not None:
                self._bind(inner, extra.arg, Binding("opaque", extra))
        # Defaults, decorators and annotations belong to the scope around.
        self._push(node, scope, skip=("body",))
        body = node.body if isinstance(node.body, list) else [node.body]
        self._push_all(node, body, inner)

    def _comprehension(self, node: ast.AST, scope: Scope) -> None:
        inner = self._open(node, scope, "<comprehension>")
        generators: list[ast.comprehension] = node.generators  # type: ignore[attr-defined]
        self._push(node, inner)
        for generator in generators:
            self._bind_loop(inner, generator.target, generator.iter)

    def _bind_statement(self, node: ast.AST, scope: Scope) -> None:
        match node:
            case ast.Import() | ast.ImportFrom():
                self._bind_import(node, scope)
            case ast.Assign():
                for target in node.targets:
                    self._bind_target(scope, target, node.value, node)
            case ast.AnnAssign() if node.value is not None:
                self._bind_target(scope, node.target, node.value, node)
            case ast.AnnAssign() if isinstance(node.target, ast.Name):
                # A dataclass field without a default: bound elsewhere, if at all.
                pass
            case ast.AugAssign():
                self._bind_target(scope, node.target, None, node)
            case ast.NamedExpr():
                self._bind_target(_function_of(scope), node.target, node.value, node)
            case ast.For() | ast.AsyncFor():
                self._bind_loop(scope, node.target, node.iter)
            case ast.withitem() if node.optional_vars is not None:
                value = node.context_expr
                self._bind_target(scope, node.optional_vars, value, node)
            case ast.ExceptHandler() | ast.MatchStar() | ast.MatchAs() if node.name:
                self._bind(scope, node.name, Binding("opaque", node))
            case ast.MatchMapping() if node.rest:
                self._bind(scope, node.rest, Binding("opaque", node))
            case ast.Global():
                scope.declared |= dict.fromkeys(node.names, "global")
            case ast.Nonlocal():
                scope.declared |= dict.fromkeys(node.names, "nonlocal")
            case _:
                pass

    def _bind_import(self, node: ast.Import | ast.ImportFrom, scope: Scope) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.partition(".")[0]
                target = alias.name if alias.asname else root
                self._bind(
                    scope, alias.asname or root, Binding("import", node, target=target)
                )
            return
        base = absolute_base(node, self.package)
        for alias in node.names:
            target = f"{base}.{alias.name}" if base else alias.name
            binding = Binding("import", node, target=target)
            self._bind(scope, alias.asname or alias.name, binding)

    def _bind_loop(self, scope: Scope, target: ast.expr, iterable: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self._bind(scope, target.id, Binding("item", target, iterable))
        elif isinstance(target, ast.Tuple) and len(target.elts) == 2:
            # `for i, x in enumerate(xs)` is the one shape worth following.
            counted = (
                isinstance(iterable, ast.Call)
                and isinstance(iterable.func, ast.Name)
                and iterable.func.id == "enumerate"
                and bool(iterable.args)
            )
            self._bind_target(scope, target.elts[0], None, target)
            if counted and isinstance(iterable, ast.Call):
                self._bind_loop(scope, target.elts[1], iterable.args[0])
            else:
                self._bind_target(scope, target.elts[1], None, target)
        else:
            self._bind_target(scope, target, None, target)

    def _bind_target(
        self, scope: Scope, target: ast.expr, value: ast.expr | None, node: ast.AST
    ) -> None:
        match target:
            case ast.Name():
                kind: Kind = "opaque" if value is None else "value"
                self._bind(scope, target.id, Binding(kind, node, value))
            case ast.Tuple() | ast.List():
                values: list[ast.expr | None] = [None] * len(target.elts)
                if isinstance(value, ast.Tuple | ast.List):
                    same = len(value.elts) == len(target.elts)
                    values = list(value.elts) if same else values
                for part, item in zip(target.elts, values, strict=True):
                    self._bind_target(scope, part, item, node)
            case ast.Starred():
                self._bind_target(scope, target.value, None, node)
            case ast.Attribute():
                stores = self.scopes.attributes.setdefault(target.attr, [])
                stores.append((target, value))
            case ast.Subscript():
                self.scopes.items.append((target, value))
            case _:
                pass

    def _bind(self, scope: Scope, name: str, binding: Binding) -> None:
        if scope.declared.get(name) == "global":
            scope = self.scopes.top
        elif scope.declared.get(name) == "nonlocal" and scope.parent is not None:
            found = self.scopes.lookup(name, scope.parent)
            scope = found[0] if found else scope
        scope.names.setdefault(name, []).append(binding)


def _function_of(scope: Scope) -> Scope:
    """Give the scope that `:=` binds in: comprehensions are transparent to it."""
    while isinstance(scope.node, _COMPREHENSIONS) and scope.parent is not None:
        scope = scope.parent
    return scope
