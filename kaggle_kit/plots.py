"""Plots as PNG files, displayed as well where the kernel is a notebook.

Every function draws one figure, writes `<folder>/<name>` atomically and returns the
path; the folder is the output directory unless one is given. Figures are drawn beside
pyplot, so that a user's own figures, backend and settings stay as they are.
"""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from torch import Tensor

from kaggle_kit.evaluate import Evaluation
from kaggle_kit.paths import atomic_file, output_dir
from kaggle_kit.ranks import is_main_process

PLOT_COLOURS = ("#2b6cb0", "#dd6b20", "#2f855a", "#805ad5", "#b83280", "#718096")
_PLOTS_STYLE: dict[str, Any] = {
    "font.size": 10.0,
    "axes.titlesize": 12.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#e2e8f0",
    "legend.frameon": False,
}
_PLOTS_DASHES = ("-", "--", ":", "-.")
# More classes than this get no names on the axis, more than that no counts in cells.
_PLOTS_NAMED, _PLOTS_COUNTED = 60, 60


@contextmanager
def plot_figure(
    folder: str | Path, name: str, size: tuple[float, float]
) -> Iterator[tuple[Figure, Path]]:
    """Give a figure to draw on; at the end write it, and show it in a notebook.

    Of several processes that train together the first one writes.
    """
    path = output_dir(folder) / name
    with mpl.rc_context():
        # The caller's style sheets would make the figures differ from run to run.
        mpl.rcdefaults()
        mpl.rcParams.update(_PLOTS_STYLE)  # type: ignore[arg-type]
        figure = Figure(figsize=size, dpi=100)
        figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
        FigureCanvasAgg(figure)
        yield figure, path
        if not is_main_process():
            return
        with atomic_file(path) as temporary:
            figure.savefig(temporary, format="png", facecolor="white")
    if in_notebook():
        from IPython.display import Image, display

        display(Image(data=path.read_bytes()))  # type: ignore[no-untyped-call]


def in_notebook() -> bool:
    """Say whether this runs in a Jupyter kernel, where figures can be displayed."""
    # Not imported here: a script must not pay for IPython to learn that it is none.
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


def plot_class_histogram(
    labels: np.ndarray | Tensor | Mapping[str, np.ndarray | Tensor],
    *,
    class_names: Sequence[str] | None = None,
    title: str = "Images per class",
    folder: str | Path = "",
    name: str = "class_histogram.png",
) -> Path:
    """Draw how many images each class has.

    Args:
        labels: (N,) integers from 0, or several such sets by name, drawn side by side.
        class_names: one per class; the class numbers without.
        title: above the figure.
        folder: where the file goes; the output directory by default.
        name: of the file.
    """
    sets = labels if isinstance(labels, Mapping) else {"": labels}
    arrays = {key: np.asarray(values).astype(np.int64) for key, values in sets.items()}
    if not any(len(values) for values in arrays.values()):
        raise ValueError("there are no labels to count")
    n_classes = max(int(values.max()) + 1 for values in arrays.values() if len(values))
    n_classes = max(n_classes, len(class_names or ()))
    counts = {key: np.bincount(v, minlength=n_classes) for key, v in arrays.items()}
    size = (min(14.0, max(6.0, 0.34 * n_classes * len(sets) ** 0.5)), 4.0)
    with plot_figure(folder, name, size) as (figure, path):
        axes = figure.add_subplot(title=title, ylabel="images")
        width = 0.8 / len(sets)
        for i, (key, values) in enumerate(counts.items()):
            at = np.arange(n_classes) - 0.4 + (i + 0.5) * width
            colour = PLOT_COLOURS[i % len(PLOT_COLOURS)]
            bars = axes.bar(at, values, width, color=colour, label=key)
            if len(sets) == 1 and n_classes <= 20:
                axes.bar_label(bars, fmt="{:,.0f}", fontsize=8, padding=1)
        axes.set_xlim(-0.6, n_classes - 0.4)
        axes.grid(axis="y")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}"))
        _plots_class_axis(axes, "x", n_classes, class_names, size[0])
        axes.set_xlabel("class")
        if len(sets) > 1:
            figure.legend(ncols=len(sets), loc="outside lower center")
    return path


def _plots_class_axis(
    axes: Axes,
    which: str,
    n_classes: int,
    class_names: Sequence[str] | None,
    inches: float,
) -> None:
    """Name the classes along an axis, as far as there is room for names."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    if n_classes > _PLOTS_NAMED:
        axis.set_major_locator(MaxNLocator(integer=True))
        return
    names = [str(n) for n in class_names or range(n_classes)]
    names = [n if len(n) <= 16 else f"{n[:15]}…" for n in names]
    points = 72 * inches / n_classes
    turned = which == "x" and max(map(len, names)) * 6 > points
    axis.set_ticks(
        range(n_classes),
        names,
        fontsize=min(9.0, max(5.0, 0.7 * points)),
        rotation=90 if turned else 0,
    )


def plot_history(
    history: Sequence[Mapping[str, float]],
    *,
    title: str = "",
    folder: str | Path = "",
    name: str = "history.png",
) -> Path:
    """Draw the curves of a training: losses on one axis, metrics on another.

    Args:
        history: one row per epoch, as `Learner.history`: columns that end in "loss"
            are losses, "epoch", "seconds" and "lr" are left out, the rest are metrics.
        title: above the figure.
        folder: where the file goes; the output directory by default.
        name: of the file.
    """
    if not history:
        raise ValueError("the history is empty: train at least one epoch")
    columns = list(dict.fromkeys(key for row in history for key in row))
    losses = [key for key in columns if key.endswith("loss")]
    rest = {"epoch", "seconds", "lr", *losses}
    metrics = [key for key in columns if key not in rest]
    panels = [(text, keys) for text, keys in (("loss", losses), ("", metrics)) if keys]
    with plot_figure(folder, name, (5.2 * len(panels), 3.9)) as (figure, path):
        if title:
            figure.suptitle(title)
        for i, (text, keys) in enumerate(panels):
            axes = figure.add_subplot(1, len(panels), i + 1, xlabel="epoch")
            axes.set_title(text or (keys[0] if len(keys) == 1 else "metrics"))
            _plots_curves(axes, history, keys)
    return path


def _plots_curves(
    axes: Axes, history: Sequence[Mapping[str, float]], keys: Sequence[str]
) -> None:
    epochs = [float(row.get("epoch", i + 1)) for i, row in enumerate(history)]
    marker = "o" if len(history) <= 30 else ""
    train = [key for key in keys if key.startswith("train_")]
    valid = [key for key in keys if key not in train]
    for key in keys:
        values = [float(row.get(key, math.nan)) for row in history]
        label = f"{key.replace('_', ' ')} (last {values[-1]:.4f})"
        # Training is blue in every panel; several such metrics differ by their dashes.
        colour, dashes = PLOT_COLOURS[0], "-"
        if key in train:
            dashes = _PLOTS_DASHES[train.index(key) % len(_PLOTS_DASHES)]
        else:
            colour = PLOT_COLOURS[1 + valid.index(key) % (len(PLOT_COLOURS) - 1)]
        axes.plot(epochs, values, dashes, marker=marker, ms=4, c=colour, label=label)
    # Room on both sides, so that a single epoch is a point in the middle.
    axes.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid()
    axes.legend(loc="best", fontsize=9)


def plot_lr_find(
    rates: Sequence[float],
    losses: Sequence[float],
    suggestion: float | None = None,
    *,
    title: str = "Loss while the learning rate rises",
    folder: str | Path = "",
    name: str = "lr_find.png",
) -> Path:
    """Draw the loss over the learning rate, as `Learner.lr_find` does.

    Args:
        rates: of every step, above 0.
        losses: smoothed, of every step.
        suggestion: the rate to mark.
        title: above the figure.
        folder: where the file goes; the output directory by default.
        name: of the file.
    """
    if len(rates) != len(losses) or len(rates) < 2:
        raise ValueError(f"{len(rates)} rates and {len(losses)} losses; give 2 or more")
    with plot_figure(folder, name, (6.5, 3.9)) as (figure, path):
        axes = figure.add_subplot(title=title, xlabel="learning rate", ylabel="loss")
        axes.plot(rates, losses, color=PLOT_COLOURS[0])
        axes.set_xscale("log")
        # The blown-up end would press everything of interest flat.
        finite = [loss for loss in losses if math.isfinite(loss)]
        low, first = min(finite), finite[0]
        axes.set_ylim(low - 0.1 * abs(first - low) - 1e-9, first + 0.5 * (first - low))
        axes.grid()
        if suggestion is not None:
            label = f"suggested: {suggestion:.2g}"
            axes.axvline(suggestion, color=PLOT_COLOURS[1], ls="--", label=label)
            axes.legend(loc="best")
    return path


def plot_steps(
    losses: Sequence[float],
    rates: Sequence[float] = (),
    *,
    title: str = "Training loss of every step",
    folder: str | Path = "",
    name: str = "steps.png",
) -> Path:
    """Draw loss and learning rate of every step, as a `Recorder` keeps them.

    Args:
        losses: of every step; a running mean over 2 % of the steps is drawn on top.
        rates: learning rate of every step, on an axis of its own.
        title: above the figure.
        folder: where the file goes; the output directory by default.
        name: of the file.
    """
    if not len(losses):
        raise ValueError("there are no steps to draw: train first")
    width = max(1, len(losses) // 50)
    sums = np.cumsum(np.insert(np.asarray(losses, dtype=np.float64), 0, 0.0))
    means = (sums[width:] - sums[:-width]) / width
    with plot_figure(folder, name, (9.0 if rates else 6.0, 3.9)) as (figure, path):
        axes = figure.add_subplot(1, 2 if rates else 1, 1, xlabel="step")
        axes.set_title(title)
        axes.plot(losses, color=PLOT_COLOURS[0], alpha=0.3, lw=0.8, label="step")
        label = f"mean of {width} steps"
        steps = np.arange(len(means)) + width - 1
        axes.plot(steps, means, color=PLOT_COLOURS[0], label=label)
        axes.legend(loc="upper right")
        axes.grid()
        if rates:
            axes = figure.add_subplot(1, 2, 2, title="learning rate", xlabel="step")
            axes.plot(rates, color=PLOT_COLOURS[1])
            axes.grid()
    return path


def plot_confusion(
    confusion: Evaluation | np.ndarray,
    *,
    class_names: Sequence[str] | None = None,
    title: str = "",
    folder: str | Path = "",
    name: str = "confusion.png",
) -> Path:
    """Draw the confusion matrix as a heat map of the errors.

    The colour is the share of an actual class that was taken for the predicted one; the
    diagonal is left out of the scale, or it would drown the few errors of a good model.

    Args:
        confusion: an `Evaluation`, or (C, C) counts with actual classes as rows.
        class_names: C names; those of the evaluation by default.
        title: above the figure; by default it says how many are wrong.
        folder: where the file goes; the output directory by default.
        name: of the file.
    """
    if isinstance(confusion, Evaluation):
        class_names = class_names or confusion.class_names
        confusion = confusion.confusion
    n = len(confusion)
    if confusion.shape != (n, n) or not n:
        raise ValueError(
            f"the confusion matrix has shape {confusion.shape}, not (C, C)"
        )
    total, right = int(confusion.sum()), int(confusion.trace())
    title = title or (
        f"Confusion: {total - right:,} of {total:,} wrong "
        f"({right / max(total, 1):.2%} right)"
    )
    side = min(11.0, max(4.2, (0.46 if n <= 20 else 0.2) * n))
    with plot_figure(folder, name, (side + 1.9, side + 0.9)) as (figure, path):
        axes = figure.add_subplot(title=title, xlabel="predicted", ylabel="actual")
        _plots_heat(figure, axes, confusion)
        if n <= _PLOTS_COUNTED:
            _plots_cell_counts(axes, confusion, 72 * side / n)
        _plots_class_axis(axes, "x", n, class_names, side)
        _plots_class_axis(axes, "y", n, class_names, side)
    return path


def _plots_heat(figure: Figure, axes: Axes, confusion: np.ndarray) -> None:
    totals = np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    shares = 100 * confusion / totals
    errors = np.ma.masked_array(shares, mask=np.eye(len(confusion), dtype=bool))
    highest = float(errors.max()) if len(confusion) > 1 else 0.0
    cmap = mpl.colormaps["Reds"].with_extremes(bad=to_rgba("#d6e4f0"))
    image = axes.imshow(errors, cmap=cmap, vmin=0, vmax=highest or 1.0)
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    bar.set_label("errors, % of the actual class")
    for spine in axes.spines.values():
        spine.set_visible(False)


def _plots_cell_counts(axes: Axes, confusion: np.ndarray, points: float) -> None:
    """Write the counts into the cells, each `points` wide; zeros stay empty."""
    totals = np.maximum(confusion.sum(axis=1), 1)
    errors = confusion / totals[:, None]
    np.fill_diagonal(errors, 0)
    dark = 0.6 * errors.max()
    digits = len(str(int(confusion.max())))
    font = min(9.0, 1.5 * points / max(digits, 2))
    for row, column in zip(*np.nonzero(confusion), strict=True):
        axes.text(
            column,
            row,
            f"{confusion[row, column]}",
            ha="center",
            va="center",
            fontsize=font,
            color="white" if dark and errors[row, column] > dark else "#1a202c",
        )
