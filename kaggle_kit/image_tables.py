"""Parquet files with a column per pixel -> uint8 images, within the memory of one file.

Kaggle's Bengali.AI stores 50,210 images of 137 x 236 pixels per file as 32,332 columns
of one row group: rows cannot be read in parts, but columns can. Reading some columns
at a time into one array that was made beforehand needs little more memory than the
images themselves (1.6 GB), where `pandas.read_parquet` needs a multiple of it.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

BENGALI_SIZE = (137, 236)  # height and width in pixels

# More columns at a time need more memory, fewer more calls; the speed hardly differs.
TABLE_COLUMNS = 256
TABLE_ROWS = 8192


@dataclass(frozen=True, eq=False)
class ImageTable:
    """Images and what they are called.

    Attributes:
        ids: (N,) str objects, no two alike.
        images: (N, H, W) uint8.
    """

    ids: npt.NDArray[np.object_]
    images: npt.NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.ids.shape != self.images.shape[:1]:
            raise ValueError(
                f"{len(self.ids)} ids of shape {self.ids.shape}, but images have shape "
                f"{self.images.shape}; give one id for each image"
            )

    def __len__(self) -> int:
        """Count the images."""
        return len(self.images)


def table_ids(names: Sequence[Any], source: str) -> npt.NDArray[np.object_]:
    """Ids as (N,) str objects.

    Args:
        names: one per row, str or whole numbers; None where there is none.
        source: where they come from, to begin a message with.

    Raises:
        ValueError: an id is missing, empty or there twice; the message names the rows.
    """
    rows: dict[str, int] = {}
    for row, name in enumerate(names):
        text = "" if name is None else str(name)
        if not text.strip():
            raise ValueError(f"{source}: row {row} (from 0) has no id")
        if (first := rows.setdefault(text, row)) != row:
            raise ValueError(
                f"{source}: the id {text!r} is there twice, in rows {first} and {row} "
                "(from 0); every image needs an id of its own"
            )
    return np.array(list(rows), dtype=object)


def _table_open(path: Path) -> pq.ParquetFile:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        # Mapped into memory the file's pages would count as the process's own.
        return pq.ParquetFile(path, memory_map=False)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(
            f"{path}: not a parquet file, or cut off: {_table_reason(error)}. "
            "Fetch or write it again"
        ) from None


def _table_reason(error: Exception) -> str:
    """The first line of what pyarrow says, without a full stop."""
    return (str(error).strip().splitlines() or [repr(error)])[0].rstrip(".")


def _table_require_columns(
    path: Path, schema: pa.Schema, size: tuple[int, int], id: str
) -> None:
    """Refuse a file that has other columns than the id and the pixels of one size."""
    names: list[str] = schema.names
    if names.count(id) != 1:
        shown = ", ".join(map(repr, names[:4])) + (", ..." if len(names) > 4 else "")
        raise ValueError(
            f"{path}: {names.count(id)} columns {id!r}, expected one; there are {shown}"
        )
    pixels = {str(i): i for i in range(size[0] * size[1])}
    if fault := _table_pixel_fault([name for name in names if name != id], pixels):
        raise ValueError(
            f"{path}: {len(names) - 1:,} columns beside {id!r}, but images of "
            f"{size[0]} x {size[1]} have {len(pixels):,} pixels, '0' to "
            f"'{len(pixels) - 1}': {fault}. For images of another size: "
            "image_size=(height, width)"
        )
    for name, kind in zip(names, schema.types, strict=True):
        if name != id and not pa.types.is_integer(kind):
            raise ValueError(
                f"{path}: column {name!r} holds {kind}, expected whole numbers 0..255 "
                "(uint8)"
            )


def _table_pixel_fault(found: list[str], pixels: dict[str, int]) -> str:
    """What keeps the columns from being the pixels, each once; empty if nothing."""
    missing = pixels.keys() - set(found)
    if missing:
        first = min(missing, key=pixels.__getitem__)
        return f"{len(missing):,} are missing, first {first!r}"
    if other := next((name for name in found if name not in pixels), ""):
        return f"{other!r} is none of them"
    return "some are there twice" if len(found) > len(pixels) else ""


def _table_column(
    path: Path, name: str, column: pa.ChunkedArray, out: npt.NDArray[np.uint8]
) -> None:
    """Copy one column, whole numbers in one or more pieces, to out: (N,) uint8."""
    if column.null_count:
        row = column.is_null().to_numpy().argmax()
        raise ValueError(f"{path}: column {name!r} has no value in row {row} (from 0)")
    if column.type != pa.uint8():
        try:
            column = column.cast(pa.uint8())
        except pa.ArrowInvalid as error:
            raise ValueError(
                f"{path}: column {name!r} of {column.type} holds other values than "
                f"0..255: {_table_reason(error)}"
            ) from None
    start = 0
    for piece in filter(len, column.chunks):
        # Some ten times faster than piece.to_numpy(), called for every column.
        pixels = np.frombuffer(piece.buffers()[1], np.uint8, len(piece), piece.offset)
        out[start : start + len(piece)] = pixels
        start += len(piece)


def _table_read(path: Path, file: pq.ParquetFile, columns: list[str]) -> pa.Table:
    try:
        table = file.read(columns=columns)
        table.validate(full=True)  # text that is no UTF-8 reads well otherwise
        return table
    except (pa.ArrowException, OSError) as error:
        raise ValueError(
            f"{path}: broken within its data: {_table_reason(error)}. Fetch or write "
            "it again"
        ) from None


def _table_read_pixels(
    path: Path, file: pq.ParquetFile, n: int, size: tuple[int, int], columns: int
) -> npt.NDArray[np.uint8]:
    """All pixels, `columns` of them at a time: (N, H, W) uint8."""
    pixels = np.empty((n, math.prod(size)), np.uint8)  # (N, H * W)
    block = np.empty((max(columns, 1), n), np.uint8)
    for start in range(0, pixels.shape[1] if n else 0, len(block)):
        wanted = range(start, min(start + len(block), pixels.shape[1]))
        table = _table_read(path, file, [str(i) for i in wanted])
        for i in wanted:
            _table_column(path, str(i), table.column(str(i)), block[i - start])
        # cv2 transposes in tiles: numpy would take longer than the reading.
        view = pixels[:, start : wanted.stop]
        cv2.transpose(block[: len(wanted)], dst=view)
    return pixels.reshape(-1, *size)


def read_image_parquet(
    path: str | Path,
    image_size: tuple[int, int] = BENGALI_SIZE,
    id: str = "image_id",
    columns: int = TABLE_COLUMNS,
) -> ImageTable:
    """Read a parquet file with a column for the id and one for each pixel.

    Args:
        path: columns `id` and "0", "1", ... (row by row of the image), in any order;
            whole numbers 0..255. Any number of row groups.
        image_size: height and width.
        id: name of the column that identifies the images.
        columns: read at a time.

    Returns:
        The images as the file has them (Bengali.AI: dark ink on light paper).

    Raises:
        FileNotFoundError: no such file.
        ValueError: not parquet, or cut off; a column missing, one too many or of
            another type; a value missing or outside 0..255; an id missing or there
            twice. The message names file and column.
    """
    path = Path(path)
    with _table_open(path) as file:
        _table_require_columns(path, file.schema_arrow, image_size, id)
        names = _table_read(path, file, [id]).column(0).to_pylist()
        ids = table_ids(names, f"{path}, column {id!r}")
        pixels = _table_read_pixels(path, file, len(ids), image_size, columns)
    return ImageTable(ids, pixels)


def iter_image_parquet(
    paths: Sequence[str | Path],
    image_size: tuple[int, int] = BENGALI_SIZE,
    rows: int = TABLE_ROWS,
    id: str = "image_id",
    log: Callable[[str], None] = print,
) -> Iterator[ImageTable]:
    """Read several files one after the other and yield their images block by block.

    The blocks are views of one file's images, which are freed before the next file is
    read unless a block is kept: keep crops or predictions, not the blocks. A loop's own
    variable keeps the last block, too: `del` it at the end of the loop's body where
    memory for two files is not there.

    Args:
        paths: of the files, see `read_image_parquet`.
        image_size: height and width.
        rows: images of a block; the last block of a file may be shorter.
        id: name of the column that identifies the images.
        log: gets a line for each file that was read.

    Raises:
        ValueError: no paths, or an id is in two files; and as `read_image_parquet`.
    """
    if not paths or rows < 1:
        raise ValueError(
            f"{len(paths)} parquet files, in blocks of {rows} rows; give 1 or more of "
            "both"
        )
    owners: dict[str, Path] = {}
    for number, path in enumerate(map(Path, paths), start=1):
        started = time.perf_counter()
        table = read_image_parquet(path, image_size, id)
        claim_ids(owners, table.ids, path)
        spent = time.perf_counter() - started
        log(
            f"{path.name}: {len(table):,} images in {spent:.1f} s "
            f"(file {number} of {len(paths)})"
        )
        for start in range(0, len(table), rows):
            part = slice(start, start + rows)
            yield ImageTable(table.ids[part], table.images[part])
        del table


def claim_ids(
    owners: dict[str, Path], ids: npt.NDArray[np.object_], path: Path
) -> None:
    """Note whose ids these are.

    Args:
        owners: file of each id so far; is added to.
        ids: (N,) of another file.
        path: of that file.

    Raises:
        ValueError: an id is in two files.
    """
    for name in ids.tolist():
        if (owner := owners.setdefault(name, path)) is not path:
            raise ValueError(
                f"{path}: the id {name!r} is in {owner} too; every image needs an id "
                "of its own"
            )
