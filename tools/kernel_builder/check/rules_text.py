"""The texts of a kernel: its string expressions as wholes, and the mounts they name."""

import ast
import posixpath
import re
from collections.abc import Iterator

from kernel_builder.check.conditions import EXISTS_METHODS
from kernel_builder.check.program import Unit
from kernel_builder.check.rules_base import Subject
from kernel_builder.check.values import on_kaggle


def is_docstring(unit: Unit, node: ast.Constant) -> bool:
    """Say whether a string stands alone as a statement: a docstring or a comment."""
    return isinstance(unit.parent(node), ast.Expr)


def text_nodes(subject: Subject) -> Iterator[tuple[Unit, ast.expr, tuple[str, ...]]]:
    """Give every whole string expression that may run on Kaggle, with its texts.

    An f-string or a sum of strings is given once, as a whole; docstrings are not given.
    """
    firsts: dict[int, ast.Constant | None] = {}
    for unit in subject.program.units:
        if not unit.own:
            continue
        for node in unit.nodes(ast.Constant):
            if not isinstance(node.value, str) or is_docstring(unit, node):
                continue
            whole = whole_text(unit, node)
            if id(whole) not in firsts:
                firsts[id(whole)] = _first_text(whole)
            if firsts[id(whole)] is node and subject.live(unit, node):
                yield unit, whole, subject.texts(unit, whole)


def whole_text(unit: Unit, node: ast.expr) -> ast.expr:
    """Climb from a piece of a string to the whole f-string, sum or joined path."""
    current = node
    while True:
        above = unit.parent(current)
        if (
            isinstance(above, ast.JoinedStr)
            or (
                isinstance(above, ast.BinOp)
                and isinstance(above.op, ast.Add | ast.Div | ast.Mod)
            )
            or (isinstance(above, ast.Call) and _joins(above, current))
        ):
            current = above
        else:
            return current


def _joins(call: ast.Call, part: ast.expr) -> bool:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    return part in call.args and name in ("Path", "join", "joinpath", "PurePath")


def _first_text(whole: ast.expr) -> ast.Constant | None:
    """Give the string constant of an expression that stands first in the text."""
    found = [
        part
        for part in ast.walk(whole)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    ]
    places = {(part.lineno, part.col_offset): part for part in reversed(found)}
    return places[min(places)] if places else None


def basename(path: str) -> str:
    """Give the last part of a path with forward or backward slashes."""
    return posixpath.basename(path.replace("\\", "/"))


def mounts(subject: Subject) -> list[tuple[Unit, ast.expr, str, str, str]]:
    """Give every literal path below /kaggle/input: node, path, mount kind, slug.

    The places that spell the slug come first: that is where to change it.
    """
    found = []
    for unit, node, texts in text_nodes(subject):
        for text in texts:
            mount = mount_of(text) if "input" in text else None
            if mount is not None and "\0" not in mount[1]:
                found.append((unit, node, text, *mount))
    return sorted(found, key=lambda item: not _spells(item[1], item[4]))


def _spells(node: ast.expr, slug: str) -> bool:
    name = slug.rpartition("/")[2]
    return any(
        isinstance(part, ast.Constant) and name in str(part.value)
        for part in ast.walk(node)
    )


def mount_of(path: str) -> tuple[str, str] | None:
    """Split a path below /kaggle/input into (kind of mount, slug), if it is one.

    The kinds are competition, dataset, model, kernel_output and `flat` for the older
    layout, where the slug alone stands below /kaggle/input.
    """
    place = on_kaggle(path)
    match = re.match(r"/kaggle/input/([^/]+)(?:/([^/]+))?(?:/([^/]+))?", place)
    if not match:
        return None
    first, second, third = match.groups()
    if first == "competitions":
        return ("competition", second) if second else None
    if first in ("datasets", "notebooks", "models"):
        kind = {"datasets": "dataset", "notebooks": "kernel_output"}.get(first, "model")
        return (kind, f"{second}/{third}") if second and third else None
    if posixpath.splitext(first)[1] or set("*?[") & set(first):
        return None  # a file or a pattern directly below /kaggle/input
    return "flat", first


def is_message(subject: Subject, unit: Unit, node: ast.expr) -> bool:
    """Say whether a text is only shown: printed, logged, raised, or a help text."""
    for above, child in unit.scopes.ancestors(node):
        if isinstance(above, ast.Raise | ast.Assert | ast.Compare):
            return True
        if isinstance(above, ast.keyword) and above.arg in ("help", "description"):
            return True
        if isinstance(above, ast.Call) and child is not above.func:
            name = subject.dotted(unit, above.func)
            method = getattr(above.func, "attr", "")
            reads = name == "builtins.open" or name.startswith("pandas.read_")
            if reads and isinstance(child, ast.Constant):
                return False  # what was read is shown, not the path
            if name == "builtins.print" or name.startswith(("re.", "logging.")):
                return True
            if method in (
                "startswith",
                "endswith",
                "replace",
                "split",
                "info",
                "debug",
            ):
                return True
            if name in ("os.path.exists", "os.path.isdir", "os.path.isfile"):
                return True
        if isinstance(above, ast.stmt):
            return False
    return False


def is_probed(subject: Subject, unit: Unit, node: ast.AST) -> bool:
    """Say whether the code asks if a path exists before it uses it.

    True where the expression, the name it is assigned to, or the loop variable that
    runs over its list, is asked `exists()`, `is_dir()` and the like anywhere.
    """
    for above, child in unit.scopes.ancestors(node):
        if isinstance(above, ast.Call):
            method = getattr(above.func, "attr", "")
            name = subject.dotted(unit, above.func)
            if method in EXISTS_METHODS or method in ("isdir", "isfile"):
                return True
            if name == "builtins.next" or name == "builtins.any":
                return True
        if isinstance(above, ast.Attribute) and above.attr in EXISTS_METHODS:
            return True
        if (
            isinstance(above, ast.comprehension | ast.For)
            and child is above.iter
            and _asks(subject, unit, names_in(above.target))
        ):
            return True
        if isinstance(above, ast.Assign):
            names = {n for target in above.targets for n in names_in(target)}
            return _asks(subject, unit, names | _loops_over(unit, names))
        if isinstance(above, ast.stmt):
            return False
    return False


def names_in(target: ast.AST) -> set[str]:
    """Name every variable in an expression."""
    return {n.id for n in ast.walk(target) if isinstance(n, ast.Name)}


def _loops_over(unit: Unit, names: set[str]) -> set[str]:
    """Name the variables of loops and comprehensions over one of `names`."""
    answer: set[str] = set()
    loops = [*((n.iter, n.target) for n in unit.nodes(ast.For))]
    loops += [(n.iter, n.target) for n in unit.nodes(ast.comprehension)]
    for iterable, target in loops:
        if isinstance(iterable, ast.Name) and iterable.id in names:
            answer |= names_in(target)
    return answer


def _asks(subject: Subject, unit: Unit, names: set[str]) -> bool:
    for call in unit.nodes(ast.Call):
        if not isinstance(call.func, ast.Attribute):
            continue
        if call.func.attr in EXISTS_METHODS and names_in(call.func.value) & names:
            return True
        asked = subject.dotted(unit, call.func).startswith("os.path.")
        if (
            asked
            and call.func.attr in ("exists", "isdir", "isfile")
            and any(names_in(item) & names for item in call.args)
        ):
            return True
    return False
