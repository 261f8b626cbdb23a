"""Find objects that would be printed with the name of their class's module.

An object without a `__repr__` of its own shows as `<module.Class object at 0x...>`, and
a class as `<class 'module.Class'>`. Where such a value reaches a print, an f-string, a
log call or the like, one joined file would show `__main__`. Values are followed through
assignments, containers, attributes and the functions that return them.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from kernel_builder.flat_inert import dotted_target
from kernel_builder.flat_reach import Plan
from kernel_builder.flat_tables import Refusal, Table, Target, refuse
from kernel_builder.flat_units import Unit

# Bases that bring no readable repr.
_PLAIN_BASES = frozenset(
    {"abc.ABC", "typing.Generic", "typing.Protocol", "contextlib.ContextDecorator"}
    | {"contextlib.AbstractContextManager", "torch.utils.data.Dataset"}
    | {"torch.utils.data.IterableDataset", "torch.utils.data.Sampler"}
)
_DEPTH = 6
# Calls that hand on what they are given, or what they are called on.
_PASSING = frozenset({"sorted", "list", "tuple", "reversed", "max", "min", "next"})
_TAKING = frozenset({"copy", "get", "items", "pop", "popleft", "setdefault", "values"})

# An expression with the module and statement it stands in, and the class around it.
_Value = tuple[Table, Unit, ast.expr, str]
_Method = tuple[Table, Unit, ast.FunctionDef, str]


@dataclass(eq=False)
class Shown:
    """What is known about the values of a plan's kept code."""

    plan: Plan
    _plain: dict[Target, bool] = field(default_factory=dict)
    _by_method: dict[str, list[_Method]] | None = None
    _attributes: dict[str, list[_Value]] | None = None
    _calls: dict[str, list[tuple[Table, Unit, ast.Call]]] | None = None

    def check(self, table: Table, unit: Unit) -> Iterator[Refusal]:
        """Find shown values in one statement."""
        for node, owner in unit.shown:
            if self._shows(table, unit, node, owner, _DEPTH):
                yield refuse(
                    table,
                    node,
                    "class-identity",
                    "this may show an object of a class without `__repr__`, which "
                    "names its module",
                    "give the class a `__repr__`, or show a value of the object",
                )

    def _shows(
        self, table: Table, unit: Unit, node: ast.expr, owner: str, depth: int
    ) -> bool:
        if depth == 0:
            return False
        following = list(self._parts(table, unit, node))
        if isinstance(node, ast.Name):
            if node.id == "cls" and owner:
                return True
            if node.id == "self" and owner:
                target = Target("own", table.module.name, owner)
                return self._inlined(table) and self.is_plain(target)
        if isinstance(node, ast.Call):
            made = self._made(table, node, owner)
            if made is not None:
                return self.is_plain(made)
        return any(
            self._shows(place, where, value, inside or owner, depth - 1)
            for place, where, value, inside in following
        )

    def _parts(self, table: Table, unit: Unit, node: ast.expr) -> Iterator[_Value]:
        """Give the expressions whose values `node` may hold."""
        if isinstance(node, ast.Name):
            yield from self._named(table, unit, node.id)
        elif isinstance(node, ast.Attribute):
            yield from self._attribute(node.attr)
        elif isinstance(node, ast.Call):
            yield from self._called(table, node)
            for value in _passed_through(node):
                yield table, unit, value, ""
        else:
            for value in _inside(node):
                yield table, unit, value, ""

    def _named(self, table: Table, unit: Unit, name: str) -> Iterator[_Value]:
        for value in unit.assigned.get(name, ()):
            yield table, unit, value, ""
        for function, number in unit.parameters.get(name, ()):
            yield from self._arguments(function, number, name)
        target = self.plan.tables.resolve(table.module.name, name)
        if target is None or target.kind != "own":
            return
        owner = self.plan.tables.by_name[target.module]
        for binding in owner.bindings.get(target.name, ()):
            if binding.unit is not unit:
                for value in binding.unit.assigned.get(target.name, ()):
                    yield owner, binding.unit, value, ""

    def _called(self, table: Table, node: ast.Call) -> Iterator[_Value]:
        """Give what a function of the project, or any method so named, returns."""
        if isinstance(node.func, ast.Attribute):
            for place, unit, function, owner in self._methods().get(node.func.attr, ()):
                for value in _returned(function):
                    yield place, unit, value, owner
        target = dotted_target(self.plan.tables, table, node.func)
        if target is None or target.kind != "own":
            return
        place = self.plan.tables.by_name[target.module]
        for binding in place.bindings.get(target.name, ()):
            if isinstance(binding.node, ast.FunctionDef | ast.AsyncFunctionDef):
                for value in _returned(binding.node):
                    yield place, binding.unit, value, ""

    def _methods(self) -> dict[str, list[_Method]]:
        if self._by_method is None:
            self._by_method = {}
            for table in self.plan.tables.inlined:
                for unit in self.plan.kept_units(table):
                    if isinstance(unit.node, ast.ClassDef):
                        for item in unit.node.body:
                            if isinstance(item, ast.FunctionDef):
                                found = self._by_method.setdefault(item.name, [])
                                found.append((table, unit, item, unit.node.name))
        return self._by_method

    def _arguments(self, function: str, number: int, name: str) -> Iterator[_Value]:
        """Give what calls pass for a parameter, by its place or its name."""
        if self._calls is None:
            self._calls = {}
            for table in self.plan.tables.by_name.values():
                for unit in self.plan.kept_units(table):
                    for call in unit.calls:
                        places = self._calls.setdefault(_callee(call), [])
                        places.append((table, unit, call))
        place = number - 1 if function.startswith(".") else number
        for table, unit, call in self._calls.get(function.lstrip("."), ()):
            if 0 <= place < len(call.args):
                yield table, unit, call.args[place], ""
            for keyword in call.keywords:
                if keyword.arg == name:
                    yield table, unit, keyword.value, ""

    def _attribute(self, name: str) -> Iterator[_Value]:
        if self._attributes is None:
            self._attributes = {}
            for table in self.plan.tables.by_name.values():
                for unit in self.plan.kept_units(table):
                    for attr, values in unit.attributes_set.items():
                        places = self._attributes.setdefault(attr, [])
                        places.extend((table, unit, value, "") for value in values)
        yield from self._attributes.get(name, ())

    def _made(self, table: Table, node: ast.Call, owner: str) -> Target | None:
        """Give the inlined class that a call makes an object of."""
        if not isinstance(node.func, ast.Name):
            return None
        if node.func.id == "cls" and owner:
            target = Target("own", table.module.name, owner)
            return target if self._is_class(target) else None
        found = self.plan.tables.resolve(table.module.name, node.func.id)
        return found if found is not None and self._is_class(found) else None

    def _is_class(self, target: Target) -> bool:
        if target.kind != "own" or target.module == self.plan.tables.entry.module.name:
            return False
        owner = self.plan.tables.by_name[target.module]
        bindings = owner.bindings.get(target.name, ())
        return any(isinstance(binding.node, ast.ClassDef) for binding in bindings)

    def _inlined(self, table: Table) -> bool:
        return table is not self.plan.tables.entry

    def is_plain(self, target: Target) -> bool:
        """Say whether objects of an inlined class show the class's full name."""
        if target not in self._plain:
            self._plain[target] = False  # a base of itself ends here
            self._plain[target] = self._judge(target)
        return self._plain[target]

    def _judge(self, target: Target) -> bool:
        table = self.plan.tables.by_name[target.module]
        for binding in table.bindings.get(target.name, ()):
            node = binding.node
            if isinstance(node, ast.ClassDef):
                return not self._has_repr(table, node)
        return False

    def _has_repr(self, table: Table, node: ast.ClassDef) -> bool:
        if any(getattr(item, "name", "") == "__repr__" for item in node.body):
            return True
        for decorator in node.decorator_list:
            function = decorator.func if isinstance(decorator, ast.Call) else decorator
            target = dotted_target(self.plan.tables, table, function)
            if target is not None and target.name == "dataclasses.dataclass":
                return not _says_no_repr(decorator)
        return any(self._base_has_repr(table, base) for base in node.bases)

    def _base_has_repr(self, table: Table, base: ast.expr) -> bool:
        if isinstance(base, ast.Subscript):
            base = base.value
        if isinstance(base, ast.Call):
            return True  # namedtuple(...)
        target = dotted_target(self.plan.tables, table, base)
        if target is None:
            return not (isinstance(base, ast.Name) and base.id == "object")
        if target.kind == "own":
            return not self.is_plain(target)
        return target.name not in _PLAIN_BASES


def _says_no_repr(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and any(
        item.arg == "repr" for item in decorator.keywords
    )


def _callee(node: ast.Call) -> str:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _passed_through(node: ast.Call) -> Iterator[ast.expr]:
    if isinstance(node.func, ast.Name) and node.func.id in _PASSING:
        yield from node.args
    elif isinstance(node.func, ast.Attribute) and node.func.attr in _TAKING:
        yield node.func.value


def _returned(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.expr]:
    for item in ast.walk(node):
        if isinstance(item, ast.Return | ast.Yield) and item.value is not None:
            yield item.value


def _inside(node: ast.expr) -> Iterator[ast.expr]:
    """Give the parts of a container or choice that may be its value or in it."""
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        yield from node.elts
    elif isinstance(node, ast.Dict):
        yield from (part for part in (*node.keys, *node.values) if part is not None)
    elif isinstance(node, ast.Starred | ast.Await | ast.Subscript | ast.NamedExpr):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from (node.body, node.orelse)
    elif isinstance(node, ast.BoolOp):
        yield from node.values
    elif isinstance(node, ast.BinOp):
        yield from (node.left, node.right)
    elif isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp):
        yield node.elt
    elif isinstance(node, ast.DictComp):
        yield from (node.key, node.value)
