"""Parquet files of pixels -> crops, file by file, within the memory of one file."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kaggle_kit.cropping import CROP_SIZE, CropResult, crop_resize, odd_in_words
from kaggle_kit.image_tables import BENGALI_SIZE, claim_ids, read_image_parquet
from kaggle_kit.ink_boxes import CropImages, CropRows, CropSettings

_CROPPED_APART = 1024  # images whose crops wait in memory of their own


@dataclass(frozen=True, eq=False)
class CroppedTable:
    """The crops of one file.

    Attributes:
        ids: (N,) str objects, no two alike.
        images: (N, size, size) uint8, light on dark.
        odd: rows of images that are no ordinary writing, see `CropResult.odd`.
    """

    ids: npt.NDArray[np.object_]
    images: npt.NDArray[np.uint8]
    odd: Mapping[str, CropRows]

    def __len__(self) -> int:
        """Count the images."""
        return len(self.images)


def read_cropped_parquet(
    path: str | Path,
    image_size: tuple[int, int] = BENGALI_SIZE,
    size: int = CROP_SIZE,
    settings: CropSettings | None = None,
    threads: int = 0,
    id: str = "image_id",
) -> CroppedTable:
    """Read one file and crop its images, the crops taking the place of the images.

    Args:
        path: see `read_image_parquet`.
        image_size: height and width in the file.
        size: of the crops, see `crop_resize`.
        settings: likewise.
        threads: likewise.
        id: name of the column that identifies the images.

    Raises:
        FileNotFoundError: no such file.
        ValueError: as `read_image_parquet` and `crop_resize`.
    """
    table = read_image_parquet(path, image_size, id)
    ids, images = table.ids, table.images
    del table
    result = crop_in_place(images, size, settings, threads)
    return CroppedTable(ids, result.images, result.odd)


def crop_in_place(
    images: CropImages,
    size: int = CROP_SIZE,
    settings: CropSettings | None = None,
    threads: int = 0,
) -> CropResult:
    """Crop images into their own memory: afterwards it holds the crops.

    As fast as `crop_resize` into memory that was used before, but needs room for the
    first crops only.

    Args:
        images: (N, H, W) uint8 in one piece; they are lost.
        size: of the crops; where one is larger than an image, they get new memory.
        settings: see `crop_resize`.
        threads: likewise.

    Raises:
        ValueError: as `crop_resize`, or the images are not in one piece.
    """
    if not images.flags.c_contiguous:
        raise ValueError("the images are not in one piece (C-contiguous); copy them")
    count = len(images)
    # A crop is smaller than its image, so the crops so far never reach the images to
    # come; a second array would need half as much memory again.
    before, after = math.prod(images.shape[1:]), size * size
    fits = after <= before
    room = images.reshape(-1) if fits else np.empty(count * size * size, np.uint8)
    crops = room[: count * size * size].reshape(count, size, size)
    odd: dict[str, list[CropRows]] = {}
    start = 0
    while start < count or not odd:  # no images have no odd ones of any kind
        # So many crops fit where only images lie that are cropped already.
        free = start * before // after if fits else count
        apart = fits and free < start + _CROPPED_APART
        stop = min(start + _CROPPED_APART if apart else free, count)
        part = slice(start, stop)
        given = None if apart else crops[part]
        result = crop_resize(images[part], size, settings, threads, given)
        if apart:
            crops[part] = result.images
        for kind, rows in result.odd.items():
            odd.setdefault(kind, []).append(rows + start)
        start = stop
    return CropResult(crops, {k: np.concatenate(rows) for k, rows in odd.items()})


def iter_cropped_parquet(
    paths: Sequence[str | Path],
    image_size: tuple[int, int] = BENGALI_SIZE,
    size: int = CROP_SIZE,
    settings: CropSettings | None = None,
    threads: int = 0,
    id: str = "image_id",
    log: Callable[[str], None] = print,
) -> Iterator[CroppedTable]:
    """Read and crop several files one after the other.

    The crops of a file lie in memory of the size of its images: copy them into an
    array of all files, or predict them, and let them go before the next file: `del` the
    loop's own variable at the end of its body where memory for two files is not there.

    Args:
        paths: of the files.
        image_size: height and width in the files.
        size: of the crops, see `crop_resize`.
        settings: likewise.
        threads: likewise.
        id: name of the column that identifies the images.
        log: gets a line for each file.

    Raises:
        ValueError: no paths, or an id is in two files; and as `read_cropped_parquet`.
    """
    if not paths:
        raise ValueError("there are no parquet files to read; give one or more paths")
    owners: dict[str, Path] = {}
    for number, path in enumerate(map(Path, paths), start=1):
        started = time.perf_counter()
        table = read_cropped_parquet(path, image_size, size, settings, threads, id)
        claim_ids(owners, table.ids, path)
        spent = time.perf_counter() - started
        log(
            f"{path.name}: {len(table):,} images cropped in {spent:.1f} s, odd ones: "
            f"{odd_in_words(table.odd)} (file {number} of {len(paths)})"
        )
        yield table
        del table
