"""Grids of images as PNG files: samples, batches as the model sees them, worst errors.

Drawn and written as `kaggle_kit.plots` does it.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from kaggle_kit.batches import DeviceBatches
from kaggle_kit.evaluate import Evaluation
from kaggle_kit.metrics import metric_array
from kaggle_kit.plots import plot_figure
from kaggle_kit.trees import TensorTree

_GALLERY_ERROR = "#c53030"
_GALLERY_FRAME = "#a0aec0"
_GALLERY_LINE = 12  # letters of a caption before it breaks into lines
_GALLERY_GAP = 0.08  # between tiles, in widths of a tile


def show_images(
    images: np.ndarray | Tensor,
    labels: Sequence[Any] | np.ndarray | Tensor | None = None,
    predictions: Sequence[Any] | np.ndarray | Tensor | None = None,
    *,
    n: int = 40,
    columns: int = 10,
    class_names: Sequence[str] | None = None,
    title: str = "Samples",
    folder: str | Path = "",
    name: str = "samples.png",
) -> Path:
    """Draw the first n images in a grid, labels above, wrong predictions in red.

    Args:
        images: (N, H, W), (N, H, W, C) or (N, C, H, W); uint8, or float in [0, 1].
        labels: N classes (or other values to write above the images).
        predictions: N predicted classes.
        n: images to show.
        columns: images per row.
        class_names: names to write for the classes.
        title: above the figure.
        folder: where the file goes; the output directory by default.
        name: of the file.
    """
    pixels = _gallery_pixels(images[:n])
    # Sliced first and listed then: also right for a column of a data frame.
    known = None if labels is None else list(labels[:n])
    guesses = None if predictions is None else list(predictions[:n])
    captions, colours = [], []
    for i in range(len(pixels)):
        actual = "" if known is None else _gallery_caption(known[i], class_names)
        guess = "" if guesses is None else _gallery_caption(guesses[i], class_names)
        wrong = bool(guess) and bool(actual) and guess != actual
        captions.append(f"{actual}\n→ {guess}" if wrong else actual or guess)
        colours.append(_GALLERY_ERROR if wrong else "black")
    return _gallery_grid(pixels, captions, colours, columns, title, folder, name)


def plot_top_losses(
    images: np.ndarray | Tensor,
    evaluation: Evaluation,
    *,
    n: int = 24,
    columns: int = 8,
    title: str = "Largest losses: actual → predicted, probability",
    folder: str | Path = "",
    name: str = "top_losses.png",
) -> Path:
    """Draw the n images with the largest loss; images as evaluated, see `show_images`.

    Raises:
        ValueError: there are not as many images as evaluated predictions.
    """
    if len(images) != len(evaluation.targets):
        raise ValueError(
            f"{len(images)} images, but {len(evaluation.targets)} were evaluated"
        )
    chosen = evaluation.top_losses(n)
    names = evaluation.class_names
    captions = []
    for i in chosen:
        actual, guess = evaluation.targets[i], evaluation.predictions[i]
        share = evaluation.probabilities[i, guess]
        captions.append(f"{names[actual]}\n→ {names[guess]}, {share:.2f}")
    wrong = evaluation.targets[chosen] != evaluation.predictions[chosen]
    colours = [_GALLERY_ERROR if bad else "black" for bad in wrong]
    return _gallery_grid(
        _gallery_pixels(images[chosen]), captions, colours, columns, title, folder, name
    )


def show_batch(
    batches: Iterable[Any],
    *,
    n: int = 40,
    columns: int = 10,
    class_names: Sequence[str] | None = None,
    before: bool = True,
    title: str = "",
    folder: str | Path = "",
    name: str = "batch.png",
) -> Path:
    """Draw the first images of the next batch as the model sees them.

    The batch is augmented and normalised, and scaled back to pixels only to be drawn.
    `DeviceBatches` come before and after augmentation, in pairs of rows, and go on
    afterwards as if nobody had looked.

    Args:
        batches: `DeviceBatches`, or any iterable of `(x, y)` or x, x: (B, C, H, W).
        n: images to show, at most a batch.
        columns: images per row.
        class_names: names to write for the classes.
        before: show the unaugmented images too, where the batches have them.
        title: above the figure.
        folder: where the file goes; the output directory by default.
        name: of the file.
    """
    resident = batches if isinstance(batches, DeviceBatches) else None
    epoch = resident.epoch if resident else 0
    batch = next(iter(batches))
    x, y = (batch, None) if isinstance(batch, Tensor) else (batch[0], batch[-1])
    seen = _gallery_seen(batches, x[:n])
    if resident is not None:
        resident.set_epoch(epoch)
    captions = [""] * len(seen)
    if y is not None and not isinstance(y, tuple):
        captions = [_gallery_caption(value, class_names) for value in y[:n]]
    rows: list[str] = []
    if before and resident is not None:
        order = resident.order(epoch)[: len(seen)].to(resident.device)
        original = _gallery_pixels(resident.images[order])
        seen, captions, rows = _gallery_pairs(original, seen, captions, columns)
    title = title or "A training batch as the model sees it"
    colours = ["black"] * len(seen)
    return _gallery_grid(seen, captions, colours, columns, title, folder, name, rows)


def show_results(
    batches: Iterable[Any],
    x: TensorTree,
    targets: TensorTree,
    predictions: TensorTree,
    *,
    n: int = 40,
    columns: int = 10,
    class_names: Sequence[str] | None = None,
    title: str = "Predictions, wrong ones in red",
    folder: str | Path = "",
    name: str = "results.png",
) -> Path:
    """Draw inputs of the model with their labels, and predictions that differ.

    Args:
        batches: where x comes from; `DeviceBatches` give the true shades.
        x: (B, C, H, W) as the model sees it; of several inputs the first is drawn.
        targets: classes (B,), or (B, n) or a tuple for several heads; None without.
        predictions: scores (B, C) or classes (B,), or a tuple for several heads.
        n: images to show, at most a batch.
        columns: images per row.
        class_names: names to write for the classes.
        title: above the figure.
        folder: where the file goes; the output directory by default.
        name: of the file.
    """
    inputs = x[0] if isinstance(x, tuple) else x
    if not isinstance(inputs, Tensor):
        raise TypeError(f"the batches give {type(inputs).__name__}, no images to draw")
    return show_images(
        _gallery_seen(batches, inputs[:n]),
        None if targets is None else _gallery_classes(targets),
        _gallery_classes(predictions),
        n=n,
        columns=columns,
        class_names=class_names,
        title=title,
        folder=folder,
        name=name,
    )


def _gallery_seen(batches: Iterable[Any], x: Tensor) -> np.ndarray:
    """Scale normalised images (B, C, H, W) back to pixels in [0, 1]."""
    x = x.detach().float()
    if isinstance(batches, DeviceBatches):
        return _gallery_pixels(batches.denormalise(x).clamp(0, 1))
    low, high = x.amin(), x.amax()
    return _gallery_pixels((x - low) / (high - low).clamp(min=1e-6))


def _gallery_classes(values: TensorTree) -> np.ndarray:
    """Read scores or classes as classes: (B,), or (B, n) for several heads."""
    if isinstance(values, tuple):
        return np.stack([_gallery_classes(part) for part in values], axis=1)
    array = metric_array(values)
    scores = array.dtype.kind == "f" and array.ndim == 2
    return array.argmax(axis=1) if scores else array


def show_pairs(
    first: np.ndarray | Tensor,
    second: np.ndarray | Tensor,
    labels: Sequence[Any] | np.ndarray | Tensor | None = None,
    *,
    row_names: tuple[str, str] = ("before", "after"),
    n: int = 20,
    columns: int = 10,
    class_names: Sequence[str] | None = None,
    title: str = "Before and after",
    folder: str | Path = "",
    name: str = "pairs.png",
) -> Path:
    """Draw images above what became of them, for example originals and crops.

    Args:
        first: images of any layout that `show_images` takes.
        second: as many of another kind; they may have another size.
        labels: N classes (or other values to write above the pairs).
        row_names: written beside the rows.
        n: pairs to show.
        columns: pairs per row.
        class_names: names to write for the classes.
        title: above the figure.
        folder: where the file goes; the output directory by default.
        name: of the file.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} images before and {len(second)} after")
    above, below = _gallery_pixels(first[:n]), _gallery_pixels(second[:n])
    size = max(above.shape[1], below.shape[1]), max(above.shape[2], below.shape[2])
    known = [""] * len(above) if labels is None else list(labels[:n])
    captions = [_gallery_caption(value, class_names) for value in known]
    images, captions, rows = _gallery_pairs(
        _gallery_framed(above, size), _gallery_framed(below, size), captions, columns
    )
    names = [row_names[row != "before"] for row in rows]
    colours = ["black"] * len(images)
    return _gallery_grid(images, captions, colours, columns, title, folder, name, names)


def _gallery_framed(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
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


def _gallery_pairs(
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


def _gallery_pixels(images: np.ndarray | Tensor) -> np.ndarray:
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


def _gallery_caption(value: object, class_names: Sequence[str] | None) -> str:
    """Write a class by its name, several labels side by side, a number shortly."""
    if isinstance(value, str):
        return value
    numbers = np.asarray(value.cpu() if isinstance(value, Tensor) else value)
    if numbers.ndim:
        return " ".join(f"{number:g}" for number in numbers.flatten()[:4])
    if class_names is not None:
        return str(class_names[int(numbers)])
    return f"{float(numbers):g}"


def _gallery_grid(
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
    if max(map(len, captions)) <= _GALLERY_LINE:
        captions = [caption.replace("\n", " ") for caption in captions]
    longest = max(len(line) for caption in captions for line in caption.split("\n"))
    n_lines = 1 + max(caption.count("\n") for caption in captions)
    font = min(10.0, max(8.0, 100.0 / max(longest, 1)))
    # Inches of a tile's width, so that its caption does not touch the next one's.
    inches = max(1.0, longest * font * 0.0085)
    tall = images.shape[1] / images.shape[2]  # in units of that width, as all below
    tops = _gallery_tops(
        captions, columns, tall, (0.6 + 1.3 * n_lines) * font / 72 / inches
    )
    height = tops[-1] + tall + _GALLERY_GAP
    width = columns * (1 + _GALLERY_GAP) + (0.3 if row_names else 0.0)
    size = (max(4.5, inches * width + 0.2), inches * height + 0.5)
    with plot_figure(folder, name, size) as (figure, path):
        axes = figure.add_subplot()
        axes.set_title(title)
        for i, image in enumerate(images):
            if np.isnan(image).any():
                continue
            x, y = (i % columns) * (1 + _GALLERY_GAP), tops[i // columns]
            _gallery_tile(axes, image, x, y)
            caption = axes.text(x + 0.5, y - 0.04, captions[i], fontsize=font)
            caption.set(color=colours[i], ha="center", va="bottom")
        for top, text in zip(tops, row_names, strict=False):
            axes.text(-0.08, top + tall / 2, text, rotation=90, ha="right", va="center")
        axes.set_xlim(-0.3 if row_names else -0.05, columns * (1 + _GALLERY_GAP))
        axes.set_ylim(height, 0)
        axes.set_aspect("equal")
        axes.set_axis_off()
    return path


def _gallery_tops(
    captions: Sequence[str], columns: int, tall: float, head: float
) -> list[float]:
    """Place the rows below each other, with room for captions where there are any."""
    tops, at = [], 0.0
    for start in range(0, len(captions), columns):
        captioned = any(captions[start : start + columns])
        tops.append(at + (head if captioned else _GALLERY_GAP / 2))
        at = tops[-1] + tall + _GALLERY_GAP / 2
    return tops


def _gallery_tile(axes: Axes, image: np.ndarray, x: float, y: float) -> None:
    """Draw one image (H, W[, 3]), 1 wide, its left upper corner at (x, y)."""
    bottom = y + image.shape[0] / image.shape[1]
    extent = (x, x + 1, bottom, y)
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, extent=extent)
    across, down = (x, x + 1, x + 1, x, x), (y, y, bottom, bottom, y)
    axes.plot(across, down, color=_GALLERY_FRAME, linewidth=0.6)
