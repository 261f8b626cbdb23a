"""Where the ink of an image lies, as Bengali.AI's public starter finds it."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

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


@dataclass(frozen=True, eq=False)
class CropTables:
    """Everything about single pixels, by an image's strongest pixel (256).

    Attributes:
        levels: (256, 256) uint8, from the raw value to the scaled one.
        lines: 256 of (factor, offset), where the scaled value is the whole number next
            to `factor * raw + offset`, or None where it is not.
        darkest: (256,) int16, the largest raw value that is above the threshold, or -1.
    """

    levels: npt.NDArray[np.uint8]
    lines: tuple[tuple[float, float] | None, ...]
    darkest: npt.NDArray[np.int16]


@lru_cache(maxsize=4)
def crop_tables(settings: CropSettings) -> CropTables:
    """Work out what becomes of every pixel, once for all images."""
    inverted = 255 - np.arange(256)  # of raw values 0..255
    # A factor is one float64 per image, as in the starter: no other order of
    # operations rounds alike.
    factors = np.array([255.0 / max(strongest, 1) for strongest in range(256)])
    scaled = np.minimum(inverted[None, :] * factors[:, None], 255).astype(np.uint8)
    scaled[0] = 0
    above = scaled > settings.threshold
    darkest = np.where(above.any(1), 255 - above[:, ::-1].argmax(1), -1)
    lines = tuple(_crop_line(strongest, scaled[strongest]) for strongest in range(256))
    return CropTables(scaled, lines, darkest.astype(np.int16))


def _crop_line(
    strongest: int, levels: npt.NDArray[np.uint8]
) -> tuple[float, float] | None:
    """The line of `CropTables.lines` for the levels (256,) of one strongest pixel."""
    inverted = np.arange(strongest + 1)
    if not strongest or (levels[255 - inverted] != 255 * inverted // strongest).any():
        return None  # the starter's rounded factor makes some level one too small
    # Levels before they are cut off are multiples of 1 / strongest. Half of that beside
    # the half that rounding takes keeps all of them 0.0019 and more away from where
    # rounding turns: the same in float32, in whatever order it is worked out.
    factor = 255.0 / strongest
    return -factor, 255.0 * factor - 0.5 + 0.5 / strongest


@dataclass(frozen=True, eq=False)
class InkBoxes:
    """Where the ink of N images is.

    Attributes:
        edges: (4, N) top, bottom, left, right of the grown box; the first row and
            column, and those after the last.
        strongest: (N,) the largest inverted pixel, 0..255.
        kinds: (5, N) bool, which kind of odd image it is, if any.
    """

    edges: CropRows
    strongest: CropRows
    kinds: npt.NDArray[np.bool_]


def _ink_ends(ink: npt.NDArray[np.bool_]) -> tuple[CropRows, CropRows]:
    """First and last place of each row of ink (N, K) that is True: (N,) each."""
    return ink.argmax(1), ink.shape[1] - 1 - ink[:, ::-1].argmax(1)


def _ink_grown(
    first: CropRows, last: CropRows, grow: int, length: int
) -> tuple[CropRows, CropRows]:
    """Start and stop of the grown box along one side: (N,) each.

    Args:
        first: (N,) the first place with ink, without the border.
        last: (N,) the last one.
        grow: pixels.
        length: of the whole image's side.
    """
    start = np.where(first > grow, first - grow, 0)
    stop = np.where(last < length - grow, last + grow, length)
    return start, np.maximum(stop, start + 1)


class InkFinder:
    """Finds the boxes of images of one size; a thread needs one of its own.

    The rows are looked at four at a time: the least pixel of every column of four rows
    is cheap, since whole rows are compared; the least pixel of every row is not, and
    is only needed where the ink begins and ends. The memory for it is asked for once.

    Args:
        image_size: height and width, larger than twice the border.
        most: images at a time.
        settings: border and margins.
        tables: of the same settings.
    """

    def __init__(
        self,
        image_size: tuple[int, int],
        most: int,
        settings: CropSettings,
        tables: CropTables,
    ) -> None:
        height, width = image_size
        window = height - 2 * settings.border
        self._settings, self._tables = settings, tables
        self._whole = window // 4
        # The last rows are a group too; it overlaps the one before it.
        self._group = np.arange(min(window, 4))
        self._starts = np.append(4 * np.arange(self._whole), window - len(self._group))
        self._pairs = np.empty((most, self._whole, 2 * width), np.uint8)
        self._least = np.empty((most, self._whole + 1, width), np.uint8)

    def find(self, images: CropImages) -> InkBoxes:
        """Find the boxes of images (N, H, W), dark on light; N at most `most`."""
        n, height, width = images.shape
        b, grow_y = self._settings.border, self._settings.grow_y
        inside = slice(b, width - b)
        least = self._group_least(images)  # (N, groups, W)
        columns = least.min(axis=1)  # (N, W)
        lightest = columns.min(axis=1)
        for edge in (images[:, :b], images[:, height - b :]) if b else ():
            lightest = np.minimum(lightest, edge.min(axis=(1, 2)))
        strongest = 255 - lightest.astype(np.int64)
        darkest = self._tables.darkest[strongest][:, None]

        def rows_of(groups: CropRows) -> tuple[CropRows, npt.NDArray[np.bool_]]:
            """The rows of a group of each image, and whether they hold ink: (N, 4)."""
            rows = self._starts[groups][:, None] + self._group
            pixels = images[np.arange(n)[:, None], b + rows, inside]
            return rows, pixels.min(axis=2) <= darkest

        in_x = columns[:, inside] <= darkest
        first_x, last_x = _ink_ends(in_x)
        first_group, last_group = _ink_ends(least[:, :, inside].min(axis=2) <= darkest)
        rows, in_y = rows_of(first_group)
        first_y = rows[:, 0] + _ink_ends(in_y)[0]
        rows, in_y = rows_of(last_group)
        last_y = rows[:, 0] + _ink_ends(in_y)[1]

        left, right = _ink_grown(first_x, last_x, self._settings.grow_x, width)
        top, bottom = _ink_grown(first_y, last_y, grow_y, height)
        empty = ~in_x.any(1)
        left[empty], right[empty], top[empty], bottom[empty] = 0, width, 0, height
        touches = (first_x == 0) & (last_x == width - 2 * b - 1) & (first_y == 0)
        kinds = np.stack(
            [
                strongest == 0,
                empty,
                strongest < self._settings.noise,
                (first_x == last_x) & (first_y == last_y),
                touches & (last_y == height - 2 * b - 1),
            ]
        )
        kinds &= np.cumsum(kinds, axis=0) == 1
        return InkBoxes(np.stack([top, bottom, left, right]), strongest, kinds)

    def _group_least(self, images: CropImages) -> CropImages:
        """The least pixel of each column of each group of rows: (N, groups, W)."""
        n, height, width = images.shape
        b = self._settings.border
        pairs, least = self._pairs[:n], self._least[:n]
        window = images.reshape(n, -1)[:, b * width : (b + 4 * self._whole) * width]
        fours = window.reshape(n, self._whole, 4 * width)
        np.minimum(fours[:, :, : 2 * width], fours[:, :, 2 * width :], out=pairs)
        np.minimum(pairs[:, :, :width], pairs[:, :, width:], out=least[:, :-1])
        tail = images[:, height - b - len(self._group) : height - b]
        tail.min(axis=1, out=least[:, -1])
        return least
