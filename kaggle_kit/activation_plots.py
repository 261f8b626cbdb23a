"""Plots of what `ActivationStats` and `GradientNorms` saw, as `kaggle_kit.plots`."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from kaggle_kit.hooks import LayerStats
from kaggle_kit.plots import PLOT_COLOURS, plot_figure

_ACTIVATIONS_NAMED = 24  # layers that a legend can hold
_ACTIVATIONS_COLUMNS = 4


def plot_activations(
    stats: Mapping[str, LayerStats],
    *,
    every: int = 1,
    title: str = "Outputs of the layers in training",
    folder: str | Path = "",
    name: str = "activations.png",
) -> Path:
    """Draw mean, deviation and share of dead units of every layer over the steps.

    Healthy means stay near 0 and deviations near 1; a share of dead units that grows
    says that the learning rate is too high. Early layers are dark, late ones bright.

    Args:
        stats: by name of the layer, `ActivationStats(...).stats`.
        every: steps between two records, as given to `ActivationStats`.
        title: above the figure.
        folder: where the file goes; the output directory by default.
        name: of the file.
    """
    seen = _activations_seen(stats)
    shades = mpl.colormaps["viridis"](np.linspace(0.0, 0.92, len(seen)))
    panels = (("mean", "means"), ("deviation", "deviations"), ("dead units", "dead"))
    with plot_figure(folder, name, (14.0, 4.2)) as (figure, path):
        figure.suptitle(title)
        for i, (text, field) in enumerate(panels):
            axes = figure.add_subplot(1, 3, i + 1, title=text, xlabel="step")
            for (layer, layer_stats), shade in zip(seen.items(), shades, strict=True):
                values = getattr(layer_stats, field)
                marker = "o" if len(values) == 1 else ""
                steps = np.arange(len(values)) * every
                axes.plot(
                    steps, values, color=shade, lw=1.2, marker=marker, label=layer
                )
            axes.grid()
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            if field == "dead":
                axes.set_ylim(-0.02, 1.02)
        if len(seen) <= _ACTIVATIONS_NAMED:
            handles, names = axes.get_legend_handles_labels()
            figure.legend(handles, names, loc="outside right center", fontsize=8)
        else:
            scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(1, len(seen)), "viridis")
            figure.colorbar(scale, ax=figure.axes, label="layer, first to last")
    return path


def plot_activation_histograms(
    stats: Mapping[str, LayerStats],
    *,
    limit: float = 10.0,
    every: int = 1,
    title: str = "How the outputs are distributed (log of the counts)",
    folder: str | Path = "",
    name: str = "activation_histograms.png",
) -> Path:
    """Draw the histogram of every layer's outputs over the steps, bright for many.

    Args:
        stats: by name of the layer, `ActivationStats(...).stats`.
        limit: the histograms reach from -limit to limit, as given to `ActivationStats`.
        every: steps between two records, likewise.
        title: above the figure.
        folder: where the file goes; the output directory by default.
        name: of the file.
    """
    seen = _activations_seen(stats)
    columns = min(_ACTIVATIONS_COLUMNS, len(seen))
    rows = math.ceil(len(seen) / columns)
    size = (max(5.0, 3.4 * columns), 2.2 * rows + 0.7)
    with plot_figure(folder, name, size) as (figure, path):
        figure.suptitle(title)
        for i, (layer, layer_stats) in enumerate(seen.items()):
            axes = figure.add_subplot(rows, columns, i + 1)
            axes.set_title(layer, fontsize=9)
            counts = np.log1p(np.asarray(layer_stats.histograms).T)
            extent = (-0.5 * every, (counts.shape[1] - 0.5) * every, -limit, limit)
            axes.imshow(counts, origin="lower", aspect="auto", extent=extent)
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            if i % columns == 0:
                axes.set_ylabel("output")
            if i >= len(seen) - columns:
                axes.set_xlabel("step")
    return path


def plot_gradient_norms(
    norms: Sequence[float],
    *,
    clip: float | None = None,
    title: str = "Norm of all gradients",
    folder: str | Path = "",
    name: str = "gradient_norms.png",
) -> Path:
    """Draw the gradient norm of every step, on a logarithmic axis.

    Args:
        norms: `GradientNorms().norms`.
        clip: the norm at which gradients are clipped, to be marked.
        title: above the figure.
        folder: where the file goes; the output directory by default.
        name: of the file.
    """
    if not norms:
        raise ValueError("there are no gradient norms: train with GradientNorms first")
    with plot_figure(folder, name, (6.5, 3.9)) as (figure, path):
        axes = figure.add_subplot(title=title, xlabel="step")
        marker = "o" if len(norms) == 1 else ""
        axes.plot(norms, color=PLOT_COLOURS[0], lw=1.0, marker=marker)
        _activations_log_axis(axes, norms)
        if clip is not None:
            label = f"clipped at {clip:g}"
            axes.axhline(clip, color=PLOT_COLOURS[1], ls="--", label=label)
            axes.legend(loc="best")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid()
    return path


def _activations_log_axis(axes: Axes, values: Sequence[float]) -> None:
    """Scale logarithmically where there is something above 0 to scale."""
    if any(value > 0 and math.isfinite(value) for value in values):
        axes.set_yscale("log")


def _activations_seen(stats: Mapping[str, LayerStats]) -> dict[str, LayerStats]:
    """Keep the layers that were recorded at least once."""
    seen = {layer: kept for layer, kept in stats.items() if kept.means}
    if not seen:
        raise ValueError(
            "no layer was recorded: train with ActivationStats as a callback first"
        )
    return seen
