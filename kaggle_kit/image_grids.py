"""Grids of images: pixels of any layout, captions, and the figure they stand in."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from kaggle_kit.plots import plot_figure

_GRIDS_FRAME = "#a0aec0"
_GRIDS_LINE = 12  # letters of a caption before it breaks into lines
_GRIDS_GAP = 0.08  # between tiles, in widths of a tile


def framed_images(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Enlarge images (N, h, w[, 3]) to one size, keeping their shape, on grey."""
    height, width = images.shape[1:3]
    scale = min(size[0] / height, size[1] / width)
    new = round(height * scale), round(width * scale)
    rows = np.minimum(np.arange(new[0]) * height // new[0], height - 1)
    columns = np.minimum(np.arange(new[1]) * width // new[1], width - 1)
    framed = np.full((len(images), *size, *images.shape[3:]), 0.85, dtype=np.float32)
    top, left = (size[0] - new[0]) // 2, (size[1] - new[1]) // 2
    enlarged = images[:, rows][:, :, columns]
    framed[:, top : top + new[0], left : left + new[1]] = enlarged
    return framed


def paired_images(
    original: np.ndarray, seen: np.ndarray, captions: Sequence[str], columns: int
) -> tuple[np.ndarray, list[str], list[str]]:
    """Put every row of originals above the row of what became of them."""
    columns = min(columns, len(seen))
    images, texts, rows = [], [], []
    for start in range(0, len(seen), columns):
        part = slice(start, start + columns)
        # Blank tiles fill the last row, so that the pairs stay above each other.
        missing = columns - len(seen[part])
        blank = np.full((missing, *seen.shape[1:]), np.nan, dtype=np.float32)
        images += [original[part], blank, seen[part], blank]
        texts += [*captions[part], *[""] * (missing + columns)]
        rows += ["before", "after"]
    return np.concatenate(images), texts, rows


def image_pixels(images: np.ndarray | Tensor) -> np.ndarray:
    """Read images of any layout as (N, H, W, 3) or (N, H, W) float in [0, 1].

    Of 2 channels, or more than 3, the first is shown.
    """
    array = images.detach().cpu().numpy() if isinstance(images, Tensor) else images
    array = np.asarray(array)
    if array.ndim not in (3, 4) or not len(array):
        raise ValueError(
            f"images have shape {array.shape}; give at least one, (N, H, W), "
            "(N, H, W, C) or (N, C, H, W)"
        )
    array = array.astype(np.float32) / (255 if array.dtype == np.uint8 else 1)
    if array.ndim == 4:
        first, last = array.shape[1], array.shape[3]
        # Where neither place holds 1 or 3, the channels are the smaller number.
        if last not in (1, 3) and (first in (1, 3) or first < last):
            array = array.transpose(0, 2, 3, 1)
        array = array if array.shape[3] == 3 else array[..., 0]
    return np.clip(array, 0.0, 1.0)


def image_caption(value: object, class_names: Sequence[str] | None) -> str:
    """Write a class by its name, several labels side by side, a number shortly."""
    if isinstance(value, str):
        return value
    numbers = np.asarray(value.cpu() if isinstance(value, Tensor) else value)
    if numbers.ndim:
        return " ".join(f"{number:g}" for number in numbers.flatten()[:4])
    if class_names is not None:
        return str(class_names[int(numbers)])
    return f"{float(numbers):g}"


def draw_image_grid(
    images: np.ndarray,
    captions: Sequence[str],
    colours: Sequence[str],
    columns: int,
    title: str,
    folder: str | Path,
    name: str,
    row_names: Sequence[str] = (),
) -> Path:
    """Draw images (N, H, W[, 3]) in rows, captions above those that have one."""
    columns = min(columns, len(images))
    if max(map(len, captions)) <= _GRIDS_LINE:
        captions = [caption.replace("\n", " ") for caption in captions]
    longest = max(len(line) for caption in captions for line in caption.split("\n"))
    n_lines = 1 + max(caption.count("\n") for caption in captions)
    font = min(10.0, max(8.0, 100.0 / max(longest, 1)))
    # Inches of a tile's width, so that its caption does not touch the next one's.
    inches = max(1.0, longest * font * 0.0085)
    tall = images.shape[1] / images.shape[2]  # in units of that width, as all below
    tops = _grids_tops(
        captions, columns, tall, (0.6 + 1.3 * n_lines) * font / 72 / inches
    )
    height = tops[-1] + tall + _GRIDS_GAP
    width = columns * (1 + _GRIDS_GAP) + (0.3 if row_names else 0.0)
    size = (max(4.5, inches * width + 0.2), inches * height + 0.5)
    with plot_figure(folder, name, size) as (figure, path):
        axes = figure.add_subplot()
        axes.set_title(title)
        for i, image in enumerate(images):
            if np.isnan(image).any():
                continue
            x, y = (i % columns) * (1 + _GRIDS_GAP), tops[i // columns]
            _grids_tile(axes, image, x, y)
            caption = axes.text(x + 0.5, y - 0.04, captions[i], fontsize=font)
            caption.set(color=colours[i], ha="center", va="bottom")
        for top, text in zip(tops, row_names, strict=False):
            axes.text(-0.08, top + tall / 2, text, rotation=90, ha="right", va="center")
        axes.set_xlim(-0.3 if row_names else -0.05, columns * (1 + _GRIDS_GAP))
        axes.set_ylim(height, 0)
        axes.set_aspect("equal")
        axes.set_axis_off()
    return path


def _grids_tops(
    captions: Sequence[str], columns: int, tall: float, head: float
) -> list[float]:
    """Place the rows below each other, with room for captions where there are any."""
    tops, at = [], 0.0
    for start in range(0, len(captions), columns):
        captioned = any(captions[start : start + columns])
        tops.append(at + (head if captioned else _GRIDS_GAP / 2))
        at = tops[-1] + tall + _GRIDS_GAP / 2
    return tops


def _grids_tile(axes: Axes, image: np.ndarray, x: float, y: float) -> None:
    """Draw one image (H, W[, 3]), 1 wide, its left upper corner at (x, y)."""
    bottom = y + image.shape[0] / image.shape[1]
    extent = (x, x + 1, bottom, y)
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, extent=extent)
    across, down = (x, x + 1, x + 1, x, x), (y, y, bottom, bottom, y)
    axes.plot(across, down, color=_GRIDS_FRAME, linewidth=0.6)
