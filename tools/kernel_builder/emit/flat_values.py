"""Small questions about functions and the values of expressions."""

import ast
from collections.abc import Iterator

Function = ast.FunctionDef | ast.AsyncFunctionDef


def callee(node: ast.Call) -> str:
    """Give the last name of what is called."""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def binds(function: Function) -> bool:
    """Say whether a method, taken from an object, is shown with the object."""
    names = {getattr(item, "id", "") for item in function.decorator_list}
    return not function.decorator_list or "classmethod" in names


def generates(node: Function) -> bool:
    """Say whether a function is a generator: what it returns ends a StopIteration."""
    return any(isinstance(item, ast.Yield | ast.YieldFrom) for item in ast.walk(node))


def returned(node: Function) -> Iterator[ast.expr]:
    """Give what a function returns or yields."""
    for item in ast.walk(node):
        if (
            isinstance(item, ast.Return | ast.Yield | ast.YieldFrom)
            and item.value is not None
        ):
            yield item.value


def inside(node: ast.expr) -> Iterator[ast.expr]:
    """Give the parts of a container or choice that may be its value or in it."""
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        yield from node.elts
    elif isinstance(node, ast.Dict):
        yield from (part for part in (*node.keys, *node.values) if part is not None)
    elif isinstance(node, ast.Starred | ast.Await | ast.Subscript | ast.NamedExpr):
        yield node.value
    elif isinstance(node, ast.Lambda):
        yield node.body
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
