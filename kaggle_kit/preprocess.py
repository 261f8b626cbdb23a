"""Raw files -> uint8 images: CSV files of pixels, idx files, channel statistics."""

import csv
import gzip
import math
import re
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv

from kaggle_kit.paths import atomic_file

PIXEL_CELLS = tuple(str(value) for value in range(256))
PIXEL_NUMBERED = re.compile(r"(.*?)([0-9]+)")  # pixel0, pixel1, ...
PIXEL_GRID = re.compile(r"([0-9]+)x([0-9]+)")  # 1x1, 1x2, ...: row x column

IDX_MAGIC_UINT8 = b"\x00\x00\x08"  # two zeros, then the code of uint8

# Rows counted at once by image_stats: bincount widens uint8 to eight bytes.
STATS_ROWS = 1024

ChannelStats = float | tuple[float, ...]


@dataclass(frozen=True, eq=False)
class PixelTable:
    """A CSV file of pixels.

    Attributes:
        images: (N, H, W) uint8.
        labels: (N,) int64, from 0 up, or None without a label column.
        ids: (N,) int64 where all ids are whole numbers, else str objects; or None.
        columns: The header, in the order of the file.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64] | None
    ids: npt.NDArray[Any] | None
    columns: tuple[str, ...]


# ---------------------------------------------------------------- the header of a CSV


def _csv_header(path: Path) -> list[str]:
    with path.open("rb") as file:
        first = file.readline()
    if not first.strip():
        what = "line 1 is empty" if first else "the file is empty"
        raise ValueError(f"{path}: {what}, expected column names")
    try:
        text = first.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}, line 1: not UTF-8 text (byte {first[error.start]:#04x}); save it "
            "as CSV in UTF-8, and unpack it if it is compressed"
        ) from None
    header = next(csv.reader([text.rstrip("\r\n")]))
    if len(header) != len(set(header)):
        if all(name.strip().isdigit() for name in header):
            raise ValueError(f"{path}, line 1: numbers instead of column names")
        name = next(name for name, count in Counter(header).items() if count > 1)
        places = [str(i + 1) for i, other in enumerate(header) if other == name]
        raise ValueError(
            f"{path}, line 1: column {name!r} appears {len(places)} times, as columns "
            f"{', '.join(places[:5])}"
        )
    return header


def _csv_require_leading(path: Path, header: list[str], roles: dict[str, str]) -> None:
    """Label and id must exist and stand before the pixels.

    Args:
        path: Named in errors.
        header: Names of all columns.
        roles: Column name -> "label" or "id".
    """
    for name, role in roles.items():
        if name not in header:
            some = ", ".join(header[:5]) + ", ..." * (len(header) > 5)
            raise ValueError(
                f"{path}, line 1: no {role} column {name!r}; the columns are {some}"
            )
        place = header.index(name) + 1
        if place > len(roles):
            raise ValueError(
                f"{path}, line 1: the {role} column {name!r} is column {place} of "
                f"{len(header)}; it must stand before the pixel columns"
            )


def _csv_numbered_pixels(path: Path, header: list[str], skip: int) -> None:
    """Numbered pixel columns must be complete and in order, with nothing between."""
    matches = [PIXEL_NUMBERED.fullmatch(name) for name in header[skip:]]
    prefixes = Counter(match[1] for match in matches if match)
    prefix, count = prefixes.most_common(1)[0] if prefixes else ("", 0)
    if 2 * count < len(matches):
        return  # names without numbers: the position alone says which pixel it is
    expected = -1
    for place, match in enumerate(matches, start=skip + 1):
        name = header[place - 1]
        if match is None or match[1] != prefix:
            raise ValueError(
                f"{path}, line 1: column {place}, {name!r}, is no pixel column such as "
                f"{prefix}0; a column of labels or ids must be named: label={name!r} "
                f"or id={name!r}"
            )
        number = int(match[2])
        # The first number may be 0 or 1.
        if number != expected and not (expected < 0 and number in (0, 1)):
            raise ValueError(
                f"{path}, line 1: column {place} is {name!r}, expected "
                f"'{prefix}{max(expected, 0)}': a pixel column is missing or misplaced"
            )
        expected = number + 1


def _csv_image_size(
    path: Path, pixels: list[str], size: tuple[int, int] | None
) -> tuple[int, int]:
    """Height and width from `size`, from names such as 28x28, or of a square."""
    grid = [match for match in map(PIXEL_GRID.fullmatch, pixels) if match]
    if size is None and pixels and len(grid) == len(pixels):
        top, left = int(grid[0][1]), int(grid[0][2])
        size = int(grid[-1][1]) - top + 1, int(grid[-1][2]) - left + 1
        order = [
            f"{top + i}x{left + j}" for i in range(size[0]) for j in range(size[1])
        ]
        if order != pixels:
            wrong = next(
                (p for p, o in zip(pixels, order, strict=False) if p != o), pixels[-1]
            )
            raise ValueError(
                f"{path}, line 1: pixel columns {pixels[0]} to {pixels[-1]} are "
                f"incomplete or out of order, first at {wrong!r}"
            )
    side = math.isqrt(len(pixels))
    height, width = size or (side, side)
    if not pixels or height * width != len(pixels):
        wanted = f"{height} x {width}" if size else "a square"
        raise ValueError(
            f"{path}, line 1: {len(pixels)} pixel columns do not make {wanted} image; "
            "is a column missing, or one too many? Other shapes: size=(height, width)"
        )
    return height, width


# ------------------------------------------------------------------ the rows of a CSV


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number, as an editor counts, and cells of every row after the header."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file)
        next(reader)
        for row in reader:
            if row:
                yield reader.line_num, row


def _csv_cell_fault(cell: str, highest: int | None) -> str | None:
    """What is wrong with a cell that should be 0..highest; None if nothing is."""
    limits = f"0..{highest}" if highest is not None else "from 0 up"
    wanted = f"expected a whole number {limits}"
    text = cell.strip()
    if text.isdecimal() and text.isascii():
        too_large = int(text) > (highest if highest is not None else 2**63 - 1)
        return f"{text} is out of range, {wanted}" if too_large else None
    if not text.isprintable():
        return f"not UTF-8 text, {wanted}"
    try:
        number = float(text)
    except ValueError:
        return f"{text!r} is no number, {wanted}" if text else f"empty cell, {wanted}"
    if math.isnan(number):
        return f"{text}, {wanted}"
    what = "is out of range" if number < 0 else "is no whole number"
    return f"{text} {what}, {wanted}"


def _csv_first_fault(path: Path, header: list[str], roles: dict[str, str]) -> str:
    """Find the first bad cell; empty if there is none.

    Slower than the reader that refused the file, and run only then: it knows the line.
    """
    valid = frozenset(PIXEL_CELLS)
    seen: dict[str, int] = {}
    for line, row in _csv_rows(path):
        if len(row) != len(header):
            return f"line {line}: {len(row)} columns, the header has {len(header)}"
        for name, cell in zip(roles, row[: len(roles)], strict=True):
            fault = None
            if roles[name] == "label":
                fault = _csv_cell_fault(cell, None)
            elif not cell.strip() or not cell.isprintable():
                fault = f"{'not UTF-8 text' if cell.strip() else 'empty cell'}"
            elif seen.setdefault(cell, line) != line:
                fault = f"id {cell!r} was already on line {seen[cell]}"
            if fault:
                return f"line {line}, column {name!r}: {fault}"
        if not valid.issuperset(row[len(roles) :]):
            for name, cell in zip(header, row, strict=True):
                if name not in roles and (fault := _csv_cell_fault(cell, 255)):
                    return f"line {line}, column {name!r}: {fault}"
    return ""


def _csv_load(path: Path, header: list[str], roles: dict[str, str]) -> pa.Table:
    kinds = {"label": pa.int64(), "id": pa.string()}
    types = {
        name: kinds[roles[name]] if name in roles else pa.uint8() for name in header
    }
    try:
        return pa_csv.read_csv(
            path,
            read_options=pa_csv.ReadOptions(column_names=header, skip_rows=1),
            convert_options=pa_csv.ConvertOptions(
                column_types=types, null_values=[], strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        fault = _csv_first_fault(path, header, roles)
        raise ValueError(f"{path}{', ' if fault else ': '}{fault or error}") from None


def _csv_images(table: pa.Table, skip: int) -> npt.NDArray[np.uint8]:
    """The columns from `skip` on as (N, P), block by block: one copy at a time."""
    pixels = np.empty((table.num_rows, table.num_columns - skip), np.uint8)
    start = 0
    for batch in table.to_batches():
        stop = start + batch.num_rows
        columns = [column.to_numpy() for column in batch.columns[skip:]]
        pixels[start:stop] = np.stack(columns, axis=1)
        start = stop
    return pixels


def _csv_ids(strings: list[str]) -> npt.NDArray[Any]:
    """Ids as int64 where that keeps their spelling (`007` stays text), else str."""
    texts = np.array(strings, dtype=object)
    try:
        numbers = texts.astype(np.int64)
    except (ValueError, OverflowError):
        return texts
    return numbers if [str(n) for n in numbers.tolist()] == strings else texts


def read_pixel_csv(
    path: str | Path,
    label: str | None = None,
    id: str | None = None,
    size: tuple[int, int] | None = None,
) -> PixelTable:
    """Read a CSV file with one image per row and one column per pixel.

    Columns for label and id come first, the pixels follow row by row of the image:
    `pixel0, pixel1, ...` (from 0 or 1), `1x1, 1x2, ...`, or any other names in order.

    Args:
        path: UTF-8 text with a header line and commas.
        label: Name of the label column; None where there is none, as in test.csv.
        id: Name of the column that identifies the images, if there is one.
        size: Height and width where they do not follow from the columns: images are
            square unless the names are of the form `1x1`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: anything but whole numbers 0..255 in the pixels or from 0 up in the
            labels; columns missing, misplaced or twice; no rows. The message names
            file, line (the header is line 1) and column.
    """
    path = Path(path)
    header = _csv_header(path)
    names = {label: "label", id: "id"}
    roles = {name: role for name, role in names.items() if name is not None}
    _csv_require_leading(path, header, roles)
    # Label and id may come in either order; from here on roles follow the file.
    roles = {name: roles[name] for name in header[: len(roles)]}
    _csv_numbered_pixels(path, header, len(roles))
    height, width = _csv_image_size(path, header[len(roles) :], size)
    table = _csv_load(path, header, roles)
    if table.num_rows == 0:
        raise ValueError(f"{path}: no rows after the header")
    labels = None if label is None else table[label].to_numpy()
    ids = None if id is None else _csv_ids(table[id].to_pylist())
    if (labels is not None and labels.min() < 0) or (
        ids is not None and (len(set(ids.tolist())) < len(ids) or "" in ids)
    ):
        raise ValueError(f"{path}, {_csv_first_fault(path, header, roles)}")
    images = _csv_images(table, len(roles)).reshape(-1, height, width)  # (N, H, W)
    return PixelTable(images, labels, ids, tuple(header))


def write_pixel_csv(
    path: str | Path,
    images: npt.NDArray[np.uint8],
    labels: Sequence[int] | npt.NDArray[Any] | None = None,
) -> None:
    """Write images as Kaggle's Digit Recognizer does, whole or not at all.

    The columns are `label` (if there are labels), `pixel0`, `pixel1`, ...; lines end
    with a carriage return and a line feed, as in Kaggle's own files.

    Args:
        path: The CSV file.
        images: (N, H, W) uint8.
        labels: (N,) whole numbers.
    """
    rows = np.ascontiguousarray(images).reshape(len(images), -1)  # (N, H * W)
    names = [f"pixel{i}" for i in range(rows.shape[1])]
    spell = PIXEL_CELLS.__getitem__
    with atomic_file(path) as temporary, temporary.open("w", newline="") as file:
        file.write(",".join(names if labels is None else ["label", *names]) + "\r\n")
        for i, row in enumerate(rows):
            lead = "" if labels is None else f"{int(labels[i])},"
            file.write(f"{lead}{','.join(map(spell, row.tobytes()))}\r\n")


# ------------------------------------------------------------------------- idx files


def read_idx(path: str | Path) -> npt.NDArray[np.uint8]:
    """Read an idx file of uint8 (the format of MNIST), compressed with gzip or not.

    Returns:
        An array of the shape that the file declares: (N, H, W) or (N,).

    Raises:
        ValueError: not an idx file of uint8, or its size is not the declared one.
    """
    path = Path(path)
    content = path.read_bytes()
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError) as error:
            raise ValueError(f"{path}: broken gzip file: {error}") from None
    if len(content) < 4 or content[:3] != IDX_MAGIC_UINT8:
        raise ValueError(
            f"{path}: not an idx file of uint8; it starts with {content[:4].hex(' ')}, "
            f"expected {IDX_MAGIC_UINT8.hex(' ')} and the number of dimensions"
        )
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise ValueError(f"{path}: cut off within the sizes of its dimensions")
    shape = struct.unpack(f">{content[3]}I", content[4:start])
    if len(content) - start != math.prod(shape):
        raise ValueError(
            f"{path}: declares {' x '.join(map(str, shape))} bytes, "
            f"but {len(content) - start} follow"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()


# ----------------------------------------------------------------- channel statistics


def _stats_of_counts(counts: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Mean and standard deviation, in [0, 1], of pixels given how often each occurs."""
    values = np.arange(256) / 255.0
    mean = float(counts @ values / counts.sum())
    std = math.sqrt(float(counts @ (values - mean) ** 2 / counts.sum()))
    return mean, std


def image_stats(images: npt.NDArray[np.uint8]) -> tuple[ChannelStats, ChannelStats]:
    """Mean and standard deviation of the pixels, scaled to [0, 1].

    Give it the training images only: statistics of validation or test images leak.
    The pixels are counted by value, so the result is exact to rounding and no
    floating-point copy of the images is made.

    Args:
        images: (N, H, W) or (N, H, W, C) uint8.

    Returns:
        Two floats for (N, H, W), two tuples of C floats for (N, H, W, C).

    Raises:
        ValueError: another dtype or shape, no images, or a channel whose pixels are
            all the same, which cannot be normalised.
    """
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or images.size == 0:
        raise ValueError(
            "expected images of shape (N, H, W) or (N, H, W, C) and dtype uint8, got "
            f"{images.shape} {images.dtype}"
        )
    channels = images[..., None] if images.ndim == 3 else images  # (N, H, W, C)
    counts = np.zeros((channels.shape[-1], 256), np.int64)
    for start in range(0, len(images), STATS_ROWS):
        for c in range(len(counts)):
            block = channels[start : start + STATS_ROWS, ..., c]
            counts[c] += np.bincount(block.ravel(), minlength=256)
    means, stds = zip(*(_stats_of_counts(row) for row in counts), strict=True)
    if 0.0 in stds:
        raise ValueError(
            f"all pixels of channel {stds.index(0.0)} have the same value: "
            "there is nothing to normalise"
        )
    return (means[0], stds[0]) if images.ndim == 3 else (means, stds)
