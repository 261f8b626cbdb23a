"""How often each class of each component occurs, as a PNG file.

Drawn and written as `kaggle_kit.plots` does it.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.ticker import FuncFormatter, MaxNLocator

from kaggle_kit.plots import PLOT_COLOURS, plot_figure

_COMPONENTS_ABSENT = "#c53030"
_COMPONENTS_NAMED = 30  # with more classes only some numbers are on the axis


def plot_component_histograms(
    counts: Mapping[str, npt.NDArray[np.integer]],
    *,
    title: str = "Images per class",
    folder: str | Path = "",
    name: str = "component_histograms.png",
) -> Path:
    """Draw a histogram of the classes of each component, one below the other.

    Classes that never occur are counted in the caption and marked on the axis. They
    are shown by number: few fonts have the letters of every script.

    Args:
        counts: images of each class, (classes,), by component; see
            `ComponentLabels.class_counts`.
        title: above the figure.
        folder: where the file goes; the output directory by default.
        name: of the file.
    """
    arrays = {key: np.asarray(values) for key, values in counts.items()}
    if not arrays or not all(a.ndim == 1 and len(a) for a in arrays.values()):
        shapes = {key: values.shape for key, values in arrays.items()}
        raise ValueError(f"counts have shapes {shapes}; give (classes,) by component")
    with plot_figure(folder, name, (10.0, 0.6 + 2.4 * len(arrays))) as (figure, path):
        figure.suptitle(title)
        for i, (key, values) in enumerate(arrays.items()):
            axes = figure.add_subplot(len(arrays), 1, i + 1)
            at = np.arange(len(values))
            axes.bar(at, values, 0.85, color=PLOT_COLOURS[i % len(PLOT_COLOURS)])
            absent = at[values == 0]
            axes.scatter(absent, 0 * absent, marker="x", color=_COMPONENTS_ABSENT)
            axes.set_title(_components_caption(key, values), loc="left", fontsize=10)
            axes.set_xlim(-0.7, len(values) - 0.3)
            axes.set_ylabel("images")
            axes.grid(axis="y")
            axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}"))
            if len(values) <= _COMPONENTS_NAMED:
                axes.set_xticks(at)
            else:
                axes.xaxis.set_major_locator(MaxNLocator(20, integer=True))
        axes.set_xlabel("class")
    return path


def _components_caption(name: str, counts: npt.NDArray[np.integer]) -> str:
    """Such as `vowel_diacritic: 11 classes, 456 to 11,135 images`."""
    there = counts[counts > 0]
    spread = f"{there.min():,} to {there.max():,} images" if len(there) else "no images"
    absent = len(counts) - len(there)
    return f"{name}: {len(counts)} classes, {spread}" + (
        f", {absent} without any" if absent and len(there) else ""
    )
