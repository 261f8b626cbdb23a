"""Which classes of a kernel show the name of their module when printed."""

import ast
from dataclasses import dataclass, field

from kernel_builder.emit.flat_inert import dotted_target
from kernel_builder.emit.flat_tables import Table, Tables, Target

# Bases that bring no readable repr.
_PLAIN_BASES = frozenset(
    {"abc.ABC", "typing.Generic", "typing.Protocol", "contextlib.ContextDecorator"}
    | {"contextlib.AbstractContextManager", "torch.utils.data.Dataset"}
    | {"torch.utils.data.IterableDataset", "torch.utils.data.Sampler"}
)


@dataclass(eq=False)
class Classes:
    """What is known about the classes that the modules define at their top level."""

    tables: Tables
    _plain: dict[Target, bool] = field(default_factory=dict)

    def is_class(self, target: Target) -> bool:
        """Say whether a name stands for a class of a module or of the kernel."""
        if target.kind != "own":
            return False
        owner = self.tables.by_name[target.module]
        bindings = owner.bindings.get(target.name, ())
        return any(isinstance(binding.node, ast.ClassDef) for binding in bindings)

    def is_inlined(self, target: Target) -> bool:
        """Say whether a name stands for a class of a module."""
        return self.is_class(target) and target.module != self.tables.entry.module.name

    def is_enum(self, target: Target) -> bool:
        """Say whether a class is an enumeration: `Class["NAME"]` is a member."""
        table = self.tables.by_name.get(target.module)
        for binding in table.bindings.get(target.name, ()) if table else ():
            for base in getattr(binding.node, "bases", ()):
                found = table and dotted_target(self.tables, table, base)
                if found and (found.name.startswith("enum.") or self.is_enum(found)):
                    return True
        return False

    def is_plain(self, target: Target) -> bool:
        """Say whether objects of an inlined class show the class's full name."""
        if target not in self._plain:
            self._plain[target] = False  # a base of itself ends here
            self._plain[target] = self._judge(target)
        return self._plain[target]

    def _judge(self, target: Target) -> bool:
        table = self.tables.by_name[target.module]
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
            target = dotted_target(self.tables, table, function)
            if target is not None and target.name == "dataclasses.dataclass":
                return not _says_no_repr(decorator)
        return any(self._base_has_repr(table, base) for base in node.bases)

    def _base_has_repr(self, table: Table, base: ast.expr) -> bool:
        if isinstance(base, ast.Subscript):
            base = base.value
        if isinstance(base, ast.Call):
            return True  # namedtuple(...)
        target = dotted_target(self.tables, table, base)
        if target is None:
            return not (isinstance(base, ast.Name) and base.id == "object")
        if target.kind == "own":
            return not self.is_plain(target)
        return target.name not in _PLAIN_BASES


def _says_no_repr(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and any(
        item.arg == "repr" for item in decorator.keywords
    )
