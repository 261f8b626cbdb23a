"""Grids of images as PNG files: samples, batches as the model sees them, worst errors.

Drawn and written as `kaggle_kit.plots` does it.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from kaggle_kit.batches import DeviceBatches
from kaggle_kit.evaluate import Evaluation
from kaggle_kit.image_grids import (
    draw_image_grid,
    framed_images,
    image_caption,
    image_pixels,
    paired_images,
)
from kaggle_kit.losses import MixedTargets
from kaggle_kit.metrics import metric_array
from kaggle_kit.random_states import peek_batch
from kaggle_kit.trees import TensorTree

_GALLERY_ERROR = "#c53030"


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
    pixels = image_pixels(images[:n])
    # Sliced first and listed then: also right for a column of a data frame.
    known = None if labels is None else list(labels[:n])
    guesses = None if predictions is None else list(predictions[:n])
    captions, colours = [], []
    for i in range(len(pixels)):
        actual = "" if known is None else image_caption(known[i], class_names)
        guess = "" if guesses is None else image_caption(guesses[i], class_names)
        wrong = bool(guess) and bool(actual) and guess != actual
        captions.append(f"{actual}\n→ {guess}" if wrong else actual or guess)
        colours.append(_GALLERY_ERROR if wrong else "black")
    return draw_image_grid(pixels, captions, colours, columns, title, folder, name)


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
    return draw_image_grid(
        image_pixels(images[chosen]), captions, colours, columns, title, folder, name
    )


def show_batch(
    batches: Iterable[Any],
    *,
    transform: Callable[[Any, Any], tuple[TensorTree, TensorTree]] | None = None,
    n: int = 40,
    columns: int = 10,
    class_names: Sequence[str] | None = None,
    before: bool = True,
    title: str = "",
    folder: str | Path = "",
    name: str = "batch.png",
) -> Path:
    """Draw the first images of the next batch as the model sees them.

    The batch is augmented, normalised and mixed, and scaled back to pixels only to be
    drawn. `DeviceBatches` come before and after augmentation, in pairs of rows, and go
    on afterwards as if nobody had looked; random numbers do so too.

    Args:
        batches: `DeviceBatches`, or any iterable of `(x, y)` or x, x: (B, C, H, W).
        transform: what a `BatchTransform` does to the batches, such as `CutMix()`.
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
    x, y = peek_batch(batches, transform)
    inputs = x[0] if isinstance(x, tuple) else x
    seen = _gallery_seen(batches, inputs[:n])
    if resident is not None:
        resident.set_epoch(epoch)
    captions = _gallery_targets(y, len(seen), class_names)
    rows: list[str] = []
    if before and resident is not None:
        order = resident.order(epoch)[: len(seen)].to(resident.device)
        original = image_pixels(resident.images[order])
        seen, captions, rows = paired_images(original, seen, captions, columns)
    title = title or "A training batch as the model sees it"
    colours = ["black"] * len(seen)
    return draw_image_grid(seen, captions, colours, columns, title, folder, name, rows)


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
        return image_pixels(batches.denormalise(x).clamp(0, 1))
    low, high = x.amin(), x.amax()
    return image_pixels((x - low) / (high - low).clamp(min=1e-6))


def _gallery_targets(
    y: TensorTree, n: int, class_names: Sequence[str] | None
) -> list[str]:
    """Write the targets of the first n images; of a mixed one both, with the share."""
    if isinstance(y, MixedTargets):
        first, second = (_gallery_targets(t, n, class_names) for t in (y[0], y[1]))
        shares = y.weight[:n].tolist()
        return [
            a if a == b or share > 0.995 else f"{share:.0%} {a}\n{1 - share:.0%} {b}"
            for a, b, share in zip(first, second, shares, strict=True)
        ]
    if y is None or isinstance(y, tuple):
        return [""] * n
    return [image_caption(value, class_names) for value in y[:n]]


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
    above, below = image_pixels(first[:n]), image_pixels(second[:n])
    size = max(above.shape[1], below.shape[1]), max(above.shape[2], below.shape[2])
    known = [""] * len(above) if labels is None else list(labels[:n])
    captions = [image_caption(value, class_names) for value in known]
    images, captions, rows = paired_images(
        framed_images(above, size), framed_images(below, size), captions, columns
    )
    names = [row_names[row != "before"] for row in rows]
    colours = ["black"] * len(images)
    return draw_image_grid(
        images, captions, colours, columns, title, folder, name, names
    )
