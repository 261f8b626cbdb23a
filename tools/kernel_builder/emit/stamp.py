"""Make a built text say when it starts and ends, so that its run can be recognised."""

import ast
import re
from dataclasses import replace
from typing import Final

from kernel_builder.emit.emitted import Cell, Emitted
from kernel_builder.errors import UsageError

_RUN_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,80}")
# A kernel that has a `print` of its own must not receive the end mark.
_OWN_PRINT: Final = re.compile(
    r"\bprint\s*(?::[^=\n]+)?=[^=]|\bdef\s+print\b|\b(?:as|import|for|del)\s+print\b"
)
# Nor must a file that a kernel made its stdout, or a stdout that it closed.
_OWN_STDOUT: Final = re.compile(
    r"\bsys\s*\.\s*stdout\b(?!\s*\.\s*(?:write|flush|isatty|encoding)\b)"
    r"|\.\s*stdout\s*(?:,[^=\n]*)?=[^=]|\bredirect_stdout\b|\bdup2\b"
    r"|\bfrom\s+sys\s+import\b[^\n]*\bstdout\b|['\"]stdout['\"]"
)
# What ends a script; os._exit is left out: it ends without ending well.
_EXITS: Final = ("sys.exit", "exit", "quit", "SystemExit")
_DEEPEST: Final = 3
_GUARD: Final = 'if __name__ == "__main__": '


def start_mark(run_id: str) -> str:
    """Give the line that a stamped kernel prints first."""
    return f"kaggle-kit run {run_id} start"


def end_mark(run_id: str) -> str:
    """Give the line that a stamped kernel prints last, if it gets there."""
    return f"kaggle-kit run {run_id} end"


def stamp(emitted: Emitted, run_id: str) -> Emitted:
    """Add the two printing statements, after the docstring and at the very end.

    They are guarded, so that a spawned worker, which runs the file again, is silent.
    Where the kernel's own last act is to exit, as by `sys.exit(main())`, the end is
    printed there too, once `main` has returned without an error.

    Where the kernel may have sent its output elsewhere, the end goes around sys.stdout.

    Raises:
        UsageError: the id holds more than letters, digits, dots, dashes, underscores.
    """
    if not _RUN_ID.fullmatch(run_id):
        raise UsageError(f"run id {run_id!r}: use letters, digits, `.`, `_` and `-`")
    printing = _printing(emitted.text, end_mark(run_id))
    emitted = _mark_last_exit(emitted, printing)
    rows = emitted.text.split("\n")[:-1]
    at = _start(emitted.text, len(rows))
    first = _GUARD + f'print("{start_mark(run_id)}", flush=True)'
    last = _GUARD + printing
    lines = [*emitted.lines[:at], None, *emitted.lines[at:], None]
    rows = [*rows[:at], first, *rows[at:], last]
    cells = [_shifted(cell, at, first) for cell in emitted.cells]
    if cells:
        cells.append(Cell("code", "", last, len(rows)))
    text = "".join(f"{row}\n" for row in rows)
    return replace(emitted, text=text, lines=tuple(lines), cells=tuple(cells))


def _printing(text: str, mark: str) -> str:
    """Give an expression, None in value, that prints the mark at the end of `text`."""
    if _OWN_STDOUT.search(text):
        # A line of its own: what was printed last may have had no line end.
        return f'(__import__("os").write(1, b"\\n{mark}\\n") and None)'
    function = '__import__("builtins").print' if _OWN_PRINT.search(text) else "print"
    return f'{function}("{mark}", flush=True)'


def _mark_last_exit(emitted: Emitted, printing: str) -> Emitted:
    """Write `exit(value or print(...))` where the kernel's last statement exits.

    `print` gives None, which is the exit code 0 of any value that is not an error.
    """
    tree = ast.parse(emitted.text)
    functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}
    rows = emitted.text.split("\n")
    cells = list(emitted.cells)
    for call in _last_exits(tree.body, functions, 0):
        line, column = (call.end_lineno or 0) - 1, (call.end_col_offset or 1) - 1
        value = call.args[0] if call.args else None
        pieces = [(line, column, printing)]
        if value is not None:
            first = (value.lineno - 1, value.col_offset, "(")
            end = (value.end_lineno or 0) - 1, value.end_col_offset or 0
            pieces = [(*end, f") or {printing}"), first]
        for number, place, text in pieces:
            changed = _inserted(rows[number], place, text)
            cells = [_with_row(cell, number, changed) for cell in cells]
            rows[number] = changed
    return replace(emitted, text="\n".join(rows), cells=tuple(cells))


def _last_exits(
    body: list[ast.stmt], functions: dict[str, ast.FunctionDef], depth: int
) -> list[ast.Call]:
    """Find the exit that ends these statements; through calls of functions here."""
    last = body[-1]
    if isinstance(last, ast.If) and not last.orelse and not depth:
        return _last_exits(last.body, functions, depth) if _is_guard(last.test) else []
    value = getattr(last, "exc" if isinstance(last, ast.Raise) else "value", None)
    if not isinstance(value, ast.Call) or isinstance(last, ast.Assign):
        return []
    name = ast.unparse(value.func)
    found: list[ast.Call] = []
    if name in _EXITS and len(value.args) < 2 and not value.keywords:
        found.append(value)
        inner = value.args[0] if value.args else None
        if isinstance(inner, ast.Starred):
            return []
        name = ast.unparse(inner.func) if isinstance(inner, ast.Call) else ""
    if name in functions and depth < _DEEPEST:
        found += _last_exits(functions[name].body, functions, depth + 1)
    return found


def _is_guard(test: ast.expr) -> bool:
    return ast.unparse(test) in ("__name__ == '__main__'", "'__main__' == __name__")


def _inserted(row: str, place: int, text: str) -> str:
    """Put a text at a place that `ast` counts in bytes."""
    raw = row.encode("utf-8")
    return (raw[:place] + text.encode("utf-8") + raw[place:]).decode("utf-8")


def _with_row(cell: Cell, number: int, row: str) -> Cell:
    rows = cell.text.split("\n")
    inside = number - (cell.first_line - 1)
    if not cell.first_line or not 0 <= inside < len(rows):
        return cell
    return replace(cell, text="\n".join([*rows[:inside], row, *rows[inside + 1 :]]))


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
