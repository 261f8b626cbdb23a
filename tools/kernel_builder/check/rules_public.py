"""S14: results that hang on the public test set, and fail on the hidden one."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from kernel_builder.check.findings import Finding
from kernel_builder.check.program import Unit
from kernel_builder.check.rules_base import Rule, Subject, argument
from kernel_builder.check.rules_submission import NAME, SAMPLE, find_submissions
from kernel_builder.check.rules_text import basename
from kernel_builder.check.rules_writes import Write
from kernel_builder.check.values import UNKNOWN, on_kaggle

_TESTLIKE: Final = re.compile(
    r"(?i)(^|_)(test|sub|submission|subm)(_|\d|$)|test(set|df)"
)
_IDS: Final = re.compile(r"(?i)(^|_)(id|idx|key|uid|name)$|id$|Id$")


def check_public(subject: Subject) -> Iterator[Finding]:
    """S14: the result hangs on the public test set."""
    yield from _lengths(subject)
    yield from _literal_ids(subject)
    yield from _precomputed(subject)


def _public(subject: Subject, unit: Unit, node: ast.AST, what: str) -> Finding:
    return subject.found(
        "S14",
        "error",
        unit,
        node,
        f"result depends on the public test set: {what}",
        "compute it from the test file that is mounted at run time",
    )


def _lengths(subject: Subject) -> Iterator[Finding]:
    for unit, node in subject.program.nodes(ast.Compare):
        if len(node.ops) != 1 or not isinstance(node.ops[0], ast.Eq | ast.NotEq):
            continue
        sides = (node.left, node.comparators[0])
        for side, other in (sides, sides[::-1]):
            if not _is_count(subject, unit, other) or not subject.live(unit, node):
                continue
            if _is_test_length(subject, unit, side):
                yield _public(subject, unit, node, ast.unparse(node))
                break


def _is_count(subject: Subject, unit: Unit, expr: ast.expr) -> bool:
    """Say whether an expression is a constant number of rows, or a constant shape."""
    if isinstance(expr, ast.Tuple) and expr.elts:
        expr = expr.elts[0]
    number = subject.constant(unit, expr)
    return isinstance(number, int) and not isinstance(number, bool) and number > 1


def _is_test_length(subject: Subject, unit: Unit, expr: ast.expr) -> bool:
    match expr:
        case ast.Call(args=[table]) if subject.dotted(unit, expr.func) == (
            "builtins.len"
        ):
            return _is_test(subject, unit, table)
        case ast.Subscript(value=ast.Attribute(attr="shape", value=table)):
            rows = subject.constant(unit, expr.slice) == 0
            return rows and _is_test(subject, unit, table)
        case ast.Attribute(attr="shape", value=table):
            return _is_test(subject, unit, table)
        case _:
            return False


def _is_test(subject: Subject, unit: Unit, table: ast.expr) -> bool:
    """Say whether a table is read from a test file (or the sample submission)."""
    if not isinstance(table, ast.Name | ast.Attribute):
        return False
    for where, value in subject.values.sources(unit, table):
        if (
            isinstance(value, ast.Call)
            and value.args
            and subject.dotted(where, value.func).startswith(("pandas.read", "polars."))
        ):
            texts = subject.texts(where, value.args[0])
            names = [basename(text) for text in texts]
            if any(re.search(r"(?i)test|sub", name) for name in names):
                return True
    name = table.id if isinstance(table, ast.Name) else table.attr
    return bool(_TESTLIKE.search(name)) and not re.search(r"(?i)y_test|x_test", name)


def _literal_ids(subject: Subject) -> Iterator[Finding]:
    for unit, node in subject.program.nodes(ast.Assign):
        for target in node.targets:
            if not isinstance(target, ast.Subscript):
                continue
            table = target.value
            if not isinstance(table, ast.Attribute) or table.attr not in ("loc", "at"):
                continue
            if not _is_test(subject, unit, table.value) or not subject.live(unit, node):
                continue
            for test in ast.walk(target.slice):
                if isinstance(test, ast.Compare) and _names_id(subject, unit, test):
                    yield _public(subject, unit, node, ast.unparse(target))


def _names_id(subject: Subject, unit: Unit, test: ast.Compare) -> bool:
    left = test.left
    column = ""
    if isinstance(left, ast.Attribute):
        column = left.attr
    elif isinstance(left, ast.Subscript):
        column = str(subject.constant(unit, left.slice) or "")
    literal = subject.constant(unit, test.comparators[0])
    equal = isinstance(test.ops[0], ast.Eq)
    known = isinstance(literal, str | int) and not isinstance(literal, bool)
    return equal and known and bool(_IDS.search(column))


def _precomputed(subject: Subject) -> Iterator[Finding]:
    """Find a submission that is nothing but a file from an attached dataset."""
    submissions = find_submissions(subject)
    if len(submissions) != 1:
        return
    write = submissions[0]
    source = _copied_from(subject, write)
    for text in subject.texts(write.unit, source) if source is not None else ():
        path = on_kaggle(text)
        attached = path.startswith("/kaggle/input/")
        if attached and UNKNOWN not in path and not SAMPLE.search(basename(path)):
            what = f"{NAME} is a copy of {path}"
            yield _public(subject, write.unit, write.call, what)
            return


def _copied_from(subject: Subject, write: Write) -> ast.expr | None:
    """Give the path that a write copies unchanged, if it does."""
    if write.name.startswith("shutil.copy"):
        return argument(write.call, 0, "src")
    function = write.call.func
    if not isinstance(function, ast.Attribute):
        return None
    table = function.value
    if isinstance(table, ast.Name):
        found = subject.values.sources(write.unit, table)
        if len(found) != 1 or _is_changed(write.unit, table.id):
            return None
        table = found[0][1] or table
    if (
        isinstance(table, ast.Call)
        and table.args
        and subject.dotted(write.unit, table.func).startswith("pandas.read_")
    ):
        return table.args[0]
    return None


def _is_changed(unit: Unit, name: str) -> bool:
    """Say whether a table is used for anything but being written and looked at."""
    for node in unit.nodes(ast.Name):
        if node.id != name or isinstance(node.ctx, ast.Store):
            continue
        above = unit.parent(node)
        harmless = ("to_csv", "head", "shape", "describe", "info", "columns", "tail")
        if isinstance(above, ast.Attribute) and above.attr in harmless:
            continue
        if isinstance(above, ast.Call) and ast.unparse(above.func) in ("print", "len"):
            continue
        return True
    return False


RULES: Final = (Rule("S14", "error", "depends on the public test set", check_public),)
