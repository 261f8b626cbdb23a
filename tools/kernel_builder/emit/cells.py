"""Cut a kernel into notebook cells at its `# %%` lines.

The marks are jupytext's and VS Code's: `# %%`, `# %% Title`, `# %% [markdown]`. Only a
mark between two top-level statements counts: one inside a string, a bracket or a body
is an ordinary line.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from kernel_builder.emit.emitted import Cell
from kernel_builder.emit.flat_units import statement_lines

_MARK: Final = re.compile(r"^#[ \t]*%%+(?P<rest>[^%].*)?$")
_KIND: Final = re.compile(r"\[(?P<kind>markdown|md|raw)\]")
# IPython takes a cell whose second line looks like a prompt for a pasted session.
_PROMPT: Final = re.compile(r"^(?:(?:>>>|\.\.\.)(?: |$)|In \[\d+\]: |\s*\.{3,}: ?)")


def split_cells(cell: Cell) -> list[Cell]:
    """Cut a code cell at its marks, and make its text safe for IPython.

    Every line keeps its number in the script: `first_line` of each part is where its
    text starts. Cells that hold an inlined module (they have a heading) stay whole.
    """
    if cell.kind != "code" or cell.heading or cell.collapsed:
        return [cell]
    lines = cell.text.split("\n")
    tree = ast.parse(cell.text)
    marks = list(_marks(lines, tree))
    starts = [0, *marks]
    parts: list[Cell] = []
    for start, stop in zip(starts, [*marks, len(lines)], strict=True):
        parts.extend(_part(cell, lines, start, stop))
    return [safe for part in parts for safe in _make_safe(part)]


def _marks(lines: list[str], tree: ast.Module) -> Iterator[int]:
    inside: set[int] = set()
    for node in tree.body:
        first, last = statement_lines(node)  # from the first decorator on
        inside.update(range(first - 1, last))
    for number, line in enumerate(lines):
        if number not in inside and _MARK.match(line):
            yield number


def _part(cell: Cell, lines: list[str], start: int, stop: int) -> Iterator[Cell]:
    """Make the cells of one stretch; its first line may be a mark."""
    mark = _MARK.match(lines[start])
    if mark is None:
        yield from _code(cell, lines, start, stop)
        return
    rest = (mark["rest"] or "").strip()
    kind = _KIND.search(rest)
    if kind is not None:
        yield from _markdown(cell, lines, start + 1, stop)
        return
    if rest:
        lines = [*lines[:start], f"# {rest}", *lines[start + 1 :]]
        yield from _code(cell, lines, start, stop)
        return
    yield from _code(cell, lines, start + 1, stop)


def _code(cell: Cell, lines: list[str], start: int, stop: int) -> Iterator[Cell]:
    while start < stop and not lines[start].strip():
        start += 1
    while start < stop and not lines[stop - 1].strip():
        stop -= 1
    if start < stop:
        yield _cell(cell, "code", lines[start:stop], start)


def _markdown(cell: Cell, lines: list[str], start: int, stop: int) -> Iterator[Cell]:
    """Make a markdown cell of comments or one string; what is code stays code."""
    text = _only_string("\n".join(lines[start:stop]))
    if text is not None:
        yield _cell(cell, "markdown", text.strip("\n").split("\n"), start)
        return
    end = start
    while end < stop and (not lines[end].strip() or lines[end].startswith("#")):
        end += 1
    shown = [re.sub(r"^# ?", "", line) for line in lines[start:end]]
    while shown and not shown[-1].strip():
        shown.pop()
    while shown and not shown[0].strip():
        shown.pop(0)
    if shown:
        yield _cell(cell, "markdown", shown, start)
    yield from _code(cell, lines, end, stop)


def _only_string(text: str) -> str | None:
    body = ast.parse(text).body
    if len(body) == 1 and isinstance(body[0], ast.Expr):
        value = body[0].value
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            return value.value
    return None


def _cell(cell: Cell, kind: str, lines: list[str], start: int) -> Cell:
    first = cell.first_line + start if cell.first_line else 0
    made = replace(cell, text="\n".join(lines), first_line=first)
    return replace(made, kind="markdown") if kind == "markdown" else made


def _make_safe(cell: Cell) -> list[Cell]:
    """Keep IPython from reading a code cell differently from Python."""
    if cell.kind != "code":
        return [cell]
    lines = cell.text.split("\n")
    # An indented first line (a comment) would take its indent from every line.
    lines[0] = lines[0].lstrip()
    if any(_PROMPT.match(line) for line in lines[:2]):
        first = cell.first_line - 1 if cell.first_line > 1 else 0
        return [replace(cell, text="\n".join(["#", *lines]), first_line=first)]
    return [replace(cell, text="\n".join(lines))]


def assign_docstring(cell: Cell) -> list[Cell]:
    """Let a kernel's docstring set `__doc__`, as it does in a script.

    In a notebook it would only be echoed. `from __future__` imports behind it must
    start a cell of their own.
    """
    tree = ast.parse(cell.text)
    if ast.get_docstring(tree, clean=False) is None:
        return [cell]
    lines = cell.text.split("\n")
    node = tree.body[0]
    start, stop = node.lineno - 1, node.end_lineno or node.lineno
    lines[start] = f"__doc__ = {lines[start]}"
    following = tree.body[1:2]
    if not (following and isinstance(following[0], ast.ImportFrom)):
        return [replace(cell, text="\n".join(lines))]
    if following[0].module != "__future__" or following[0].lineno <= stop:
        return [replace(cell, text="\n".join(lines))]
    head = replace(cell, text="\n".join(lines[:stop]))
    return [head, *_code(cell, lines, stop, len(lines))]
