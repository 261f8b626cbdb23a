"""Raw files -> uint8 images: CSV files of pixels, idx files, channel statistics."""

import gzip
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv

from kaggle_kit.paths import atomic_file
from kaggle_kit.pixel_columns import (
    PIXEL_VALUES,
    PixelColumns,
    first_pixel_fault,
    read_pixel_columns,
)

CSV_BLOCK = 4 << 20  # bytes parsed at once by each thread

IDX_UINT8 = b"\x00\x00\x08"  # an idx file: two zeros, then the code of uint8

# Images counted at once by image_stats: bincount widens uint8 to eight bytes.
STATS_IMAGES = 1024

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


def _csv_table(path: Path, columns: PixelColumns) -> pa.Table:
    kinds = {"label": pa.int64(), "id": pa.string()}
    types = {name: pa.uint8() for name in columns.header}
    types |= {name: kinds[role] for name, role in columns.roles.items()}
    # A block must hold the longest line: the header, or `"255",` for every column.
    longest = sum(4 * len(name) + 8 for name in columns.header)
    try:
        return pa_csv.read_csv(
            path,
            read_options=pa_csv.ReadOptions(
                column_names=list(columns.header),
                skip_rows=1,
                block_size=max(CSV_BLOCK, longest),
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=types, null_values=[], strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        fault = first_pixel_fault(path, columns) or str(error)
        raise ValueError(f"{path}, {fault}") from None


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


def _csv_ids_are_unusable(ids: npt.NDArray[Any]) -> bool:
    distinct = set(ids.tolist())
    return len(distinct) < len(ids) or any(not str(i).strip() for i in distinct)


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
    columns = read_pixel_columns(path, label, id, size)
    table = _csv_table(path, columns)
    labels = None if label is None else table[label].to_numpy()
    ids = None if id is None else _csv_ids(table[id].to_pylist())
    refused = table.num_rows == 0 or (labels is not None and labels.min() < 0)
    if refused or (ids is not None and _csv_ids_are_unusable(ids)):
        raise ValueError(f"{path}, {first_pixel_fault(path, columns)}")
    images = _csv_images(table, len(columns.roles)).reshape(-1, *columns.size)
    return PixelTable(images, labels, ids, columns.header)


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

    Raises:
        ValueError: another dtype, or not as many labels as images.
    """
    if images.dtype != np.uint8 or (labels is not None and len(labels) != len(images)):
        raise ValueError(
            f"expected uint8 images and a label for each, got {images.dtype} images of "
            f"shape {images.shape} and "
            f"{'no' if labels is None else len(labels)} labels"
        )
    rows = np.ascontiguousarray(images).reshape(len(images), -1)  # (N, H * W)
    names = [f"pixel{i}" for i in range(rows.shape[1])]
    spell = PIXEL_VALUES.__getitem__
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
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path}: broken gzip file: {error}") from None
    if len(content) < 4 or content[:3] != IDX_UINT8:
        raise ValueError(
            f"{path}: not an idx file of uint8; it starts with {content[:4].hex(' ')}, "
            f"expected {IDX_UINT8.hex(' ')} and the number of dimensions"
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


def read_idx_part(
    folder: str | Path, part: str
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Read images and labels of one part of an MNIST-like data set.

    Args:
        folder: holds PART-images-idx3-ubyte and PART-labels-idx1-ubyte, each as it is
            or as NAME.gz.
        part: "train" or "t10k".

    Returns:
        Images (N, H, W) and labels (N,), both uint8.

    Raises:
        FileNotFoundError: neither NAME nor NAME.gz exists.
        ValueError: a bad file, or other images than labels.
    """
    arrays = []
    for name in (f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"):
        paths = [Path(folder) / name, Path(folder) / f"{name}.gz"]
        found = next((path for path in paths if path.is_file()), None)
        if found is None:
            raise FileNotFoundError(f"{folder} holds neither {name} nor {name}.gz")
        arrays.append(read_idx(found))
    images, labels = arrays
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise ValueError(
            f"{folder}: {part} has images of shape {images.shape} and labels of shape "
            f"{labels.shape}"
        )
    return images, labels


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
    for start in range(0, len(images), STATS_IMAGES):
        for c in range(len(counts)):
            block = channels[start : start + STATS_IMAGES, ..., c]
            counts[c] += np.bincount(block.ravel(), minlength=256)
    means, stds = zip(*(_stats_of_counts(row) for row in counts), strict=True)
    if 0.0 in stds:
        raise ValueError(
            f"all pixels of channel {stds.index(0.0)} have the same value: "
            "there is nothing to normalise"
        )
    return (means[0], stds[0]) if images.ndim == 3 else (means, stds)
