"""Plots of activations and gradients, from what the callbacks really record."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import nn

from kaggle_kit.activation_plots import (
    plot_activation_histograms,
    plot_activations,
    plot_gradient_norms,
)
from kaggle_kit.hooks import ActivationStats, GradientNorms, LayerStats
from kaggle_kit.learner import Learner


@pytest.fixture
def figures(monkeypatch):
    drawn = []
    save = Figure.savefig

    def keep(figure, *args, **options):
        drawn.append(figure)
        return save(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return drawn


@pytest.fixture(scope="module")
def recorded():
    torch.manual_seed(0)
    data = [(torch.randn(8, 4), torch.arange(8) % 2) for _ in range(5)]
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    stats, norms = ActivationStats(bins=20, limit=5.0), GradientNorms()
    learner = Learner(
        model, (data, None), nn.CrossEntropyLoss(), device="cpu", log=lambda line: None
    )
    learner.fit(1, callbacks=[stats, norms])
    return stats, norms


def layers_of(n, steps=3):
    rows = [[float(i + s) for s in range(steps)] for i in range(n)]
    return {
        f"features.{i}.conv": LayerStats(row, row, [0.0] * steps, [[1.0, 2.0]] * steps)
        for i, row in enumerate(rows)
    }


def test_means_deviations_and_dead_units_of_every_layer_are_drawn(
    tmp_path, figures, recorded
):
    stats, _ = recorded
    plot_activations(stats.stats, folder=tmp_path)
    means, deviations, dead = figures[0].axes
    kept = list(stats.stats.values())
    assert len(kept) == 3
    assert [line.get_ydata().tolist() for line in means.lines] == [
        s.means for s in kept
    ]
    assert [line.get_ydata().tolist() for line in deviations.lines] == [
        s.deviations for s in kept
    ]
    assert [line.get_ydata().tolist() for line in dead.lines] == [s.dead for s in kept]
    names = [text.get_text() for text in figures[0].legends[0].get_texts()]
    assert names == list(stats.stats)


def test_many_layers_are_told_apart_by_shade(tmp_path, figures):
    plot_activations(layers_of(30), every=10, folder=tmp_path)
    assert not figures[0].legends
    assert len(figures[0].axes) == 4  # three panels and the colour bar
    assert figures[0].axes[0].lines[0].get_xdata().tolist() == [0, 10, 20]


def test_histograms_run_over_the_steps(tmp_path, figures, recorded):
    stats, _ = recorded
    path = plot_activation_histograms(stats.stats, limit=5.0, folder=tmp_path)
    assert len(figures[0].axes) == 3
    image = figures[0].axes[0].images[0]
    assert image.get_array().shape == (20, 5)
    assert image.get_extent() == [-0.5, 4.5, -5.0, 5.0]
    first = next(iter(stats.stats.values())).histograms[0]
    np.testing.assert_allclose(image.get_array()[:, 0], np.log1p(first))
    with Image.open(path) as picture:
        assert len(picture.convert("RGB").getcolors(maxcolors=1_000_000)) > 20


def test_gradient_norms_are_drawn_with_the_clip(tmp_path, figures, recorded):
    _, norms = recorded
    plot_gradient_norms(norms.norms, clip=1.0, folder=tmp_path)
    axes = figures[0].axes[0]
    assert axes.get_yscale() == "log"
    assert axes.lines[0].get_ydata().tolist() == norms.norms
    assert axes.lines[1].get_ydata()[0] == 1.0
    plot_gradient_norms([0.0], folder=tmp_path)
    assert figures[1].axes[0].get_yscale() == "linear"


def test_nothing_recorded_is_said(tmp_path):
    with pytest.raises(
        ValueError, match="no layer was recorded: train with Activation"
    ):
        plot_activations({}, folder=tmp_path)
    with pytest.raises(ValueError, match="there are no gradient norms"):
        plot_gradient_norms([], folder=tmp_path)
