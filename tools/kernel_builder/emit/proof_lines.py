"""The quick way to prove a joined file: its lines are its sources' lines.

Whole statements, each on lines of its own, put one after the other, parse to just these
statements: the text need not be parsed again to know that. Where a statement was cut
out of a shared line, or an import became an assignment, `used_statements` gives None,
and the syntax trees are compared instead.
"""

import ast
from collections.abc import Iterator

from kernel_builder.emit.emitted import Emitted, runs
from kernel_builder.emit.flat_units import statement_lines
from kernel_builder.read.modules import MAIN, Closure, Module

Used = set[tuple[str, int]]


def used_statements(emitted: Emitted, closure: Closure) -> Used | None:
    """Give the sources' statements that stand whole in the text; None if unsure.

    A statement is named by its file's label and its number in that file.
    """
    stretches = _stretches(emitted, closure)
    if stretches is None:
        return None
    used: Used = set()
    for module in closure.everything:
        found = _whole(module, stretches.get(module.label, []))
        if found is None:
            return None
        used |= {(module.label, number) for number in found}
    return used


def _stretches(
    emitted: Emitted, closure: Closure
) -> dict[str, list[tuple[int, int]]] | None:
    """Give, per file, which lines (first, last) stand together; None if one changed.

    They come in the order of the file, and the files in the order of the closure.
    """
    rows = emitted.text.split("\n")
    sources = {module.label: module.source.lines for module in closure.everything}
    order = {module.label: number for number, module in enumerate(closure.everything)}
    docstring = _docstring_end(closure.entry)
    stretches: dict[str, list[tuple[int, int]]] = {label: [] for label in sources}
    last = (-1, 0)
    early = True
    for at, count, origin in runs(emitted.lines):
        if origin is None:
            continue
        first, end = origin.line, origin.line + count - 1
        if rows[at : at + count] != sources[origin.path][first - 1 : end]:
            return None
        earlier = stretches[origin.path]
        if earlier and first <= earlier[-1][1]:
            return None
        earlier.append((first, end))
        if origin.module == MAIN and first <= docstring:
            if end > docstring:
                return None  # the kernel's docstring stands first, alone
            continue
        # Before the modules may stand what the kernel does before it imports them.
        early = early and origin.module == MAIN
        place = -1 if early else order[origin.path]
        if (place, first) <= last:
            return None
        last = (place, end)
    return stretches


def _docstring_end(entry: Module) -> int:
    body = entry.tree.body
    if body and ast.get_docstring(entry.tree, clean=False) is not None:
        return body[0].end_lineno or 1
    return 0


def _whole(module: Module, stretches: list[tuple[int, int]]) -> list[int] | None:
    """Give the numbers of the statements whose lines all stand together."""
    found: list[int] = []
    source = module.source.lines
    left = sorted(stretches)
    between = 1  # the first line behind the statements seen so far
    for number, node in enumerate(module.tree.body):
        first, last = statement_lines(node)
        if _holds_code(source, between, first - 1, left):
            return None
        between = max(between, last + 1)
        while left and left[0][1] < first:
            left.pop(0)
        if not left or left[0][0] > last:
            continue
        together = left[0][0] <= first and last <= left[0][1]
        if not together or source[last - 1].rstrip().endswith("\\"):
            return None
        found.append(number)
    return None if _holds_code(source, between, len(source), left) else found


def _holds_code(
    source: list[str], first: int, last: int, stretches: list[tuple[int, int]]
) -> bool:
    """Say whether lines between statements that stand in the text are more than air."""
    return any(
        _is_code(source[line - 1])
        for start, end in stretches
        if start <= last
        for line in range(max(start, first), min(end, last) + 1)
    )


def _is_code(line: str) -> bool:
    text = line.strip()
    return bool(text) and not text.startswith("#")


def own_lines(emitted: Emitted) -> Iterator[str]:
    """Give what the tool itself wrote, without blank lines and comments."""
    for row, origin in zip(emitted.text.split("\n"), emitted.lines, strict=False):
        if origin is None and _is_code(row):
            yield row
