"""The quick way to prove a joined file: its lines are its sources' lines.

Whole statements, each on lines of its own, put one after the other, parse to just these
statements: the text need not be parsed again to know that. Where a statement was cut
out of a shared line, or an import became an assignment, `used_statements` gives None,
and the syntax trees are compared instead.
"""

import ast
from collections.abc import Iterator

from kernel_builder.emitted import Emitted, Origin
from kernel_builder.flat_units import statement_lines
from kernel_builder.modules import MAIN, Closure, Module

Used = set[tuple[str, int]]


def used_statements(emitted: Emitted, closure: Closure) -> Used | None:
    """Give the sources' statements that stand whole in the text; None if unsure.

    A statement is named by its file's label and its number in that file.
    """
    rows = emitted.text.split("\n")
    places = _places(rows, emitted.lines, closure)
    if places is None:
        return None
    used: Used = set()
    for module in closure.everything:
        found = _whole(module, places.get(module.label, {}))
        if found is None:
            return None
        used |= {(module.label, number) for number in found}
    return used


def _places(
    rows: list[str], lines: tuple[Origin | None, ...], closure: Closure
) -> dict[str, dict[int, int]] | None:
    """Give, per file, where each of its lines stands; None if one was changed."""
    sources = {module.label: module.source.lines for module in closure.everything}
    order = {module.label: number for number, module in enumerate(closure.everything)}
    docstring = _docstring_lines(closure.entry)
    places: dict[str, dict[int, int]] = {label: {} for label in sources}
    last = (-1, 0)
    first = True
    for at, origin in enumerate(lines):
        if origin is None:
            continue
        if rows[at] != sources[origin.path][origin.line - 1]:
            return None
        places[origin.path][origin.line] = at
        if origin.module == MAIN and origin.line in docstring:
            continue  # the kernel's docstring stands first
        # Before the modules may stand what the kernel does before it imports them.
        first = first and origin.module == MAIN
        here = (-1 if first else order[origin.path], origin.line)
        if here <= last:
            return None
        last = here
    return places


def _docstring_lines(entry: Module) -> range:
    body = entry.tree.body
    if body and ast.get_docstring(entry.tree, clean=False) is not None:
        return range(1, (body[0].end_lineno or 1) + 1)
    return range(0)


def _whole(module: Module, places: dict[int, int]) -> list[int] | None:
    """Give the numbers of the statements whose lines all stand together."""
    found: list[int] = []
    source = module.source.lines
    covered: set[int] = set()
    for number, node in enumerate(module.tree.body):
        first, last = statement_lines(node)
        covered.update(range(first, last + 1))
        here = [places[line] for line in range(first, last + 1) if line in places]
        if not here:
            continue
        together = here[-1] - here[0] == len(here) - 1 == last - first
        if not together or source[last - 1].rstrip().endswith("\\"):
            return None
        found.append(number)
    if any(line not in covered and _is_code(source[line - 1]) for line in places):
        return None
    return found


def _is_code(line: str) -> bool:
    text = line.strip()
    return bool(text) and not text.startswith("#")


def own_lines(emitted: Emitted) -> Iterator[str]:
    """Give what the tool itself wrote, without blank lines and comments."""
    for row, origin in zip(emitted.text.split("\n"), emitted.lines, strict=False):
        if origin is None and _is_code(row):
            yield row
