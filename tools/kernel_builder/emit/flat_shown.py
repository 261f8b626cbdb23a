"""Find objects that would be printed with the name of their class's module.

An object without a `__repr__` of its own shows as `<module.Class object at 0x...>`, and
a class as `<class 'module.Class'>`. Where such a value reaches a print, an f-string, a
log call or the like, one joined file would show `__main__`. Values are followed through
assignments, containers, attributes and the functions that return them.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from kernel_builder.emit.flat_classes import Classes
from kernel_builder.emit.flat_inert import dotted_target
from kernel_builder.emit.flat_reach import Plan
from kernel_builder.emit.flat_tables import Refusal, Table, Target, refuse
from kernel_builder.emit.flat_units import ANY_PLACE, Unit
from kernel_builder.emit.flat_values import (
    Function,
    binds,
    callee,
    generates,
    inside,
    returned,
)
from kernel_builder.read.project import KIT

# Calls whose result is never, and never holds, an object they are given.
_DIGESTING = frozenset(
    {"abs", "all", "any", "bin", "bool", "bytes", "callable", "chr", "complex", "float"}
    | {"format", "hasattr", "hash", "hex", "id", "int", "isinstance", "issubclass"}
    | {"len", "oct", "open", "ord", "pow", "print", "range", "repr", "round", "str"}
)
# Third-party calls that hand on what they are given.
_HOLDERS = ("collections.", "copy.", "functools.", "heapq.", "itertools.", "operator.")
_HOLDING = frozenset(
    {"numpy.array", "numpy.asarray", "numpy.full", "numpy.fromiter", "numpy.stack"}
    | {"pandas.DataFrame", "pandas.Series", "types.SimpleNamespace", "weakref.ref"}
    | {"dataclasses.field", "dataclasses.replace", "dataclasses.asdict"}
    | {"dataclasses.astuple", "random.choice", "random.sample", "queue.Queue"}
)
# Methods of built-in values that hand on what is in them.
_TAKING = frozenset(
    {"copy", "get", "items", "pop", "popitem", "popleft", "setdefault", "values", "map"}
    | {"get_nowait", "to_list", "tolist", "item", "apply", "most_common", "result"}
)
# What holds the parts of an exception.
_HELD = frozenset({"args", "exceptions", "__cause__", "__context__", "__notes__"})
_MAKERS = frozenset(
    {"collections.namedtuple", "typing.NamedTuple", "dataclasses.make_dataclass"}
)

# An expression with the module and statement it stands in.
_Value = tuple[Table, Unit, ast.expr]
_Method = tuple[Table, Unit, Function, str]


@dataclass(eq=False)
class Shown:
    """What is known about the values of a plan's kept code.

    Objects count that show their module when printed; with `every` all objects of
    inlined classes do, as in a pickle.
    """

    plan: Plan
    classes: Classes
    every: bool = False
    _by_method: dict[str, list[_Method]] | None = None
    _attributes: dict[str, list[_Value]] | None = None
    _makers: bool | None = None
    _calls: dict[str, list[tuple[Table, Unit, ast.Call]]] | None = None
    _passed: dict[str, list[_Value]] = field(default_factory=dict)
    _clean: set[int] = field(default_factory=set)

    def check(self, table: Table, unit: Unit) -> Iterator[Refusal]:
        """Find shown values in one statement."""
        for node in unit.shown:
            if self.shows(table, unit, node):
                yield refuse(
                    table,
                    node,
                    "class-identity",
                    "this may show an object of a class without `__repr__`, which "
                    "names its module",
                    "give the class a `__repr__`, or show a value of the object",
                )

    def shows(self, table: Table, unit: Unit, node: ast.expr) -> bool:
        """Say whether a value may be, or hold, an object that shows its module."""
        seen = set(self._clean)
        work: list[_Value] = [(table, unit, node)]
        while work:
            place, where, value = work.pop()
            if id(value) not in seen:
                seen.add(id(value))
                if self._tells(place, where, value):
                    return True
                work.extend(self._parts(place, where, value))
        self._clean = seen  # all of it was followed to its end
        return False

    def _tells(self, table: Table, unit: Unit, node: ast.expr) -> bool:
        owner = getattr(unit.node, "name", "")
        if isinstance(node, ast.Name) and isinstance(unit.node, ast.ClassDef):
            if node.id == "cls":
                return self._inlined(table)
            target = Target("own", table.module.name, owner)
            return node.id == "self" and self._inlined(table) and self._counts(target)
        if isinstance(node, ast.Call):
            made = self._made(table, node, owner)
            if made is not None:
                return self._counts(made)
            asked = dotted_target(self.plan.tables, table, node.func)
            return asked is not None and asked.name == "dataclasses.fields"
        if isinstance(node, ast.Attribute):  # a bound method shows its object
            return any(
                self._inlined(place)
                and binds(function)
                and self._counts(Target("own", place.module.name, name))
                for place, _, function, name in self._methods().get(node.attr, ())
            )
        return False

    def _counts(self, target: Target) -> bool:
        return self.classes.is_inlined(target) and (
            self.every or self.classes.is_plain(target)
        )

    def _parts(self, table: Table, unit: Unit, node: ast.expr) -> Iterator[_Value]:
        """Give the expressions whose values `node` may hold."""
        if isinstance(node, ast.Name):
            yield from self._named(table, unit, node.id)
        elif _trusted(table) and isinstance(node, ast.Attribute | ast.Call):
            # The kit hands on none of the user's objects: only its own could show.
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                yield table, unit, node.func
        elif isinstance(node, ast.Attribute):
            yield from self._attribute(node.attr)
            for name in (node.attr, "__getattr__", "__getattribute__"):
                for place, where, function, _ in self._methods().get(name, ()):
                    for value in returned(function):
                        yield place, where, value
            result = node.attr == "value" and "StopIteration" in unit.names
            if node.attr in _HELD or result or self._has_makers():
                yield table, unit, node.value
            if node.attr == "__dict__":
                yield from self._every_attribute()
        elif isinstance(node, ast.Call):
            yield from self._called(table, unit, node)
        else:
            for value in inside(node):
                yield table, unit, value

    def _named(self, table: Table, unit: Unit, name: str) -> Iterator[_Value]:
        for value in unit.assigned.get(name, ()):
            yield table, unit, value
        if name in unit.caught:
            yield from self._raised()
        if not _trusted(table):
            for function, number in unit.parameters.get(name, ()):
                yield from self._arguments(function, number, name)
        target = self.plan.tables.resolve(table.module.name, name)
        if target is None or target.kind != "own":
            return
        owner = self.plan.tables.by_name[target.module]
        for binding in owner.bindings.get(target.name, ()):
            if isinstance(binding.node, Function):
                for value in returned(binding.node):
                    yield owner, binding.unit, value
        for other in self._changing(owner, target.name):
            for value in other.assigned.get(target.name, ()):
                yield owner, other, value

    def _raised(self) -> Iterator[_Value]:
        """Give what an exception may hold; a StopIteration holds a result."""
        for table in self._own():
            for unit in self.plan.kept_units(table):
                for value in unit.raised:
                    yield table, unit, value
                for item in ast.walk(unit.node):
                    if isinstance(item, Function) and generates(item):
                        for value in returned(item):
                            yield table, unit, value

    def _has_makers(self) -> bool:
        """Say whether some class with fields is made by a call, as by namedtuple."""
        if self._makers is None:
            self._makers = any(
                target is not None and target.name in _MAKERS
                for table in self._own()
                for unit in self.plan.kept_units(table)
                for call in unit.calls
                for target in [dotted_target(self.plan.tables, table, call.func)]
            )
        return self._makers

    def _own(self) -> Iterator[Table]:
        return (t for t in self.plan.tables.by_name.values() if not _trusted(t))

    def _changing(self, table: Table, name: str) -> Iterator[Unit]:
        """Give the statements that bind a global or put something into it."""
        for unit in self.plan.kept_units(table):
            if name in unit.assigned:
                yield unit

    def _called(self, table: Table, unit: Unit, node: ast.Call) -> Iterator[_Value]:
        """Give what a call may return: of the project's functions, or handed on."""
        given = [*node.args, *(item.value for item in node.keywords)]
        function = node.func
        target = dotted_target(self.plan.tables, table, function)
        if target is not None and self.classes.is_class(target):
            given += self._answers(target)
        elif isinstance(function, ast.Attribute) and target is None:
            yield from self._parts(table, unit, function)
            if function.attr in _TAKING or function.attr not in self._methods():
                yield table, unit, function.value
        elif isinstance(function, ast.Name) and target is None:
            if function.id in _DIGESTING and function.id not in table.bindings:
                return
            if function.id == "vars":
                yield from self._every_attribute()
            elif function.id == "locals":
                for values in unit.assigned.values():
                    yield from ((table, unit, value) for value in values)
            elif function.id == "getattr" and len(given) > 1:
                yield from self._asked(table, unit, *given[:2])
                given = given[2:]
            yield table, unit, function
        elif target is not None and target.kind == "ext":
            if target.name not in _HOLDING and not target.name.startswith(_HOLDERS):
                return
        else:
            yield table, unit, function
            if self._is_function(target):
                given = []  # its parameters are followed
        for value in given:
            yield table, unit, value

    def _is_function(self, target: Target | None) -> bool:
        owner = self.plan.tables.by_name.get(target.module) if target else None
        bindings = owner.bindings.get(target.name, ()) if owner and target else ()
        return any(isinstance(binding.node, Function) for binding in bindings)

    def _asked(
        self, table: Table, unit: Unit, value: ast.expr, name: ast.expr
    ) -> Iterator[_Value]:
        if isinstance(name, ast.Constant):
            asked = ast.Attribute(value, str(name.value), ast.Load())
            yield table, unit, ast.copy_location(asked, name)
        else:
            yield from self._every_attribute()

    def _answers(self, target: Target) -> list[ast.expr]:
        """Give what an object itself may hand out: items, results, defaults."""
        table = self.plan.tables.by_name[target.module]
        found: list[ast.expr] = []
        for binding in table.bindings.get(target.name, ()):
            for item in getattr(binding.node, "body", ()):
                if isinstance(item, Function) and item.name.startswith("__"):
                    found.extend(returned(item))
                elif isinstance(item, ast.AnnAssign) and item.value is not None:
                    found.append(item.value)
        return found

    def _methods(self) -> dict[str, list[_Method]]:
        if self._by_method is None:
            self._by_method = {}
            for table in self.plan.tables.by_name.values():
                for unit in self.plan.kept_units(table):
                    if isinstance(unit.node, ast.ClassDef):
                        for item in unit.node.body:
                            if isinstance(item, Function):
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
                        places = self._calls.setdefault(callee(call), [])
                        places.append((table, unit, call))
                        self._hand_over(table, unit, call)
        yield from self._passed.get(function.lstrip("."), ())
        place = number - 1 if function.startswith(".") else number
        for table, unit, call in self._calls.get(function.lstrip("."), ()):
            spread = any(isinstance(value, ast.Starred) for value in call.args)
            if spread or number == ANY_PLACE:
                yield from ((table, unit, value) for value in call.args)
            elif 0 <= place < len(call.args):
                yield table, unit, call.args[place]
            for keyword in call.keywords:
                if keyword.arg in (name, None) or number == ANY_PLACE:
                    yield table, unit, keyword.value

    def _hand_over(self, table: Table, unit: Unit, call: ast.Call) -> None:
        """A function given to a call may be called with what else it is given."""
        given = [*call.args, *(item.value for item in call.keywords)]
        for value in given:
            if isinstance(value, ast.Name | ast.Attribute):
                name = value.id if isinstance(value, ast.Name) else value.attr
                places = self._passed.setdefault(name, [])
                others = [other for other in given if other is not value]
                if isinstance(call.func, ast.Attribute):
                    others.append(call.func.value)
                places.extend((table, unit, other) for other in others)

    def _attribute(self, name: str) -> Iterator[_Value]:
        if self._attributes is None:
            self._attributes = {}
            for table in self.plan.tables.by_name.values():
                for unit in self.plan.kept_units(table):
                    for attr, value in self._set_in(table, unit):
                        places = self._attributes.setdefault(attr, [])
                        places.append((table, unit, value))
        yield from self._attributes.get(name, ())
        yield from self._attributes.get("", ())  # setattr with a computed name

    def _set_in(self, table: Table, unit: Unit) -> Iterator[tuple[str, ast.expr]]:
        """Give the attributes that a statement sets: also in class bodies, by calls."""
        for attr, values in unit.attributes_set.items():
            yield from ((attr, value) for value in values)
        if isinstance(unit.node, ast.ClassDef):
            for name, values in unit.assigned.items():
                yield from ((name, value) for value in values)
        for call in unit.calls:
            for keyword in call.keywords:
                if keyword.arg:
                    yield keyword.arg, keyword.value
            made = self._class_of(table, call) if call.args else None
            for name in self._fields(made) if made is not None else ():
                yield from ((name, value) for value in call.args)

    def _fields(self, target: Target) -> Iterator[str]:
        table = self.plan.tables.by_name[target.module]
        for binding in table.bindings.get(target.name, ()):
            for item in getattr(binding.node, "body", ()):
                if isinstance(item, ast.AnnAssign) and isinstance(
                    item.target, ast.Name
                ):
                    yield item.target.id

    def _every_attribute(self) -> Iterator[_Value]:
        """Give what the attributes of the user's own objects may hold."""
        list(self._attribute(""))
        for values in (self._attributes or {}).values():
            for value in values:
                if not _trusted(value[0]):
                    yield value

    def _made(self, table: Table, node: ast.Call, owner: str) -> Target | None:
        """Give the inlined class that a call makes an object of."""
        if not isinstance(node.func, ast.Name):
            return None
        if node.func.id in ("cls", "__class__") and owner:
            target = Target("own", table.module.name, owner)
            return target if self.classes.is_inlined(target) else None
        found = self.plan.tables.resolve(table.module.name, node.func.id)
        return found if found is not None and self.classes.is_inlined(found) else None

    def _class_of(self, table: Table, node: ast.Call) -> Target | None:
        found = dotted_target(self.plan.tables, table, node.func)
        return found if found is not None and self.classes.is_class(found) else None

    def _inlined(self, table: Table) -> bool:
        return table is not self.plan.tables.entry


def _trusted(table: Table) -> bool:
    return table.module.name.startswith(f"{KIT}.")
