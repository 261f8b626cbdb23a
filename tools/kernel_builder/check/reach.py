"""Which code can run on Kaggle at all.

A rule asks `Reach.live(unit, node)` before it complains about a node.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from kernel_builder.check.conditions import Conditions
from kernel_builder.check.names import FunctionNode
from kernel_builder.check.program import Program, Unit

_ENDS: Final = frozenset(
    ("sys.exit", "builtins.exit", "builtins.quit", "os._exit", "os.abort")
)


@dataclass(eq=False)
class Reach:
    """Decides reachability for one kind of run."""

    program: Program
    conditions: Conditions
    _live: dict[int, bool] = field(default_factory=dict)
    _busy: set[int] = field(default_factory=set)
    _callable: dict[int, bool] = field(default_factory=dict)
    _skipped: dict[int, set[int]] = field(default_factory=dict)

    def live(self, unit: Unit, node: ast.AST) -> bool:
        """Say whether `node` may run on Kaggle."""
        key = id(node)
        if key not in self._live:
            self._live[key] = True  # an answer that depends on itself is yes
            self._live[key] = all(self._steps(unit, node))
        return self._live[key]

    def _steps(self, unit: Unit, node: ast.AST) -> Iterator[bool]:
        for above, child in unit.scopes.ancestors(node):
            yield id(child) not in self.program.dropped
            match above:
                case ast.If() | ast.IfExp():
                    yield self._branch(unit, above, child)
                case ast.While() if child is not above.test:
                    yield self.conditions.truth(unit, above.test) is not False
                case ast.BoolOp():
                    yield self._operand(unit, above, child)
                case ast.FunctionDef() | ast.AsyncFunctionDef() if _in_body(
                    above, child
                ):
                    yield self._called_somewhere(unit, above)
                case _:
                    pass
            if isinstance(child, ast.stmt):
                yield self._after(unit, above, child)

    def _branch(self, unit: Unit, above: ast.If | ast.IfExp, child: ast.AST) -> bool:
        if child is above.test:
            return True
        body = above.body if isinstance(above.body, list) else [above.body]
        wanted = any(child is part for part in body)
        return self.conditions.truth(unit, above.test) in (wanted, None)

    def _operand(self, unit: Unit, above: ast.BoolOp, child: ast.AST) -> bool:
        stops = isinstance(above.op, ast.Or)
        for value in above.values:
            if value is child:
                return True
            if self.conditions.truth(unit, value) is stops:
                return False
        return True

    def _after(self, unit: Unit, above: ast.AST, child: ast.stmt) -> bool:
        """Say whether the statements before `child` in its block let it run."""
        key = id(above)
        if key not in self._skipped:
            self._skipped[key] = set()  # while it is being found out, all may run
            self._skipped[key] = set(self._after_ends(unit, above))
        return id(child) not in self._skipped[key]

    def _after_ends(self, unit: Unit, above: ast.AST) -> Iterator[int]:
        """Give the ids of the statements that follow one that ends their block."""
        for name in ("body", "orelse", "finalbody"):
            block = getattr(above, name, None)
            if not isinstance(block, list):
                continue
            tried = isinstance(above, ast.Try) and name == "body"
            ended = False
            for statement in block:
                if ended:
                    yield id(statement)
                elif self._ends(unit, statement) or (tried and _is_colab(statement)):
                    ended = True

    def _ends(self, unit: Unit, statement: ast.stmt) -> bool:
        """Say whether nothing after `statement` in its block can run."""
        match statement:
            case ast.Return() | ast.Raise() | ast.Continue() | ast.Break():
                return True
            case ast.Expr(value=ast.Call() as call):
                return self.program.dotted(unit, call.func) in _ENDS
            case ast.If():
                truth = self.conditions.truth(unit, statement.test)
                branches = []
                if truth is not False:
                    branches.append(statement.body)
                if truth is not True:
                    branches.append(statement.orelse)
                return all(any(self._ends(unit, s) for s in b) for b in branches)
            case _:
                return False

    def _called_somewhere(self, unit: Unit, function: FunctionNode) -> bool:
        """Say whether a function may be called; yes if nothing speaks of it."""
        key = id(function)
        if key not in self._callable:
            self._callable[key] = True  # a function that calls itself
            self._callable[key] = self._is_called(unit, function)
        return self._callable[key]

    def _is_called(self, unit: Unit, function: FunctionNode) -> bool:
        scope = unit.scopes.inner[id(function)]
        if function.decorator_list or (scope.parent and scope.parent.is_class):
            return True
        name = f"{unit.name}.{scope.path}"
        uses = self.program.uses(name)
        inside = set(map(id, ast.walk(function))) if len(uses) < 20 else set()
        uses = [use for use in uses if id(use[1]) not in inside]
        return not uses or any(self.live(where, use) for where, use in uses)

    def import_time(self, unit: Unit, node: ast.AST) -> bool:
        """Say whether `node` runs when a spawned child imports the script again.

        True at the module's top level and in functions that are called from there,
        outside every `if __name__ == "__main__"`.
        """
        for above, child in unit.scopes.ancestors(node):
            if isinstance(above, ast.If) and is_main_guard(above.test):
                return child not in above.body
            if isinstance(above, FunctionNode) and _in_body(above, child):
                scope = unit.scopes.inner[id(above)]
                uses = self.program.uses(f"{unit.name}.{scope.path}")
                if id(above) in self._busy:
                    return False
                self._busy.add(id(above))
                try:
                    return any(self.import_time(where, use) for where, use in uses)
                finally:
                    self._busy.discard(id(above))
        return True


def _is_colab(statement: ast.stmt) -> bool:
    """Say whether a statement imports what only Colab has: in a try, the rest waits."""
    if isinstance(statement, ast.ImportFrom):
        return (statement.module or "").startswith("google.colab")
    return isinstance(statement, ast.Import) and any(
        alias.name.startswith("google.colab") for alias in statement.names
    )


def is_main_guard(test: ast.expr) -> bool:
    """Say whether a condition tests `__name__ == "__main__"`."""
    names = {n.id for n in ast.walk(test) if isinstance(n, ast.Name)}
    texts = {n.value for n in ast.walk(test) if isinstance(n, ast.Constant)}
    return "__name__" in names and "__main__" in texts


def _in_body(function: FunctionNode, child: ast.AST) -> bool:
    return any(child is statement for statement in function.body)
