"""Types and values that a module may name without failing while it is imported."""

import ast
import collections.abc
import typing
from collections.abc import Iterator
from typing import Final

from kernel_builder.emit.flat_pure import PURE_BASES
from kernel_builder.emit.flat_tables import Target

_KNOWN: Final = frozenset(
    {"numpy.ndarray", "numpy.dtype", "numpy.generic", "numpy.random.Generator"}
    | {"numpy.float32", "numpy.float64", "numpy.int64", "numpy.int32", "numpy.uint8"}
    | {"pandas.DataFrame", "pandas.Series", "pandas.Index", "os.PathLike"}
    | {"torch.Tensor", "torch.device", "torch.dtype", "torch.Generator", "torch.Size"}
    | {"torch.nn.Module", "torch.nn.Parameter", "torch.optim.Optimizer"}
    | {"torch.utils.data.Dataset", "torch.utils.data.DataLoader", "pathlib.Path"}
    | {"argparse.ArgumentParser", "argparse.Namespace", "logging.Logger"}
    | {"datetime.datetime", "datetime.date", "datetime.timedelta", "random.Random"}
    | {"collections.OrderedDict", "collections.defaultdict", "collections.deque"}
    | {"collections.Counter", "decimal.Decimal", "fractions.Fraction", "enum.Enum"}
)
# Not in every Python from 3.11 on.
_LATER: Final = frozenset(
    {"Buffer", "ByteString", "NoDefault", "ReadOnly", "TypeAliasType", "TypeIs"}
    | {"evaluate_forward_ref", "get_protocol_members", "is_protocol", "override"}
)
# Generics that take one argument, two, or any number of them.
_ONE: Final = frozenset(
    {"Optional", "List", "Set", "FrozenSet", "Type", "Iterable", "Iterator", "Sequence"}
    | {"Collection", "ClassVar", "Final", "Deque", "Counter", "Awaitable", "Required"}
    | {"NotRequired"}
)
_TWO: Final = frozenset({"Dict", "Mapping", "MutableMapping", "DefaultDict"})
_ANY: Final = frozenset({"Tuple", "Union", "Literal", "Annotated"})
_BUILTIN: Final = frozenset({"list", "dict", "tuple", "set", "frozenset", "type"})


def is_known_type(target: Target | None) -> bool:
    """Say whether a dotted name of a library certainly exists."""
    if target is None or target.kind != "ext":
        return False
    module, _, name = target.name.rpartition(".")
    if module == "typing":
        return name in typing.__all__ and name not in _LATER
    if module == "collections.abc":
        return name in collections.abc.__all__ and name not in _LATER
    return target.name in _KNOWN or target.name in PURE_BASES


def takes_types(target: Target | None, node: ast.Subscript) -> bool:
    """Say whether `Generic[...]` with these arguments certainly is a type."""
    if target is None:
        return isinstance(node.value, ast.Name) and node.value.id in _BUILTIN
    module, _, name = target.name.rpartition(".")
    if target.kind != "ext":
        return False
    count = len(node.slice.elts) if isinstance(node.slice, ast.Tuple) else 1
    if module == "collections.abc":
        return name != "Callable" or (count == 2 and _is_call(node.slice))
    if module != "typing":
        return False
    if name == "Callable":
        return count == 2 and _is_call(node.slice)
    if name == "Annotated":
        return count > 1
    return (
        name in _ANY or (name in _ONE and count == 1) or (name in _TWO and count == 2)
    )


def _is_call(node: ast.expr) -> bool:
    """Say whether the arguments of `Callable` are a list, or `...`, and a result."""
    first = node.elts[0] if isinstance(node, ast.Tuple) else node
    return isinstance(first, ast.List) or (
        isinstance(first, ast.Constant) and first.value is ...
    )


def bound(node: ast.Assign | ast.AnnAssign) -> Iterator[str]:
    """Give the plain names that an assignment binds."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    for target in targets:
        if isinstance(target, ast.Name):
            yield target.id


def may_join(node: ast.expr) -> bool:
    """Say whether `|` takes an operand: a type, a union of types, or None."""
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.BitOr)
    return isinstance(node, ast.Name | ast.Attribute | ast.Subscript) or (
        isinstance(node, ast.Constant) and node.value is None
    )


def is_number(node: ast.expr) -> bool:
    """Say whether an expression is made of numbers alone."""
    if isinstance(node, ast.BinOp):
        return is_number(node.left) and is_number(node.right)
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)


def is_plain_number(node: ast.expr) -> bool:
    """Recognise a small constant to divide by, or to raise to the power of."""
    return isinstance(node, ast.Constant) and node.value in range(1, 1000)


def is_whole(node: ast.BinOp) -> bool:
    """Say no to the power of a float, which may overflow."""
    return not isinstance(node.op, ast.Pow) or (
        isinstance(node.left, ast.Constant) and isinstance(node.left.value, int)
    )
