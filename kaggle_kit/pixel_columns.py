"""A CSV file of pixels: what its columns are, and where it is wrong."""

import csv
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PIXEL_VALUES = tuple(str(value) for value in range(256))  # pixel value -> its cell

_PIXEL_NUMBERED = re.compile(r"(.*?)([0-9]+)")  # pixel0, pixel1, ...
_PIXEL_GRID = re.compile(r"([0-9]+)x([0-9]+)")  # 1x1, 1x2, ...: row x column
# What errors="surrogateescape" makes of bytes that are no UTF-8.
_PIXEL_NOT_UTF8 = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True)
class PixelColumns:
    """The columns of a CSV file of pixels.

    Attributes:
        header: The names of all columns, those in `roles` first.
        roles: Name of a column that holds no pixels -> "label" or "id".
        size: Height and width of the images.
    """

    header: tuple[str, ...]
    roles: Mapping[str, str]
    size: tuple[int, int]


def _pixel_header(path: Path) -> list[str]:
    """The names on line 1, each there once."""
    with path.open("rb") as file:
        first = file.readline()
    if not first.strip():
        what = "line 1 is empty" if first else "the file is empty"
        raise ValueError(f"{path}: {what}, expected the names of the columns")
    try:
        header = next(csv.reader([first.decode("utf-8-sig").rstrip("\r\n")]))
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}, line 1: not UTF-8 text (byte {error.object[error.start]:#04x}); "
            "save it as CSV in UTF-8, and unpack it if it is compressed"
        ) from None
    except csv.Error as error:
        raise ValueError(f"{path}, line 1: not readable as CSV: {error}") from None
    _pixel_require_names(path, header)
    return header


def _pixel_require_names(path: Path, header: list[str]) -> None:
    """Every column has a name of its own."""
    counts = Counter(header)
    if len(counts) < len(header) and all(name.strip().isdigit() for name in header):
        raise ValueError(f"{path}, line 1: numbers, expected the names of the columns")
    if "" in counts:
        raise ValueError(
            f"{path}, line 1: column {header.index('') + 1} has no name; if it is the "
            "index of a table, write the file with index=False"
        )
    for name, count in counts.items():
        if count > 1:
            places = [str(i) for i, other in enumerate(header, 1) if other == name]
            raise ValueError(
                f"{path}, line 1: column {name!r} is there {count} times, as columns "
                f"{', '.join(places[:5])}"
            )


def _pixel_roles(
    path: Path, header: list[str], label: str | None, id_name: str | None
) -> dict[str, str]:
    """Name -> role of the columns before the pixels, in the order of the file."""
    given = ((label, "label"), (id_name, "id"))
    roles = {name: role for name, role in given if name is not None}
    for name, role in roles.items():
        if name not in header:
            some = ", ".join(map(repr, header[:5])) + ", ..." * (len(header) > 5)
            raise ValueError(
                f"{path}, line 1: no {role} column {name!r}; the columns are {some}"
            )
        place = header.index(name) + 1
        if place > len(roles):
            raise ValueError(
                f"{path}, line 1: the {role} column {name!r} is column {place} of "
                f"{len(header)}; it must stand before the pixel columns"
            )
    return {name: roles[name] for name in header[: len(roles)]}


def _pixel_require_numbered(path: Path, header: list[str], skip: int) -> None:
    """Numbered pixel columns must be complete and in order, with nothing between."""
    matches = [_PIXEL_NUMBERED.fullmatch(name) for name in header[skip:]]
    prefixes = Counter(match[1] for match in matches if match)
    prefix, count = prefixes.most_common(1)[0] if prefixes else ("", 0)
    if 2 * count < len(matches):
        return  # names without numbers: the position alone says which pixel it is
    expected = None
    for place, match in enumerate(matches, start=skip + 1):
        name = header[place - 1]
        if match is None or match[1] != prefix:
            raise ValueError(
                f"{path}, line 1: column {place}, {name!r}, is no pixel column such as "
                f"{prefix + '0'!r}; if it holds the labels or the ids, it must come "
                f"first and be named: label={name!r} or id={name!r}"
            )
        number = int(match[2])
        if number != expected and (expected is not None or number > 1):
            raise ValueError(
                f"{path}, line 1: column {place} is {name!r}, expected "
                f"'{prefix}{expected or 0}': a pixel column is missing or misplaced"
            )
        expected = number + 1


def _pixel_grid_size(path: Path, pixels: list[str]) -> tuple[int, int] | None:
    """Height and width from names such as 1x1 to 28x28; None for other names."""
    places = [
        (int(match[1]), int(match[2]))
        for match in map(_PIXEL_GRID.fullmatch, pixels)
        if match
    ]
    if not pixels or len(places) < len(pixels):
        return None
    (top, left), (bottom, right) = places[0], places[-1]
    width = right - left + 1
    for i, place in enumerate(places):
        expected = (top + i // width, left + i % width) if width > 0 else place
        if place != expected or top > 1 or left > 1 or width < 1:
            raise ValueError(
                f"{path}, line 1: pixel columns {pixels[0]} to {pixels[-1]} are "
                f"incomplete or out of order, first at {pixels[i]!r}"
            )
    return bottom - top + 1, width


def _pixel_size(
    path: Path, pixels: list[str], size: tuple[int, int] | None
) -> tuple[int, int]:
    """Height and width: as given, from the names, or of a square."""
    size = size or _pixel_grid_size(path, pixels)
    side = math.isqrt(len(pixels))
    height, width = size or (side, side)
    if not pixels or height * width != len(pixels):
        wanted = f"{height} x {width} images" if size else "square images"
        raise ValueError(
            f"{path}, line 1: {len(pixels)} pixel columns make no {wanted}; is a "
            "column missing, or one too many? For another shape: size=(height, width)"
        )
    return height, width


def read_pixel_columns(
    path: Path, label: str | None, id_name: str | None, size: tuple[int, int] | None
) -> PixelColumns:
    """Read the header of a CSV file of pixels; the arguments are `read_pixel_csv`'s.

    Raises:
        FileNotFoundError: no such file.
        ValueError: columns are missing, misplaced or there twice; no header at all.
    """
    header = _pixel_header(path)
    roles = _pixel_roles(path, header, label, id_name)
    skip = len(roles)
    if not all(map(_PIXEL_GRID.fullmatch, header[skip:])):
        _pixel_require_numbered(path, header, skip)
    return PixelColumns(tuple(header), roles, _pixel_size(path, header[skip:], size))


def _pixel_cell_fault(cell: str, highest: int | None) -> str:
    """What is wrong with a cell that should hold 0..highest; empty if nothing is."""
    wanted = "expected a whole number " + (f"0..{highest}" if highest else "from 0 up")
    text = cell.strip()
    if text.isdecimal() and text.isascii():
        # Nineteen digits first: int() refuses to read thousands of them.
        if len(text.lstrip("0")) > 19 or int(text) > (highest or 2**63 - 1):
            return f"{text[:20]} is out of range, {wanted}"
        return ""
    if not text:
        return f"empty cell, {wanted}"
    if _PIXEL_NOT_UTF8.search(text):
        return f"not UTF-8 text, {wanted}"
    try:
        number = float(text)
    except ValueError:
        return f"{text!r} is no number, {wanted}"
    if number < 0:
        return f"{text} is out of range, {wanted}"
    return f"{text} is no whole number, {wanted}"


def _pixel_row_fault(
    row: list[str], columns: PixelColumns, valid: frozenset[str]
) -> str:
    """Column and fault of the first bad cell of a row, repeated ids apart."""
    skip = len(columns.roles)
    suspects = columns.header if not valid.issuperset(row[skip:]) else columns.roles
    for name, cell in zip(suspects, row, strict=False):
        role = columns.roles.get(name)
        if role == "id":
            fault = "" if cell.strip() else "empty cell, expected an id"
            fault = "not UTF-8 text" if _PIXEL_NOT_UTF8.search(cell) else fault
        else:
            fault = _pixel_cell_fault(cell, None if role else 255)
        if fault:
            return f"column {name!r}: {fault}"
    return ""


def _pixel_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number, as an editor counts, and cells of every row after the header."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file)
        try:
            next(reader)
            for row in reader:
                if row:
                    yield reader.line_num, row
        except csv.Error as error:
            raise ValueError(
                f"{path}, line {reader.line_num}: not readable as CSV: {error}"
            ) from None


def first_pixel_fault(path: Path, columns: PixelColumns) -> str:
    """Line, column and fault of the first bad cell below the header; empty if none.

    It is slower than the reader that refused the file and runs only then: it knows
    the line.
    """
    valid = frozenset(PIXEL_VALUES)
    ids = [i for i, role in enumerate(columns.roles.values()) if role == "id"]
    lines: dict[str, int] = {}
    some_row = False
    for line, row in _pixel_rows(path):
        some_row = True
        if len(row) != len(columns.header):
            wanted = len(columns.header)
            return f"line {line}: {len(row)} cells, the header has {wanted} columns"
        if fault := _pixel_row_fault(row, columns, valid):
            return f"line {line}, {fault}"
        for place in ids:
            if (first := lines.setdefault(row[place], line)) != line:
                name, cell = columns.header[place], row[place]
                return f"line {line}, column {name!r}: {cell!r} is on line {first} too"
    return "" if some_row else "no rows after the header"
