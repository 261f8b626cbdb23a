"""Write the joined file: header, contents, imports, one section per module, kernel."""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from kernel_builder.emit.emitted import Cell, Emitted, Origin
from kernel_builder.emit.flat_imports import (
    WIDTH,
    format_imports,
    is_docstring,
    leading_imports,
    prologue,
    wanted_imports,
)
from kernel_builder.emit.flat_reach import Plan
from kernel_builder.emit.flat_tables import Table, is_local
from kernel_builder.emit.flat_units import Unit
from kernel_builder.emit.header import header_lines
from kernel_builder.read.modules import MAIN
from kernel_builder.read.sources import Source

_RULE: Final = "# " + "=" * (WIDTH - 2)
_CONTENTS_WIDTH: Final = WIDTH - 12
_COOKIE: Final = re.compile(r"^[ \t\f]*#.*?coding[:=][ \t]*[-\w.]+")
_MARK: Final = re.compile(r"^# *%%")

# A stretch of source lines [first, last], or one line the tool writes.
Line = tuple[str, Origin | None]


@dataclass
class _Page:
    lines: list[Line] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)

    def add(self, *texts: str) -> None:
        self.lines.extend((text, None) for text in texts)

    def put_first(self, head: list[Line]) -> None:
        """Put the header before everything, into the first cell if it is code."""
        count = len(head)
        self.lines[:0] = head
        self.cells = [
            replace(cell, first_line=cell.first_line + count) for cell in self.cells
        ]
        text = "\n".join(line for line, _ in head).rstrip("\n")
        self.cells.insert(0, Cell("code", "", text, 1))

    def cell(self, heading: str, start: int, collapsed: bool) -> None:
        """Make a cell of everything from line number `start` (from 0) on."""
        rows = [text for text, _ in self.lines[start:]]
        while rows and not rows[-1].strip():
            rows.pop()
        while rows and not rows[0].strip():
            rows.pop(0)
            start += 1
        if rows:
            text = "\n".join(rows)
            self.cells.append(Cell("code", heading, text, start + 1, collapsed))


def write_flat(plan: Plan) -> Emitted:
    """Write the joined file of a plan that broke no rule."""
    closure = plan.tables.closure
    label = closure.entry.label
    sections = [
        (table, body)
        for table in plan.tables.inlined
        if (body := list(_section(plan, table)))
    ]
    page = _Page()
    page.lines.extend(_docstring(plan.tables.entry))
    page.add(*_future_lines(plan))
    contents: list[tuple[int, str]] = []
    before = list(_prologue(plan))
    if before:
        page.add("", _RULE, f"# {label}: what runs before the modules", _RULE, "")
        contents.append((len(page.lines) - 3, "what the kernel runs first"))
        page.lines.extend(before)
    imports = format_imports(wanted_imports(plan)) if plan.tables.inlined else []
    if imports:
        page.add("", *imports)
    page.cell("", 0, False)
    for table, body in sections:
        start = len(page.lines)
        page.add("", "", *_banner(table), "")
        contents.append((start + 4, shorten(_title(table), _CONTENTS_WIDTH)))
        page.lines.extend(body)
        page.cell(_title(table), start, True)
    start = len(page.lines)
    if sections:
        page.add("", "", _RULE, f"# {label}: the kernel", _RULE, "")
        contents.append((start + 4, "the kernel"))
    else:
        page.add("")
    page.lines.extend(_entry(plan))
    page.cell("", start, False)
    page.put_first(_head(plan, contents))
    return Emitted(
        text="".join(f"{text}\n" for text, _ in page.lines),
        lines=tuple(origin for _, origin in page.lines),
        form="flat",
        notes=tuple(_notes(plan)),
        cells=tuple(page.cells),
    )


def _head(plan: Plan, contents: list[tuple[int, str]]) -> list[Line]:
    closure = plan.tables.closure
    entry = closure.entry
    first: list[Line] = []
    if entry.text.startswith("#!"):
        first.append((entry.source.lines[0], Origin(entry.label, 1, MAIN)))
        contents = [(at + 1, title) for at, title in contents]
    return [*first, *((line, None) for line in header_lines(closure, "flat", contents))]


def _title(table: Table) -> str:
    return f"{table.module.name}: {summary(table)}".rstrip(": ")


def shorten(text: str, width: int) -> str:
    """Cut a text at a word so that it fits."""
    if len(text) <= width:
        return text
    return text[: width - 3].rsplit(" ", 1)[0].rstrip(" ,:;") + " ..."


def summary(table: Table) -> str:
    """Give the first line of a module's docstring, without its full stop."""
    lines = _docstring_text(table)
    return lines[0].strip().removesuffix(".") if lines else ""


def _docstring_text(table: Table) -> list[str]:
    """Give the docstring's lines, fit for comments whatever an escape put into it."""
    lines = (ast.get_docstring(table.module.tree) or "").splitlines()
    return [
        line
        if line.isprintable()
        else "".join(c if c.isprintable() else " " for c in line)
        for line in lines
    ]


def _banner(table: Table) -> Iterator[str]:
    """The module's docstring becomes its section's banner."""
    yield _RULE
    yield f"# {table.module.label}"
    lines = _docstring_text(table)
    if lines:
        yield "#"
        yield from (f"# {line}".rstrip() for line in lines)
    yield _RULE


def _notes(plan: Plan) -> Iterator[str]:
    left = sum(
        1
        for table in plan.tables.inlined
        for unit in table.units
        if unit.binds and unit not in plan.kept and not _is_import(unit.node)
    )
    if left:
        noun = "definition" if left == 1 else "definitions"
        yield f"left out {left} {noun} that the kernel does not reach"


def _is_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _segment(text: str, node: ast.stmt) -> str:
    """Give a statement's own text; `ast.get_source_segment` is slow on long lines."""
    if "\r" in text or "\f" in text:
        return ast.get_source_segment(text, node) or ""
    last = node.end_lineno or node.lineno
    rows = [row.encode("utf-8") for row in text.split("\n")[node.lineno - 1 : last]]
    rows[-1] = rows[-1][: node.end_col_offset]
    rows[0] = rows[0][node.col_offset :]
    return b"\n".join(rows).decode("utf-8")


def _docstring(entry: Table) -> Iterator[Line]:
    first = entry.units[0] if entry.units else None
    if first is not None and is_docstring(first.node):
        text = _segment(entry.module.text, first.node)
        for number, line in enumerate(text.split("\n"), start=first.first):
            yield line, Origin(entry.label, number, MAIN)


def _future_lines(plan: Plan) -> Iterator[str]:
    names = sorted(
        {name for table in plan.tables.by_name.values() for name in table.futures}
    )
    if names:
        yield ""
        yield f"from __future__ import {', '.join(names)}"


# -- one module


def _section(plan: Plan, table: Table) -> Iterator[Line]:
    """The module's own text, without what was left out; nothing if nothing is left."""
    aliases = list(_aliases(plan, table))
    kept = [unit for unit in plan.kept_units(table) if not _is_import(unit.node)]
    if table.units and is_docstring(table.units[0].node):
        kept = [unit for unit in kept if unit is not table.units[0]]
    if kept or aliases:
        yield from aliases
        staying = set(kept)
        gone = [unit for unit in table.units if unit not in staying]
        yield from _body(table, kept, gone)


def _aliases(plan: Plan, table: Table) -> Iterator[Line]:
    """`from module import name as other` becomes `other = name`."""
    names = {name for unit in plan.kept_units(table) for name in unit.names}
    some = False
    for name in sorted(names):
        bindings = table.bindings.get(name)
        target = plan.tables.resolve(table.module.name, name)
        if not bindings or target is None or bindings[-1].target is None:
            continue
        if target.kind == "own" and target.name != name:
            line = getattr(bindings[-1].node, "lineno", 1)
            origin = Origin(table.label, line, table.module.name)
            yield f"{name} = {target.name}", origin
            some = True
    if some:
        yield "", None


def _body(table: Table, kept: list[Unit], gone: list[Unit]) -> Iterator[Line]:
    """Give the file's lines without the statements in `gone`, blank lines tidied."""
    source = table.module.source
    label, name = table.label, table.module.name
    drop = _dropped_lines(source, kept, gone)
    replaced = _shared_lines(source, kept, gone)
    inside = _inside_statements(kept)
    rows: list[tuple[str, int] | None] = []
    for number, text in enumerate(source.lines, start=1):
        if number in replaced:
            rows.extend(replaced[number])
        elif number in drop or (number <= 2 and _is_head(text, number, inside)):
            rows.append(None)
        else:
            rows.append((text, number))
    for row in _tidy(rows, inside):
        yield row[0], Origin(label, row[1], name)


def _is_head(text: str, number: int, inside: set[int]) -> bool:
    """An encoding or `#!` line: the built file is UTF-8, and has its own first line."""
    if number in inside:
        return False
    return _COOKIE.match(text) is not None or (number == 1 and text.startswith("#!"))


def _inside_statements(kept: list[Unit]) -> set[int]:
    return {n for unit in kept for n in range(unit.first, unit.last + 1)}


def _dropped_lines(source: Source, kept: list[Unit], gone: list[Unit]) -> set[int]:
    """The lines of left-out statements, with the comments that stand right above."""
    held = _inside_statements(kept)
    lines = source.lines
    drop: set[int] = set()
    for unit in gone:
        drop.update(range(unit.first, unit.last + 1))
    for unit in gone:
        above = unit.first - 1
        while above > 0 and above not in held and _is_comment(lines[above - 1]):
            drop.add(above)
            above -= 1
    return drop - held


def _is_comment(line: str) -> bool:
    return line.startswith("#") and not _MARK.match(line)


def _shared_lines(
    source: Source, kept: list[Unit], gone: list[Unit]
) -> dict[int, list[tuple[str, int]]]:
    """Cut apart `import os; X = 1` where only a part of the line stays.

    Gives, for each line that is replaced, the lines in its place with their numbers.
    """
    lost = {n for unit in gone for n in range(unit.first, unit.last + 1)}
    cut: list[Unit] = []
    for ordered in (kept, kept[::-1]):  # a statement may share lines with one cut apart
        for unit in ordered:
            if unit not in cut and (unit.first in lost or unit.last in lost):
                cut.append(unit)
                lost.update(range(unit.first, unit.last + 1))
    cut.sort(key=lambda unit: (unit.first, unit.node.col_offset))
    result: dict[int, list[tuple[str, int]]] = {}
    for unit in cut:
        for number in range(unit.first, unit.last + 1):
            result.setdefault(number, [])
    for unit in cut:
        text = _segment(source.text, unit.node)
        for number, line in enumerate(text.split("\n"), start=unit.first):
            result[number].append((line, number))
    return result


def _tidy(
    rows: list[tuple[str, int] | None], inside: set[int]
) -> Iterator[tuple[str, int]]:
    """Drop the gaps that left-out lines make: at most two blank lines, none at ends."""
    blank: list[tuple[str, int]] = []
    gap = False
    started = False
    for row in rows:
        if row is None:
            gap = True
        elif not row[0].strip() and row[1] not in inside:
            blank.append(row)
        else:
            if started:
                yield from blank[:2] if gap else blank
            blank, gap, started = [], False, True
            yield row


# -- the kernel


def _prologue(plan: Plan) -> Iterator[Line]:
    first = prologue(plan)
    if first:
        entry = plan.tables.entry
        kept = set(first)
        gone = [unit for unit in entry.units if unit not in kept]
        end = first[-1].last
        for text, origin in _body(entry, first, gone):
            if origin is not None and origin.line <= end:
                yield text, origin


def _entry(plan: Plan) -> Iterator[Line]:
    entry = plan.tables.entry
    first = set(prologue(plan))
    end = max((unit.last for unit in first), default=0)
    merged = set(leading_imports(plan)) if plan.tables.inlined else set()
    gone: list[Unit] = []
    for number, unit in enumerate(entry.units):
        node = unit.node
        docstring = number == 0 and is_docstring(node)
        skipped = unit in entry.skipped and _names_local(plan, unit)
        if docstring or skipped or unit in first:
            gone.append(unit)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
            if future or unit in merged or is_local(plan.tables, entry.module, node):
                gone.append(unit)
    leaving = set(gone)
    kept = [unit for unit in entry.units if unit not in leaving]
    rows = [row for row in _body(entry, kept, gone) if row[1] and row[1].line > end]
    yield from _aliases(plan, entry)
    yield from _without_empty_cells(rows, _inside_statements(kept))


def _names_local(plan: Plan, unit: Unit) -> bool:
    module = plan.tables.entry.module
    return any(is_local(plan.tables, module, node) for node in unit.imports)


def _without_empty_cells(rows: list[Line], inside: set[int]) -> Iterator[Line]:
    """Drop the `# %%` line of a cell that held nothing but imports."""
    dropping = True
    for index, (text, origin) in enumerate(rows):
        if dropping and not text.strip():
            continue  # the blank lines of the cell that went
        dropping = False
        if origin is not None and origin.line not in inside and _MARK.match(text):
            following = next((row for row in rows[index + 1 :] if row[0].strip()), None)
            plain = text.strip().lstrip("#").strip() == "%%"
            if plain and (following is None or _MARK.match(following[0])):
                dropping = True
                continue
        yield text, origin


def left_out(plan: Plan) -> Iterable[Unit]:
    """Give the modules' statements that do not appear in the joined file."""
    for table in plan.tables.inlined:
        for unit in table.units:
            if unit not in plan.kept and table.module.name != MAIN:
                yield unit
