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
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

CROP_SIZE = 128
CROP_BLOCK = 256  # images whose boxes are found at once: what a cache holds

CropImages = npt.NDArray[np.uint8]
CropRows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CropSettings:
    """Thresholds and margins, by default those of the public starter.

    Levels are those of the inverted image, scaled so that its strongest pixel is 255;
    lengths are pixels of the original.

    Attributes:
        threshold: pixels above are ink that the box must hold.
        border: width of the frame in which no ink is looked for.
        grow_x: what the box gains left and right.
        grow_y: likewise above and below.
        noise: pixels below become 0.
        pad: by how much the square is larger than the box's longer side.
    """

    threshold: int = 80
    border: int = 5
    grow_x: int = 13
    grow_y: int = 10
    noise: int = 28
    pad: int = 16

    def __post_init__(self) -> None:
        lengths = (self.border, self.grow_x, self.grow_y, self.pad)
        levels = (self.threshold, self.noise)
        if min(lengths) < 0 or min(levels) < 0 or max(levels) > 255:
            raise ValueError(f"{self}: levels are 0..255, lengths 0 or more")


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
class _CropTables:
    """Everything about single pixels, by an image's strongest pixel (256).

    Attributes:
        levels: (256, 256) uint8, from the raw value to the scaled one, noise removed.
        darkest: (256,) int16, the largest raw value that is above the threshold, or -1.
    """

    levels: npt.NDArray[np.uint8]
    darkest: npt.NDArray[np.int16]


def _crop_tables(settings: CropSettings) -> _CropTables:
    inverted = 255 - np.arange(256)  # of raw values 0..255
    # A factor is one float64 per image, as in the starter: no other order of
    # operations rounds alike.
    factors = np.array([255.0 / max(strongest, 1) for strongest in range(256)])
    scaled = np.minimum(inverted[None, :] * factors[:, None], 255).astype(np.uint8)
    scaled[0] = 0
    above = scaled > settings.threshold
    darkest = np.where(above.any(1), 255 - above[:, ::-1].argmax(1), -1)
    scaled[scaled < settings.noise] = 0
    return _CropTables(scaled, darkest.astype(np.int16))


@dataclass(frozen=True, eq=False)
class _CropBoxes:
    """Where the ink of N images is: rows top..bottom, columns left..right, (N,) each.

    Attributes:
        edges: (4, N) top, bottom, left, right; the first row and column, and those
            after the last.
        strongest: (N,) the largest inverted pixel, 0..255.
        kinds: (5, N) bool, which kind of odd image it is, if any.
    """

    edges: CropRows
    strongest: CropRows
    kinds: npt.NDArray[np.bool_]


def _crop_span(
    ink: npt.NDArray[np.bool_], grow: int, length: int
) -> tuple[CropRows, CropRows, npt.NDArray[np.int64]]:
    """Start and stop of the grown box along one side, and its size before: (N,) each.

    Args:
        ink: (N, window) bool.
        grow: pixels.
        length: of the whole image's side.
    """
    first = ink.argmax(1)
    last = ink.shape[1] - 1 - ink[:, ::-1].argmax(1)
    start = np.where(first > grow, first - grow, 0)
    stop = np.where(last < length - grow, last + grow, length)
    return start, np.maximum(stop, start + 1), last - first + 1


def _crop_boxes(
    images: CropImages, settings: CropSettings, tables: _CropTables
) -> _CropBoxes:
    """Find the boxes of images (N, H, W), dark on light."""
    height, width = images.shape[1:]
    b = settings.border
    middle = images[:, b : height - b]
    columns = middle.min(axis=1)  # (N, W)
    rows = middle[:, :, b : width - b].min(axis=2)  # (N, H - 2b)
    lightest = columns.min(axis=1)
    for edge in (images[:, :b], images[:, height - b :]):
        if b:
            lightest = np.minimum(lightest, edge.min(axis=(1, 2)))
    strongest = 255 - lightest.astype(np.int64)
    darkest = tables.darkest[strongest][:, None]
    in_x, in_y = columns[:, b : width - b] <= darkest, rows <= darkest
    left, right, box_width = _crop_span(in_x, settings.grow_x, width)
    top, bottom, box_height = _crop_span(in_y, settings.grow_y, height)
    empty = ~in_x.any(1)
    left[empty], right[empty], top[empty], bottom[empty] = 0, width, 0, height
    kinds = np.stack(
        [
            strongest == 0,
            empty,
            strongest < settings.noise,
            (box_width == 1) & (box_height == 1),
            (box_width == in_x.shape[1]) & (box_height == in_y.shape[1]),
        ]
    )
    kinds &= np.cumsum(kinds, axis=0) == 1
    return _CropBoxes(np.stack([top, bottom, left, right]), strongest, kinds)


def _crop_block(
    images: CropImages, out: CropImages, settings: CropSettings, tables: _CropTables
) -> npt.NDArray[np.bool_]:
    """Crop images (N, H, W) into out (N, size, size); the kinds of odd ones: (5, N)."""
    boxes = _crop_boxes(images, settings, tables)
    top, bottom, left, right = boxes.edges
    heights, widths = bottom - top, right - left
    sides = np.maximum(heights, widths) + settings.pad
    above, beside = (sides - heights) // 2, (sides - widths) // 2
    size = (out.shape[2], out.shape[1])
    room = max(images.shape[1:]) + settings.pad
    canvas = np.zeros((room, room), np.uint8)
    numbers = [*boxes.edges, heights, widths, above, beside, boxes.strongest]
    # Nothing but slices and two calls that release the interpreter's lock.
    for i, (t, b, le, r, h, w, y, x, strongest) in enumerate(
        zip(*(values.tolist() for values in numbers), strict=True)
    ):
        square = canvas[: h + 2 * y, : w + 2 * x]
        square[:] = 0
        ink = square[y : y + h, x : x + w]
        cv2.LUT(images[i, t:b, le:r], tables.levels[strongest], dst=ink)
        cv2.resize(square, size, dst=out[i])
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
    tables = _crop_tables(settings)
    shape = (len(images), size, size)
    out = np.empty(shape, np.uint8) if out is None else out
    if out.shape != shape or out.dtype != np.uint8:
        raise ValueError(f"out has shape {out.shape} and type {out.dtype}, not {shape}")
    starts = range(0, len(images), CROP_BLOCK)

    def work(start: int) -> npt.NDArray[np.bool_]:
        part = slice(start, start + CROP_BLOCK)
        return _crop_block(images[part], out[part], settings, tables)

    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        kinds = list(pool.map(work, starts))
    odd = np.concatenate([np.zeros((len(_CROP_KINDS), 0), bool), *kinds], axis=1)
    rows = {kind: np.flatnonzero(of) for kind, of in zip(_CROP_KINDS, odd, strict=True)}
    return CropResult(out, rows)
