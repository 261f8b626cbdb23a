"""Cut the ink out of a sheet and put it into a square: Bengali.AI's `crop_resize`.

The steps, and with the default settings every pixel, are those of the competition's
public starter (Iafoss, 2020), whose quirks are part of what models were trained on:

- The box is found on the image without its border of 5 pixels, but used on the whole
  image as if nothing had been cut off, and its last row and column count as the end of
  a slice. So the margins are not equal: 18 pixels left, 7 right, 15 above, 4 below. A
  box that starts within 13 (10) pixels of the window's left (top) starts at 0.
- Scaling by the strongest pixel looks at the border too: a dark line there leaves
  faint ink faint.
- The factor 255 / maximum is rounded, so the strongest pixel may become 254.
- Halves are rounded down when the box is padded: the "square" may lack one row or
  column and is then stretched by less than one percent.

Where the starter fails, because no pixel inside the border is dark, the result here is
defined, and counted: see `CropResult`.
"""

import os
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from kaggle_kit.ink_boxes import (
    CropImages,
    CropRows,
    CropSettings,
    CropTables,
    InkFinder,
    crop_tables,
)

CROP_SIZE = 128
_CROP_BLOCK = 128  # images whose boxes are found at once: what a cache holds
_CROP_TOGETHER = 32  # squares that wait for each other


def odd_in_words(odd: Mapping[str, CropRows]) -> str:
    """Counts of odd images, by kind: `2 blank, 1 faint`, or `none`."""
    counts = [f"{len(rows):,} {kind}" for kind, rows in odd.items() if len(rows)]
    return ", ".join(counts) or "none"


@dataclass(frozen=True, eq=False)
class CropResult:
    """Squares with the ink light on dark.

    Attributes:
        images: (N, size, size) uint8.
        odd: the rows of images that are no ordinary writing, each under the first that
            holds; (K,) int64 each, in this order:
            "blank", all pixels 255: the result is all 0;
            "border only", no ink inside the border: the whole image is taken;
            "faint", only paper: its noise was scaled up to 255;
            "one pixel", the box before it grew;
            "edge to edge", the box touches the border on all four sides, as noise does.
    """

    images: CropImages
    odd: Mapping[str, CropRows]

    def describe_odd(self) -> str:
        """Counts of the odd images in words."""
        return odd_in_words(self.odd)


@dataclass(frozen=True, eq=False)
class _CropDesk:
    """What one thread works with, so that it asks for memory once.

    Attributes:
        finder: of the boxes.
        squares: room for `_CROP_TOGETHER` padded images, flat uint8.
        tables: of single pixels.
        settings: noise floor and padding.
    """

    finder: InkFinder
    squares: CropImages
    tables: CropTables
    settings: CropSettings

    @classmethod
    def of(cls, image_size: tuple[int, int], settings: CropSettings) -> "_CropDesk":
        """Make the desk for images of one size."""
        tables = crop_tables(settings)
        finder = InkFinder(image_size, _CROP_BLOCK, settings, tables)
        room = _CROP_TOGETHER * (max(image_size) + settings.pad) ** 2
        return cls(finder, np.empty(room, np.uint8), tables, settings)


def _crop_block(
    images: CropImages, out: CropImages, desk: _CropDesk
) -> npt.NDArray[np.bool_]:
    """Crop images (N, H, W) into out (N, size, size); the kinds of odd ones: (5, N)."""
    boxes = desk.finder.find(images)
    top, bottom, left, right = boxes.edges
    heights, widths = bottom - top, right - left
    sides = np.maximum(heights, widths) + desk.settings.pad
    above, beside = (sides - heights) // 2, (sides - widths) // 2
    size = (out.shape[2], out.shape[1])
    numbers = [*boxes.edges, heights, widths, above, beside, boxes.strongest]
    rows = list(zip(*(values.tolist() for values in numbers), strict=True))
    areas = (heights + 2 * above) * (widths + 2 * beside)
    # Every call into OpenCV gives the interpreter's lock away and asks for it again.
    # With the calls of one sort together, threads wait less for each other.
    tables, room, below = desk.tables, desk.squares, desk.settings.noise - 1
    for start in range(0, len(images), _CROP_TOGETHER):
        few = slice(start, start + _CROP_TOGETHER)
        room[: areas[few].sum()] = 0
        squares, used = [], 0
        for image, row in zip(images[few], rows[few], strict=True):
            t, b, le, r, h, w, y, x, strongest = row
            down, across = h + 2 * y, w + 2 * x
            square = room[used : used + down * across].reshape(down, across)
            used += down * across
            ink = square[y : y + h, x : x + w]
            line = tables.lines[strongest]
            if line is None:
                cv2.LUT(image[t:b, le:r], tables.levels[strongest], ink)
            else:  # the same numbers in less than half the time
                cv2.convertScaleAbs(image[t:b, le:r], ink, *line)
            squares.append(square)
        together = room[None, :used]
        cv2.threshold(together, below, 255, cv2.THRESH_TOZERO, together)
        for square, crop in zip(squares, out[few], strict=True):
            cv2.resize(square, size, crop)
    return boxes.kinds


_CROP_KINDS = ("blank", "border only", "faint", "one pixel", "edge to edge")


def crop_resize(
    images: CropImages,
    size: int = CROP_SIZE,
    settings: CropSettings | None = None,
    threads: int = 0,
    out: CropImages | None = None,
) -> CropResult:
    """Crop images to their ink and resize them to squares, light on dark.

    Inverts, scales each image by its strongest pixel, finds the box of the ink, grows
    it, removes noise, pads to a square and resizes bilinearly.

    Args:
        images: (N, H, W) uint8, dark on light; with light ink give `255 - images`.
        size: of the squares, in pixels.
        settings: the public starter's without.
        threads: that work at once; 0 for one per processor.
        out: (N, size, size) uint8 to write into, new memory without. The first use of
            much new memory takes longer than to crop the images.

    Raises:
        ValueError: images or out of another shape or type, or images too small for the
            border.
    """
    settings = settings or CropSettings()
    least = 2 * settings.border + 1
    if images.dtype != np.uint8 or images.ndim != 3 or min(images.shape[1:]) < least:
        raise ValueError(
            f"images have shape {images.shape} and type {images.dtype}; give (N, H, W) "
            f"uint8, at least {least} x {least} pixels with a border of "
            f"{settings.border}"
        )
    if size < 1 or threads < 0:
        raise ValueError(f"size is {size}, threads is {threads}; give 1 and 0 or more")
    shape = (len(images), size, size)
    out = np.empty(shape, np.uint8) if out is None else out
    if out.shape != shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
        raise ValueError(
            f"out has shape {out.shape}, type {out.dtype} and strides {out.strides}; "
            f"give {shape} uint8 in one piece (C-contiguous)"
        )
    starts = range(0, len(images), _CROP_BLOCK)
    desks = threading.local()

    def work(start: int) -> npt.NDArray[np.bool_]:
        if not hasattr(desks, "own"):
            desks.own = _CropDesk.of(images.shape[1:], settings)
        part = slice(start, start + _CROP_BLOCK)
        return _crop_block(images[part], out[part], desks.own)

    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        kinds = list(pool.map(work, starts))
    odd = np.concatenate([np.zeros((len(_CROP_KINDS), 0), bool), *kinds], axis=1)
    rows = {kind: np.flatnonzero(of) for kind, of in zip(_CROP_KINDS, odd, strict=True)}
    return CropResult(out, rows)
