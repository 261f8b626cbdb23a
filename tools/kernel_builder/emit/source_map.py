"""Lead a line of the built file back to the line somebody wrote.

A map lies beside every built file as `<stem>.map.json`. It holds the sources' text as
it was at build time, so a traceback can be explained after the sources have changed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kernel_builder.emit.emitted import Origin, runs
from kernel_builder.errors import UsageError

VERSION: Final = 1


@dataclass(frozen=True)
class SourceMap:
    """Where every line of one built file came from.

    `built` is the built file's name. `lines[i]` is the origin of script line i + 1.
    `cells[c][i]` is the origin of line i + 1 of code cell number c (counted from 0 over
    all cells, as in the notebook's JSON); empty for a script. `sources` maps the label
    of each source to its text.
    """

    built: str
    kernel: str
    form: str
    lines: tuple[Origin | None, ...]
    sources: Mapping[str, str]
    cells: tuple[tuple[Origin | None, ...], ...] = ()

    def lookup(self, line: int, cell: int | None = None) -> Origin | None:
        """Give the origin of a built line (from 1), in a cell if one is named."""
        if cell is None:
            lines: Sequence[Origin | None] = self.lines
        elif 0 <= cell < len(self.cells):
            lines = self.cells[cell]
        else:
            return None
        return lines[line - 1] if 0 < line <= len(lines) else None

    def text_at(self, origin: Origin) -> str:
        """Give the source line of an origin, stripped, or an empty string."""
        lines = self.sources.get(origin.path, "").split("\n")
        return lines[origin.line - 1].strip() if origin.line <= len(lines) else ""

    def to_json(self) -> str:
        """Give the text of the map file; the same map always gives the same text."""
        modules = _modules(self.lines, *self.cells)
        labels = list(modules)
        value = {
            "version": VERSION,
            "built": self.built,
            "kernel": self.kernel,
            "form": self.form,
            "sources": [
                {"path": label, "module": modules[label], "text": self._text(label)}
                for label in labels
            ],
            "lines": _pack(self.lines, labels),
            "cells": [_pack(cell, labels) for cell in self.cells],
        }
        return json.dumps(value, ensure_ascii=False, indent=None) + "\n"

    def _text(self, label: str) -> str:
        return self.sources.get(label, "")


def from_json(text: str, name: str = "source map") -> SourceMap:
    """Read a map that `to_json` wrote.

    Raises:
        UsageError: the text is not such a map.
    """
    try:
        value = json.loads(text)
        if value["version"] != VERSION:
            raise UsageError(f"{name}: map version {value['version']}, not {VERSION}")
        sources = [(item["path"], item["module"]) for item in value["sources"]]
        return SourceMap(
            built=value["built"],
            kernel=value["kernel"],
            form=value["form"],
            lines=_unpack(value["lines"], sources),
            sources={item["path"]: item["text"] for item in value["sources"]},
            cells=tuple(_unpack(cell, sources) for cell in value["cells"]),
        )
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise UsageError(f"{name}: not a source map of this tool ({error!r})") from None


def _modules(*tables: Sequence[Origin | None]) -> dict[str, str]:
    return {
        origin.path: origin.module for table in tables for origin in table if origin
    }


def _pack(lines: Sequence[Origin | None], labels: list[str]) -> list[list[int]]:
    """Write runs: [first built line, count, source number (-1: the tool), line]."""
    number = {label: index for index, label in enumerate(labels)}
    return [
        [at + 1, count, number[first.path], first.line]
        if first
        else [at + 1, count, -1, 0]
        for at, count, first in runs(lines)
    ]


def _unpack(
    runs: list[list[int]], sources: list[tuple[str, str]]
) -> tuple[Origin | None, ...]:
    lines: list[Origin | None] = []
    for _built, count, source, line in runs:
        for offset in range(count):
            if source < 0:
                lines.append(None)
            else:
                path, module = sources[source]
                lines.append(Origin(path, line + offset, module))
    return tuple(lines)
