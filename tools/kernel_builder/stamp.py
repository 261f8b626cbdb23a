"""Make a built text say when it starts and ends, so that its run can be recognised."""

import ast
import re
from dataclasses import replace
from typing import Final

from kernel_builder.emitted import Cell, Emitted
from kernel_builder.errors import UsageError

_RUN_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,80}")
# A kernel that has a `print` of its own must not receive the end mark.
_OWN_PRINT: Final = re.compile(
    r"\bprint\s*(?::[^=\n]+)?=[^=]|\bdef\s+print\b|\b(?:as|import|for|del)\s+print\b"
)


def start_mark(run_id: str) -> str:
    """Give the line that a stamped kernel prints first."""
    return f"kaggle-kit run {run_id} start"


def end_mark(run_id: str) -> str:
    """Give the line that a stamped kernel prints last, if it gets there."""
    return f"kaggle-kit run {run_id} end"


def stamp(emitted: Emitted, run_id: str) -> Emitted:
    """Add the two printing statements, after the docstring and at the very end.

    They are guarded, so that a spawned worker, which runs the file again, is silent.

    Raises:
        UsageError: the id holds more than letters, digits, dots, dashes, underscores.
    """
    if not _RUN_ID.fullmatch(run_id):
        raise UsageError(f"run id {run_id!r}: use letters, digits, `.`, `_` and `-`")
    rows = emitted.text.split("\n")[:-1]
    at = _start(emitted.text, len(rows))
    own = _OWN_PRINT.search(emitted.text) is not None
    first = _statement(start_mark(run_id), False)
    last = _statement(end_mark(run_id), own)
    lines = [*emitted.lines[:at], None, *emitted.lines[at:], None]
    rows = [*rows[:at], first, *rows[at:], last]
    cells = [_shifted(cell, at, first) for cell in emitted.cells]
    if cells:
        cells.append(Cell("code", "", last, len(rows)))
    text = "".join(f"{row}\n" for row in rows)
    return replace(emitted, text=text, lines=tuple(lines), cells=tuple(cells))


def _statement(mark: str, own_print: bool) -> str:
    function = '__import__("builtins").print' if own_print else "print"
    return f'if __name__ == "__main__": {function}("{mark}", flush=True)'


def _start(text: str, end: int) -> int:
    """Give the number of lines before the first statement that may not stay first."""
    at = None
    for number, node in enumerate(ast.parse(text).body):
        docstring = (
            number == 0
            and isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        )
        future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        if not docstring and not future:
            first = min([node.lineno, *(d.lineno for d in _decorators(node))])
            # Two statements on the docstring's line: go behind that line.
            return first - 1 if at is None or first > at else at
        at = node.end_lineno or node.lineno
    return end if at is None else at


def _decorators(node: ast.stmt) -> list[ast.expr]:
    found: list[ast.expr] = getattr(node, "decorator_list", [])
    return found


def _shifted(cell: Cell, at: int, first: str) -> Cell:
    rows = cell.text.split("\n")
    if cell.first_line - 1 > at or not cell.first_line:
        return replace(cell, first_line=cell.first_line + 1 if cell.first_line else 0)
    if cell.first_line - 1 + len(rows) < at:
        return cell
    inside = at - (cell.first_line - 1)
    return replace(cell, text="\n".join([*rows[:inside], first, *rows[inside:]]))
