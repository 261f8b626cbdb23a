"""Curves, histograms and heat maps: what they show, and that they leave no trace."""

import sys
import types

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from kaggle_kit.evaluate import evaluate_predictions
from kaggle_kit.plots import (
    in_notebook,
    plot_class_histogram,
    plot_confusion,
    plot_history,
    plot_lr_find,
    plot_steps,
)

HISTORY = [
    {
        "epoch": epoch,
        "train_loss": 2.0 / epoch,
        "valid_loss": 1.5 / epoch,
        "accuracy": 1 - 0.2 / epoch,
        "seconds": 3.0,
        "lr": 0.01,
    }
    for epoch in range(1, 6)
]


@pytest.fixture
def figures(monkeypatch):
    """Every figure that is drawn, as it was when it was written."""
    drawn = []
    save = Figure.savefig

    def keep(figure, *args, **options):
        drawn.append(figure)
        return save(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return drawn


def colours_in(path):
    return len(
        np.unique(np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3), axis=0)
    )


def boxes_overlap(figure, artists):
    boxes = [a.get_window_extent(figure.canvas.get_renderer()) for a in artists]
    return any(
        one.shrunk(0.98, 0.98).overlaps(other)
        for i, one in enumerate(boxes)
        for other in boxes[i + 1 :]
    )


def draw_all(folder):
    counts = np.arange(9).reshape(3, 3)
    return [
        plot_class_histogram(np.arange(30) % 4, folder=folder),
        plot_history(HISTORY, folder=folder),
        plot_confusion(counts, folder=folder),
    ]


def test_every_plot_is_a_png_with_something_on_it(tmp_path):
    paths = draw_all(tmp_path / "new folder")
    assert [path.name for path in paths] == [
        "class_histogram.png",
        "history.png",
        "confusion.png",
    ]
    for path in paths:
        with Image.open(path) as image:
            assert image.format == "PNG"
        assert colours_in(path) > 20
    assert sorted(tmp_path.glob("*/*")) == sorted(paths)


def test_the_callers_settings_stay_and_do_not_reach_the_figure(tmp_path):
    first = [path.read_bytes() for path in draw_all(tmp_path)]
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        before = dict(mpl.rcParams)
        second = [path.read_bytes() for path in draw_all(tmp_path)]
        assert dict(mpl.rcParams) == before
    assert first == second


def test_an_old_plot_stays_when_drawing_fails(tmp_path, monkeypatch):
    (path,) = [plot_history(HISTORY, folder=tmp_path)]
    before = path.read_bytes()

    def fail(figure, file, **options):
        file.write_bytes(b"half a plot")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        plot_history(HISTORY[:2], folder=tmp_path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_notebook_displays_what_was_written(tmp_path, monkeypatch):
    shown = []
    shell = types.SimpleNamespace(kernel=object())
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: shell
    display = types.ModuleType("IPython.display")
    display.Image = lambda data: data
    display.display = shown.append
    assert not in_notebook()
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    assert in_notebook()
    path = plot_history(HISTORY, folder=tmp_path)
    assert shown == [path.read_bytes()]
    del shell.kernel  # a terminal ipython has no kernel
    assert not in_notebook()


def test_losses_are_losses_and_metrics_have_their_own_axis(tmp_path, figures):
    plot_history(HISTORY, folder=tmp_path, title="Fold 2")
    losses, metrics = figures[0].axes
    assert [line.get_ydata().tolist() for line in losses.lines] == [
        [row["train_loss"] for row in HISTORY],
        [row["valid_loss"] for row in HISTORY],
    ]
    assert [line.get_ydata().tolist() for line in metrics.lines] == [
        [row["accuracy"] for row in HISTORY]
    ]
    assert figures[0].get_suptitle() == "Fold 2"
    texts = [text.get_text() for text in losses.get_legend().get_texts()]
    assert texts == ["train loss (last 0.4000)", "valid loss (last 0.3000)"]
    colours = [line.get_color() for line in losses.lines]
    assert colours[0] != colours[1] == metrics.lines[0].get_color()


def test_training_has_one_colour_and_several_metrics_of_it_differ(tmp_path, figures):
    names = ("train_accuracy", "accuracy", "train_recall", "recall")
    rows = [dict.fromkeys(names, 0.5), dict.fromkeys(names, 0.7)]
    plot_history(rows, folder=tmp_path)
    looks = [
        (line.get_color(), line.get_linestyle()) for line in figures[0].axes[0].lines
    ]
    assert len(set(looks)) == 4
    assert looks[0][0] == looks[2][0]


@pytest.mark.parametrize("n_epochs", [1, 2, 5])
def test_epochs_are_whole_numbers_and_a_single_one_can_be_seen(
    tmp_path, figures, n_epochs
):
    plot_history(HISTORY[:n_epochs], folder=tmp_path)
    for axes in figures[0].axes:
        low, high = axes.get_xlim()
        ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
        assert ticks
        assert all(tick == int(tick) for tick in ticks)
        assert all(line.get_marker() == "o" for line in axes.lines)
        assert low < 1 <= n_epochs < high


def test_a_history_without_metrics_or_with_gaps_is_drawn(tmp_path, figures):
    plot_history([{"train_loss": 1.0}, {"train_loss": 0.5}], folder=tmp_path)
    assert len(figures[0].axes) == 1
    rows = [{"train_loss": 1.0}, {"train_loss": 0.5, "valid_loss": 0.6}]
    plot_history(rows, folder=tmp_path)
    assert np.isnan(figures[1].axes[0].lines[1].get_ydata()[0])
    with pytest.raises(ValueError, match="the history is empty"):
        plot_history([], folder=tmp_path)


@pytest.mark.parametrize("n_classes", [2, 10, 50])
def test_class_names_do_not_overlap(tmp_path, figures, n_classes):
    labels = np.arange(3 * n_classes) % n_classes
    names = [f"grapheme {i}" for i in range(n_classes)]
    plot_class_histogram(labels, class_names=names, folder=tmp_path)
    confusion = np.eye(n_classes, dtype=int) * 100
    plot_confusion(confusion, class_names=names, folder=tmp_path)
    for figure in figures:
        axes = figure.axes[0]
        assert len(axes.get_xticklabels()) == n_classes
        assert not boxes_overlap(figure, axes.get_xticklabels())
        assert not boxes_overlap(figure, axes.get_yticklabels())
        assert not boxes_overlap(figure, [axes.title, axes.xaxis.label])


def test_histogram_counts_each_class_of_each_set(tmp_path, figures):
    sets = {"train": np.array([0, 0, 2]), "valid": np.array([1])}
    plot_class_histogram(sets, class_names="abcd", folder=tmp_path)
    axes = figures[0].axes[0]
    assert [bar.get_height() for bar in axes.patches] == [2, 0, 1, 0, 0, 1, 0, 0]
    assert not boxes_overlap(
        figures[0], [figures[0].legends[0], axes.title, axes.xaxis.label]
    )
    with pytest.raises(ValueError, match="there are no labels to count"):
        plot_class_histogram(np.array([], int), folder=tmp_path)


def test_confusion_shows_the_errors_and_counts_them_in_its_title(tmp_path, figures):
    probabilities = np.eye(3)[[0, 1, 1, 2, 2, 2]]
    evaluation = evaluate_predictions(
        probabilities, np.array([0, 1, 2, 2, 2, 2]), class_names=["cat", "dog", "owl"]
    )
    plot_confusion(evaluation, folder=tmp_path)
    axes = figures[0].axes[0]
    assert axes.get_title() == "Confusion: 1 of 6 wrong (83.33% right)"
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "cat",
        "dog",
        "owl",
    ]
    shares = axes.images[0].get_array()
    assert shares.mask.tolist() == np.eye(3, dtype=bool).tolist()
    assert shares[2, 1] == 25.0
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "1", (1, 1): "1", (1, 2): "1", (2, 2): "3"}
    plot_confusion(np.diag([3, 4]), folder=tmp_path)
    assert figures[1].axes[0].get_title().startswith("Confusion: 0 of 7 wrong")
    with pytest.raises(ValueError, match=r"shape \(2, 3\), not \(C, C\)"):
        plot_confusion(np.zeros((2, 3), int), folder=tmp_path)


def test_many_classes_get_no_names_and_no_counts(tmp_path, figures):
    plot_confusion(np.eye(168, dtype=int), folder=tmp_path)
    plot_class_histogram(np.arange(168), folder=tmp_path)
    assert not figures[0].axes[0].texts
    for figure in figures:
        assert len(figure.axes[0].get_xticks()) < 15


def test_the_rate_search_shows_the_suggestion_and_not_the_blown_up_end(
    tmp_path, figures
):
    rates = [10.0**n for n in range(-6, 1)]
    losses = [2.3, 2.2, 1.5, 0.8, 0.7, 3.0, float("inf")]
    plot_lr_find(rates, losses, 1e-3, folder=tmp_path)
    axes = figures[0].axes[0]
    assert axes.get_xscale() == "log"
    assert axes.lines[0].get_ydata().tolist() == losses
    assert set(axes.lines[1].get_xdata()) == {1e-3}
    low, high = axes.get_ylim()
    assert low < 0.7 < 2.3 < high < 4
    with pytest.raises(ValueError, match="7 rates and 1 losses; give 2 or more"):
        plot_lr_find(rates, [1.0], folder=tmp_path)


def test_steps_are_drawn_with_their_running_mean_and_rates(tmp_path, figures):
    losses = [1.0 / (1 + step) for step in range(200)]
    plot_steps(losses, [0.1] * 200, folder=tmp_path)
    loss_axes, rate_axes = figures[0].axes
    assert loss_axes.lines[0].get_ydata().tolist() == losses
    means = loss_axes.lines[1].get_ydata()
    assert means[10] == pytest.approx(np.mean(losses[10:14]))
    assert loss_axes.lines[1].get_xdata()[10] == 13
    assert rate_axes.lines[0].get_ydata().tolist() == [0.1] * 200
    plot_steps(losses[:1], folder=tmp_path)
    assert len(figures[1].axes) == 1
    with pytest.raises(ValueError, match="there are no steps to draw"):
        plot_steps([], folder=tmp_path)
