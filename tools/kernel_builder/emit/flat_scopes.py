"""Which global names each top-level statement binds and reads, as Python scopes them.

One walk over a syntax tree gives every top-level statement as a `Unit`: the module
names it binds, the global names it reads and in what role, and the constructs in it
that a rule may forbid. Names are resolved as the compiler does it: class scopes are
invisible to the functions inside them, comprehensions have scopes of their own, a
walrus in one binds outside it, private names are mangled.
"""

import ast
from collections.abc import Callable, Iterator
from typing import Final

from kernel_builder.emit.flat_notes import Notes
from kernel_builder.emit.flat_units import (
    ANY_PLACE,
    CLASS_SAFE_ROLES,
    Unit,
    Use,
    statement_lines,
)

_Comprehension = ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp


class _Scope:
    __slots__ = ("bound", "globals", "kind", "parent", "uses")

    def __init__(self, kind: str, parent: "_Scope | None") -> None:
        self.kind = kind
        self.parent = parent
        self.bound: set[str] = set()
        self.globals: set[str] = set()
        self.uses: list[tuple[str, ast.AST, str]] = []


def units_of(tree: ast.Module) -> list[Unit]:
    """Analyse every top-level statement of a module."""
    return [_Walker(node).unit for node in tree.body]


class _Walker(Notes):
    """The walk over one top-level statement."""

    def __init__(self, node: ast.stmt) -> None:
        super().__init__()
        first, last = statement_lines(node)
        self.unit = Unit(node, first, last)
        self.module = _Scope("module", None)
        self.scope = self.module
        self.scopes = [self.module]
        self.class_name = ""
        self.annotation = False
        self.visit(node)
        self._resolve()

    # -- walking

    def visit(self, node: ast.AST) -> None:
        _VISITORS[node.__class__](self, node)

    def within(self, kind: str, work: Callable[[], None]) -> None:
        outer = self.scope
        self.scope = _Scope(kind, outer)
        self.scopes.append(self.scope)
        work()
        self.scope = outer

    def annotated(self, node: ast.AST | None) -> None:
        if node is None:
            return
        before, self.annotation = self.annotation, True
        self.visit(node)
        self.annotation = before

    def bind(self, name: str, node: ast.AST, scope: _Scope | None = None) -> None:
        scope = scope or self.scope
        name = self.mangle(name)
        if scope is self.module:
            self.unit.binds.setdefault(name, node)
        elif name in scope.globals:
            self.unit.global_binds.setdefault(name, node)
        else:
            scope.bound.add(name)

    def mangle(self, name: str) -> str:
        if not self.class_name or name[:2] != "__" or name[-2:] == "__":
            return name
        owner = self.class_name.lstrip("_")  # a class named _ or __ mangles nothing
        return f"_{owner}{name}" if owner else name

    # -- expressions

    def name(self, node: ast.Name) -> None:
        if node.ctx.__class__ is not ast.Load:
            self.bind(node.id, node)
            return
        name = node.id
        role = "annotation" if self.annotation else self.roles.get(id(node), "load")
        if self.class_name:
            if name in ("__class__", "cls") and role not in CLASS_SAFE_ROLES:
                self.unit.class_values.append(node)
            name = self.mangle(name)
        self.scope.uses.append((name, node, role))

    def constant(self, node: ast.Constant) -> None:
        if type(node.value) is not str:
            return
        if self.annotation:
            self._string_annotation(node)
        else:
            self.unit.strings.append(node)

    def _string_annotation(self, node: ast.Constant) -> None:
        try:
            tree = ast.parse(str(node.value), mode="eval")
        except SyntaxError:
            return
        for item in ast.walk(tree):
            if isinstance(item, ast.Name):
                self.scope.uses.append((self.mangle(item.id), node, "string"))

    def named(self, node: ast.NamedExpr) -> None:
        scope = self.scope
        while scope.kind == "comprehension" and scope.parent is not None:
            scope = scope.parent
        self.bind(node.target.id, node.target, scope)
        self.assign(node.target, node.value)
        self.visit(node.value)

    def comprehension(self, node: _Comprehension) -> None:
        generators = node.generators
        for part in generators:
            if isinstance(part.iter, ast.Name):
                self.role(part.iter, "iterate")
            self.assign(part.target, part.iter)
        self.visit(generators[0].iter)

        def inside() -> None:
            for number, part in enumerate(generators):
                self.visit(part.target)
                if number:
                    self.visit(part.iter)
                self.all(part.ifs)
            if isinstance(node, ast.DictComp):
                self.all([node.key, node.value])
            else:
                self.visit(node.elt)

        self.within("comprehension", inside)

    def lambda_(self, node: ast.Lambda) -> None:
        self._defaults(node.args)

        def inside() -> None:
            self._bind_arguments(node.args)
            self.visit(node.body)

        self.within("lambda", inside)

    # -- statements

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.all(node.decorator_list)
        self.bind(node.name, node)
        self._defaults(node.args)

        def signature() -> None:
            self._type_parameters(node)
            for argument in _arguments(node.args):
                self.annotated(argument.annotation)
            self.annotated(node.returns)
            self.within("function", body)

        def body() -> None:
            self._bind_arguments(node.args, self._called_as(node))
            self.all(node.body)

        self._in_type_scope(node, signature)

    def _called_as(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
        """The name in a call; a method's is led by a dot, as its first argument is."""
        if self.scope.parent is None or self.scope.parent.kind != "class":
            return node.name
        return f".{self.class_name}" if node.name == "__init__" else f".{node.name}"

    def class_(self, node: ast.ClassDef) -> None:
        self.all(node.decorator_list)
        self.bind(node.name, node)

        def heading() -> None:
            self._type_parameters(node)
            for base in node.bases:
                self.role(base, "base")
            self.all([*node.bases, *node.keywords])
            before, self.class_name = self.class_name, node.name
            self.within("class", lambda: self.all(node.body))
            self.class_name = before

        self._in_type_scope(node, heading)

    def _in_type_scope(self, node: ast.AST, work: Callable[[], None]) -> None:
        if getattr(node, "type_params", None):
            self.within("type", work)
        else:
            work()

    def _type_parameters(self, node: ast.AST) -> None:
        for parameter in getattr(node, "type_params", ()):
            self.bind(parameter.name, parameter)
            for part in ("bound", "default_value"):
                self.annotated(getattr(parameter, part, None))

    def type_alias(self, node: ast.AST) -> None:
        target = node.name  # type: ignore[attr-defined]
        self.bind(target.id, target)

        def inside() -> None:
            self._type_parameters(node)
            self.annotated(node.value)  # type: ignore[attr-defined]

        self.within("type", inside)

    def _defaults(self, args: ast.arguments) -> None:
        self.all([*args.defaults, *args.kw_defaults])

    def _bind_arguments(self, args: ast.arguments, function: str = "") -> None:
        for name, value in _argument_defaults(args):
            self.unit.assigned.setdefault(name, []).append(value)
        for number, argument in enumerate(_arguments(args)):
            self.bind(argument.arg, argument)
            if function:
                several = argument is args.vararg or argument is args.kwarg
                places = self.unit.parameters.setdefault(argument.arg, [])
                places.append((function, ANY_PLACE if several else number))

    def annotated_assignment(self, node: ast.AnnAssign) -> None:
        self.annotated(node.annotation)
        if node.value is not None:
            self.assign(node.target, node.value)
            self.visit(node.value)
        elif isinstance(node.target, ast.Name) and not node.simple:
            return  # `(x): int` declares nothing
        self.visit(node.target)

    def augmented_assignment(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            name = self.mangle(node.target.id)
            self.scope.uses.append((name, node.target, "load"))
        self.assign(node.target, node.value)
        self.children(node)

    def handler(self, node: ast.ExceptHandler) -> None:
        self.role(node.type, "except")
        if node.name:
            self.bind(node.name, node)
            self.unit.caught.add(node.name)
        self.children(node)

    def import_(self, node: ast.Import | ast.ImportFrom) -> None:
        self.unit.imports.append(node)
        for alias in node.names:
            if alias.name == "*":
                continue
            name = alias.asname or alias.name
            if isinstance(node, ast.Import) and not alias.asname:
                name = name.split(".")[0]
            self.bind(name, node)

    def global_(self, node: ast.Global) -> None:
        if self.scope is not self.module:
            self.scope.globals.update(self.mangle(name) for name in node.names)

    def nonlocal_(self, node: ast.Nonlocal) -> None:
        self.scope.bound.update(self.mangle(name) for name in node.names)

    def match_capture(self, node: ast.MatchAs | ast.MatchStar) -> None:
        if node.name:
            self.bind(node.name, node)
        self.children(node)

    def match_mapping(self, node: ast.MatchMapping) -> None:
        if node.rest:
            self.bind(node.rest, node)
        self.children(node)

    def match_class(self, node: ast.MatchClass) -> None:
        self.role(node.cls, "test")
        self.children(node)

    # -- resolving

    def _resolve(self) -> None:
        for scope in self.scopes:
            later = _in_function(scope)
            for name, node, role in scope.uses:
                if _is_global(scope, name):
                    self.unit.uses.append(Use(name, node, role, later))


def _in_function(scope: _Scope) -> bool:
    current: _Scope | None = scope
    while current is not None:
        if current.kind in ("function", "lambda", "type"):
            return True
        current = current.parent
    return False


def _is_global(scope: _Scope, name: str) -> bool:
    # A class body that binds a name may still read the global of that name before.
    if name in scope.globals or scope.kind in ("class", "module"):
        if scope.kind == "module" or name in scope.globals or name in scope.bound:
            return True
    elif name in scope.bound:
        return False
    current = scope.parent
    while current is not None:
        if current.kind != "class":
            if name in current.globals:
                return True
            if name in current.bound:
                return False
        current = current.parent
    return True


def _argument_defaults(args: ast.arguments) -> Iterator[tuple[str, ast.expr]]:
    places = [*args.posonlyargs, *args.args]
    for argument, value in zip(places[::-1], args.defaults[::-1], strict=False):
        yield argument.arg, value
    for argument, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        if default is not None:
            yield argument.arg, default


def _arguments(args: ast.arguments) -> Iterator[ast.arg]:
    yield from (*args.posonlyargs, *args.args, *args.kwonlyargs)
    if args.vararg:
        yield args.vararg
    if args.kwarg:
        yield args.kwarg


class _Visitors(dict[type, Callable[..., None]]):
    """How to walk over each kind of node; most are no more than their parts."""

    def __missing__(self, kind: type) -> Callable[..., None]:
        self[kind] = Notes.children
        return Notes.children


_VISITORS: Final = _Visitors(
    {
        ast.Name: _Walker.name,
        ast.Attribute: _Walker.attribute,
        ast.Constant: _Walker.constant,
        ast.Call: _Walker.call,
        ast.Compare: _Walker.compare,
        ast.Subscript: _Walker.subscript,
        ast.Raise: _Walker.raised,
        ast.Assert: _Walker.asserted,
        ast.Match: _Walker.matched,
        ast.FormattedValue: _Walker.formatted,
        ast.BinOp: _Walker.operation,
        ast.Assign: _Walker.assignment,
        ast.With: _Walker.with_,
        ast.AsyncWith: _Walker.with_,
        ast.For: _Walker.loop,
        ast.AsyncFor: _Walker.loop,
        ast.NamedExpr: _Walker.named,
        ast.Lambda: _Walker.lambda_,
        ast.FunctionDef: _Walker.function,
        ast.AsyncFunctionDef: _Walker.function,
        ast.ClassDef: _Walker.class_,
        ast.AnnAssign: _Walker.annotated_assignment,
        ast.AugAssign: _Walker.augmented_assignment,
        ast.ExceptHandler: _Walker.handler,
        ast.Import: _Walker.import_,
        ast.ImportFrom: _Walker.import_,
        ast.Global: _Walker.global_,
        ast.Nonlocal: _Walker.nonlocal_,
        ast.MatchAs: _Walker.match_capture,
        ast.MatchStar: _Walker.match_capture,
        ast.MatchMapping: _Walker.match_mapping,
        ast.MatchClass: _Walker.match_class,
        ast.ListComp: _Walker.comprehension,
        ast.SetComp: _Walker.comprehension,
        ast.GeneratorExp: _Walker.comprehension,
        ast.DictComp: _Walker.comprehension,
    }
)
if hasattr(ast, "TypeAlias"):  # Python 3.12
    _VISITORS[ast.TypeAlias] = _Walker.type_alias
