"""Which expressions a name, an attribute, an item or a parameter may be bound to."""

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from kernel_builder.check.names import Binding, Scope
from kernel_builder.check.program import Program, Unit

_LIMIT: Final = 8


@dataclass(eq=False)
class Assigned:
    """Follows assignments, imports and calls over a whole program.

    `live` says whether a node can run on Kaggle at all; assignments that cannot do not
    count.
    """

    program: Program
    live: Callable[[Unit, ast.AST], bool] = lambda unit, node: True

    def sources(self, unit: Unit, expr: ast.expr) -> list[tuple[Unit, ast.expr | None]]:
        """Give the expressions a name, attribute or item may be bound to.

        None stands for a value that only running code knows.
        """
        match expr:
            case ast.Name():
                scope = unit.scopes.of.get(id(expr), unit.scopes.top)
                found = unit.scopes.lookup(expr.id, scope)
                return self._of_bindings(unit, found[1], found[0]) if found else []
            case ast.Attribute():
                return self._of_attribute(unit, expr)
            case ast.Subscript():
                return self._of_item(unit, expr)
            case _:
                return []

    def _of_bindings(
        self, unit: Unit, bindings: Sequence[Binding], scope: Scope | None = None
    ) -> list[tuple[Unit, ast.expr | None]]:
        answer: list[tuple[Unit, ast.expr | None]] = []
        for binding in bindings:
            if not self.live(unit, binding.node):
                continue
            if binding.kind == "import":
                answer.extend(self._of_import(binding.target))
            elif binding.kind == "item" and binding.value is not None:
                answer.extend(self._of_items(unit, binding.value))
            elif binding.kind == "param" and scope is not None:
                answer.extend(self._of_parameter(unit, scope, binding))
            else:
                answer.append((unit, binding.value))
        return answer

    def _of_parameter(
        self, unit: Unit, scope: Scope, binding: Binding
    ) -> list[tuple[Unit, ast.expr | None]]:
        """Give what the calls of a function pass for one parameter, and its default."""
        calls = self._calls_of(unit, scope)
        place = _position(scope, binding)
        if calls is None or place is None:
            known = [(unit, binding.value)] if binding.value is not None else []
            return [*known, (unit, None)]
        answer: list[tuple[Unit, ast.expr | None]] = []
        for where, call in calls:
            passed = _passed(call, place, binding.node)
            answer.append(
                (where, passed) if passed is not None else (unit, binding.value)
            )
        return list(dict.fromkeys(answer))

    def _calls_of(self, unit: Unit, scope: Scope) -> list[tuple[Unit, ast.Call]] | None:
        """Give every call of a function; None where others may call it too."""
        node = scope.node
        if isinstance(node, ast.Lambda) or getattr(node, "decorator_list", None):
            return None
        name = f"{unit.name}.{scope.path}"
        uses = self.program.uses(name.removesuffix(".__init__"))
        calls: list[tuple[Unit, ast.Call]] = []
        for where, use in uses:
            call = where.parent(use)
            if not isinstance(call, ast.Call) or call.func is not use:
                return None
            if self.live(where, call):
                calls.append((where, call))
        return calls[:_LIMIT] or None

    def _of_import(self, target: str) -> list[tuple[Unit, ast.expr | None]]:
        unit, rest = self.program.split(target)
        if unit is None or not rest or "." in rest:
            return [(self.program.entry, None)]
        return self._of_bindings(unit, unit.scopes.top.names.get(rest, []))

    def _of_items(
        self, unit: Unit, iterable: ast.expr
    ) -> list[tuple[Unit, ast.expr | None]]:
        for where, value in [(unit, iterable), *self.sources(unit, iterable)]:
            if isinstance(value, ast.List | ast.Tuple | ast.Set):
                return [(where, item) for item in value.elts]
        return [(unit, None)]

    def _of_attribute(
        self, unit: Unit, expr: ast.Attribute
    ) -> list[tuple[Unit, ast.expr | None]]:
        base = self.program.dotted(unit, expr.value)
        if base is None:
            return []
        found = self.program.definition(base.removesuffix("()"))
        if found is not None and isinstance(found[1], ast.ClassDef):
            owner, _, scope = found
            return self._of_class(owner, scope, expr.attr, base.removesuffix("()"))
        module, rest = self.program.split(base)
        if module is not None and not rest:
            return self._of_bindings(module, module.scopes.top.names.get(expr.attr, []))
        return []

    def _of_class(
        self, unit: Unit, scope: Scope, attribute: str, name: str
    ) -> list[tuple[Unit, ast.expr | None]]:
        answer = self._of_bindings(unit, scope.names.get(attribute, []))
        for other in self.program.units:
            for target, value in other.scopes.attributes.get(attribute, []):
                base = self.program.dotted(other, target.value) or ""
                if base.removesuffix("()") == name and self.live(other, target):
                    answer.append((other, value))
        return answer

    def _of_item(
        self, unit: Unit, expr: ast.Subscript
    ) -> list[tuple[Unit, ast.expr | None]]:
        key = expr.slice.value if isinstance(expr.slice, ast.Constant) else None
        if not isinstance(key, str | int):
            return []
        answer: list[tuple[Unit, ast.expr | None]] = []
        for where, value in self.sources(unit, expr.value):
            if isinstance(value, ast.Dict):
                for name, item in zip(value.keys, value.values, strict=True):
                    if isinstance(name, ast.Constant) and name.value == key:
                        answer.append((where, item))
            elif isinstance(value, ast.List | ast.Tuple) and isinstance(key, int):
                answer.extend((where, item) for item in value.elts[key : key + 1])
        return answer


def _position(scope: Scope, binding: Binding) -> int | None:
    """Say which positional argument of a call a parameter takes; -1 for none."""
    arguments: ast.arguments | None = getattr(scope.node, "args", None)
    if arguments is None:
        return None
    positional = [*arguments.posonlyargs, *arguments.args]
    bound = 1 if scope.parent is not None and scope.parent.is_class else 0
    for index, argument in enumerate(positional):
        if argument is binding.node:
            return index - bound if index >= bound else None
    return -1


def _passed(call: ast.Call, place: int, parameter: ast.AST) -> ast.expr | None:
    name = parameter.arg if isinstance(parameter, ast.arg) else ""
    for item in call.keywords:
        if item.arg == name:
            return item.value
        if item.arg is None:
            return item.value  # **options: something that only running code knows
    before = call.args[: place + 1]
    if any(isinstance(item, ast.Starred) for item in before):
        return before[-1]
    return before[place] if 0 <= place < len(before) else None
