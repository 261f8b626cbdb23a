"""What the two emitters hand on: the built text and where each line came from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

MAX_BYTES: Final = 1_000_000
"""Kaggle refuses a kernel source of this many bytes."""


class Origin(NamedTuple):
    """One line of one source file.

    `path` is a label that is the same on every machine: relative to the project's root,
    or to the folder that holds the package, with forward slashes. `line` counts from 1.
    `module` is the dotted name, `__main__` for the kernel itself.
    """

    path: str
    line: int
    module: str


@dataclass(frozen=True)
class Cell:
    """A stretch of the built script that becomes one notebook cell.

    `text` holds what the cell shows: code as it stands in the script (without its
    `# %%` line), or markdown with the comment signs taken off. `first_line` is the
    line of the script, counted from 1, where `text` starts. `collapsed` marks
    inlined modules.
    """

    kind: Literal["code", "markdown"]
    heading: str
    text: str
    first_line: int
    collapsed: bool = False


@dataclass(frozen=True)
class Emitted:
    """A built script.

    `lines[i]` is the origin of line i + 1 of `text`, None for lines the tool wrote.
    `notes` are sentences for the person who runs the build.
    """

    text: str
    lines: tuple[Origin | None, ...]
    form: Literal["flat", "embed"]
    notes: tuple[str, ...] = ()
    cells: tuple[Cell, ...] = field(default=())


class Run(NamedTuple):
    """Neighbouring lines of one source that are neighbours in the built text.

    `at` is the first built line, counted from 0; `first` the source's, None where the
    tool wrote the lines.
    """

    at: int
    length: int
    first: Origin | None


def runs(lines: Sequence[Origin | None]) -> Iterator[Run]:
    """Cut a built text into runs."""
    start, first = 0, None
    path, due = "", -1
    for at, origin in enumerate(lines):
        if origin is None:
            if path:
                yield Run(start, at - start, first)
                start, first, path = at, None, ""
        elif origin.line != due or origin.path != path:
            if at > start:
                yield Run(start, at - start, first)
            start, first, path, due = at, origin, origin.path, origin.line + 1
        else:
            due += 1
    if len(lines) > start:
        yield Run(start, len(lines) - start, first)
