"""Lay out a built kernel as a Jupyter notebook (nbformat 4.5).

Inlined modules are cells of their own under a heading, collapsed where the viewer knows
how: JupyterLab and VS Code read `jupyter.source_hidden`, Kaggle `_kg_hide-input`,
older viewers `collapsed`. The same kernel always gives the same bytes.
"""

import hashlib
import json
from typing import Any, Final, NamedTuple

from kernel_builder.emit.cells import assign_docstring, split_cells
from kernel_builder.emit.embed_runtime import RUNTIME
from kernel_builder.emit.emitted import Cell, Emitted, Origin
from kernel_builder.emit.notebook_ways import closing_cells, setup_cells

_HIDDEN: Final = {
    "_kg_hide-input": True,
    "collapsed": True,
    "jupyter": {"source_hidden": True},
}
_METADATA: Final = {
    "kernelspec": {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    },
    "language_info": {
        "codemirror_mode": {"name": "ipython", "version": 3},
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3",
    },
}


class Notebook(NamedTuple):
    """A notebook's text, and the origin of every line of every cell.

    `cells[c][i]` is the origin of line i + 1 of cell number c, counted from 0 over all
    cells as in the JSON; a markdown cell's row is empty.
    """

    text: str
    cells: tuple[tuple[Origin | None, ...], ...]


def to_notebook(emitted: Emitted) -> Notebook:
    """Make a notebook of a built script's cells."""
    cells = _lay_out(emitted)
    document = {
        "cells": [_json_cell(index, cell) for index, cell in enumerate(cells)],
        "metadata": _METADATA,
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    text = json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    return Notebook(text, tuple(_origins(cell, emitted) for cell in cells))


def _lay_out(emitted: Emitted) -> list[Cell]:
    """Give the notebook's cells: headings apart, the kernel cut at its marks."""
    whole = emitted.cells or (Cell("code", "", emitted.text.rstrip("\n"), 1),)
    cells = []
    for cell in whole:
        if cell.heading:
            cells.append(Cell("markdown", "", f"### {cell.heading}", 0))
        cells += split_cells(cell)
    cells = _with_docstring([cell for cell in cells if cell.text.strip()])
    text = emitted.text.replace(RUNTIME, "")  # what it does itself is nobody's business
    first = next((i for i, cell in enumerate(cells) if cell.kind == "code"), 0)
    setup, closing = setup_cells(text, cells), closing_cells(text)
    return [*cells[:first], *setup, *cells[first:], *closing]


def _with_docstring(cells: list[Cell]) -> list[Cell]:
    """Treat the docstring of the first code that came from the kernel."""
    for index, cell in enumerate(cells):
        if cell.kind == "code":
            return [*cells[:index], *assign_docstring(cell), *cells[index + 1 :]]
    return cells


def _json_cell(index: int, cell: Cell) -> dict[str, Any]:
    source = cell.text.split("\n")
    lines = [f"{line}\n" for line in source[:-1]] + source[-1:]
    digest = hashlib.sha256(cell.text.encode()).hexdigest()[:8]
    common: dict[str, Any] = {
        "cell_type": cell.kind,
        "id": f"cell-{index:03d}-{digest}",
        "metadata": dict(_HIDDEN) if cell.collapsed else {},
        "source": lines,
    }
    if cell.kind == "markdown":
        return common
    return {**common, "execution_count": None, "outputs": []}


def _origins(cell: Cell, emitted: Emitted) -> tuple[Origin | None, ...]:
    if cell.kind == "markdown":
        return ()
    count = cell.text.count("\n") + 1
    if not cell.first_line:
        return (None,) * count
    lines = emitted.lines[cell.first_line - 1 : cell.first_line - 1 + count]
    return (*lines, *[None] * (count - len(lines)))
