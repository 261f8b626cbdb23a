"""Grids of images: which images, which captions, and nothing disturbed."""

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from small_learner import small_learner
from torch.utils.data import DataLoader, TensorDataset

from kaggle_kit.augment import RandomAffine
from kaggle_kit.batches import DeviceBatches
from kaggle_kit.evaluate import evaluate_predictions
from kaggle_kit.galleries import (
    plot_top_losses,
    show_batch,
    show_images,
    show_pairs,
    show_results,
)
from kaggle_kit.loaders import Data
from kaggle_kit.losses import MixedTargets
from kaggle_kit.mixing import MixUp


@pytest.fixture
def axes(monkeypatch):
    """The axes of every figure that is written."""
    drawn = []
    save = Figure.savefig

    def keep(figure, *args, **options):
        drawn.append(figure.axes[0])
        return save(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return drawn


def images_of(n=6, shape=(8, 8)):
    return np.random.default_rng(0).integers(0, 256, (n, *shape), dtype=np.uint8)


def captions_of(axes):
    return [text.get_text() for text in axes.texts]


def batches_of(**options):
    return DeviceBatches(
        images_of(20),
        np.arange(20) % 10,
        batch_size=8,
        device="cpu",
        mean=0.4,
        std=0.3,
        shuffle=True,
        **options,
    )


@pytest.mark.parametrize(
    ("layout", "drawn"),
    [
        (lambda x: x, (8, 8)),
        (lambda x: x[..., None], (8, 8)),
        (lambda x: torch.from_numpy(x)[:, None] / 255, (8, 8)),
        (lambda x: np.stack([x] * 3, axis=3), (8, 8, 3)),
        (lambda x: torch.from_numpy(np.stack([x] * 3, axis=1)), (8, 8, 3)),
        (lambda x: np.stack([x, *[x * 0] * 3], axis=3), (8, 8)),
        (lambda x: np.stack([x, x * 0], axis=1), (8, 8)),
    ],
)
def test_images_of_every_layout_are_the_same_pixels(tmp_path, axes, layout, drawn):
    images = images_of()
    path = show_images(layout(images), folder=tmp_path)
    assert path == tmp_path / "samples.png"
    assert len(axes[0].images) == 6
    for image, tile in zip(images, axes[0].images, strict=True):
        pixels = tile.get_array().data
        assert pixels.shape == drawn
        first = pixels if pixels.ndim == 2 else pixels[..., 0]
        np.testing.assert_allclose(first, image / 255, atol=1e-6)


def test_labels_and_wrong_predictions_are_written_above(tmp_path, axes):
    images = images_of(4)
    show_images(images, np.arange(4), [0, 1, 1, 3], folder=tmp_path)
    assert captions_of(axes[0]) == ["0", "1", "2 → 1", "3"]
    assert axes[0].texts[2].get_color() != axes[0].texts[1].get_color()
    names = ["ankle boot", "shirt", "pullover", "bag"]
    show_images(images, np.arange(4), [0, 1, 1, 3], class_names=names, folder=tmp_path)
    assert captions_of(axes[1]) == ["ankle boot", "shirt", "pullover\n→ shirt", "bag"]
    show_images(images, labels=[0.25, "x", torch.tensor([1, 2]), 3], folder=tmp_path)
    assert captions_of(axes[2]) == ["0.25", "x", "1 2", "3"]
    show_images(images, pd.Series([7, 8, 9, 6], index=[9, 8, 7, 6]), folder=tmp_path)
    assert captions_of(axes[3]) == ["7", "8", "9", "6"]


def test_captions_do_not_run_into_each_other(tmp_path, axes):
    names = [f"quite a long name {i}" for i in range(6)]
    show_images(images_of(), labels=names, columns=3, folder=tmp_path)
    renderer = axes[0].figure.canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in axes[0].texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])


def test_the_worst_images_come_first(tmp_path, axes):
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    evaluation = evaluate_predictions(probabilities, np.array([0, 0, 0]))
    images = images_of(3)
    plot_top_losses(images, evaluation, n=2, folder=tmp_path)
    assert captions_of(axes[0]) == ["0 → 1, 0.80", "0 → 0, 0.60"]
    shown = axes[0].images[0].get_array().data
    np.testing.assert_allclose(shown, images[1] / 255, atol=1e-6)
    with pytest.raises(ValueError, match="2 images, but 3 were evaluated"):
        plot_top_losses(images[:2], evaluation, folder=tmp_path)


def test_a_batch_is_shown_as_the_model_sees_it_beside_the_originals(tmp_path, axes):
    batches = batches_of(augment=RandomAffine(rotate=20, translate=0.1))
    batches.set_epoch(3)
    x, y = next(iter(batches))
    batches.set_epoch(3)
    show_batch(batches, n=4, columns=2, folder=tmp_path)
    tiles = [tile.get_array().data for tile in axes[0].images]
    original = batches.images[batches.order(3)[:4], ..., 0].numpy() / 255
    seen = batches.denormalise(x)[:4, 0].clamp(0, 1).numpy()
    expected = [*original[:2], *seen[:2], *original[2:], *seen[2:]]
    for tile, image in zip(tiles, expected, strict=True):
        np.testing.assert_allclose(tile, image, atol=1e-5)
    numbers = [str(int(label)) for label in y[:4]]
    assert captions_of(axes[0])[:8] == [*numbers[:2], "", "", *numbers[2:], "", ""]
    assert captions_of(axes[0])[8:] == ["before", "after"] * 2


def test_looking_at_a_batch_changes_nothing(tmp_path, axes):
    looked_at, left_alone = batches_of(), batches_of()
    show_batch(looked_at, folder=tmp_path, before=False)
    for (x, y), (x_same, y_same) in zip(looked_at, left_alone, strict=True):
        assert torch.equal(x, x_same)
        assert torch.equal(y, y_same)


def test_mixed_images_are_shown_mixed_with_both_targets(tmp_path, axes):
    def mix(x, y):
        weight = torch.tensor([0.75, 1.0, 0.5, 0.25])
        mixed = torch.lerp(x.flip(0), x, weight[:, None, None, None])
        return mixed, MixedTargets(y, torch.tensor([1, 2, 1, 3]), weight)

    x, y = torch.rand(4, 1, 6, 6), torch.tensor([0, 1, 1, 2])
    names = ["cat", "dog", "cow", "ant"]
    show_batch([(x, y)], transform=mix, class_names=names, folder=tmp_path)
    assert captions_of(axes[0]) == [
        "75% cat\n25% dog",
        "dog",
        "dog",
        "25% cow\n75% ant",
    ]
    shown = np.stack([tile.get_array().data for tile in axes[0].images])
    mixed = mix(x, y)[0][:, 0].numpy()
    low, high = mixed.min(), mixed.max()
    np.testing.assert_allclose(shown, (mixed - low) / (high - low), atol=1e-6)


def test_looking_at_mixed_images_draws_no_random_numbers(tmp_path, axes):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    shuffled = DataLoader(TensorDataset(torch.rand(9, 1, 4, 4)), 3, shuffle=True)
    torch.set_rng_state(before)
    show_batch(shuffled, folder=tmp_path)
    show_batch(batches_of(), transform=MixUp(), folder=tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_batches_of_a_loader_are_scaled_to_be_seen(tmp_path, axes):
    data = [(torch.randn(5, 1, 6, 6) * 7, torch.arange(5))]
    show_batch(data, folder=tmp_path)
    values = np.stack([tile.get_array().data for tile in axes[0].images])
    assert (values.min(), values.max()) == (0.0, 1.0)
    assert captions_of(axes[0]) == list("01234")
    show_batch([data[0][0]], folder=tmp_path)
    assert captions_of(axes[1]) == [""] * 5


def test_pairs_of_different_sizes_stand_above_each_other(tmp_path, axes):
    wide, square = images_of(5, (6, 12)), images_of(5, (8, 8))
    show_pairs(
        wide,
        square,
        ["a", "b", "c", "d", "e"],
        row_names=("raw", "cropped"),
        columns=2,
        folder=tmp_path,
    )
    tiles = [tile.get_array().data for tile in axes[0].images]
    assert len(tiles) == 10
    assert {tile.shape for tile in tiles} == {(8, 12)}
    np.testing.assert_allclose(tiles[0][1:7], wide[0] / 255, atol=1e-6)
    np.testing.assert_allclose(tiles[3][:, 2:10], square[1] / 255, atol=1e-6)
    texts = captions_of(axes[0])
    assert texts[-6:] == ["raw", "cropped"] * 3
    assert texts[:10] == ["a", "b", "", "", "c", "d", "", "", "e", ""]
    with pytest.raises(ValueError, match="5 images before and 4 after"):
        show_pairs(wide, square[:4], folder=tmp_path)


def test_results_are_written_above_what_the_model_saw(tmp_path, axes):
    batches = batches_of()
    learner = small_learner(data=Data(batches, batches))
    path = learner.show_results(n=6, folder=tmp_path)
    assert path == tmp_path / "results.png"
    order = batches.order(0)
    batches.set_epoch(0)
    preds, targets = learner.get_preds(batches, with_targets=True)
    expected = [
        f"{y}" if y == guess else f"{y} → {guess}"
        for y, guess in zip(targets[:6].tolist(), preds.argmax(1)[:6], strict=True)
    ]
    assert captions_of(axes[0]) == expected
    shown = axes[0].images[0].get_array().data
    np.testing.assert_allclose(shown, batches.images[order[0], ..., 0] / 255, atol=1e-6)


def test_results_of_several_heads_and_of_other_batches(tmp_path, axes):
    x = torch.randn(4, 1, 8, 8)
    scores = (torch.eye(3)[[0, 1, 2, 0]], torch.eye(2)[[0, 1, 0, 1]])
    y = torch.tensor([[0, 0], [1, 0], [2, 0], [0, 1]])
    show_results([(x, y)], x, y, scores, folder=tmp_path)
    assert captions_of(axes[0]) == ["0 0", "1 0 → 1 1", "2 0", "0 1"]
    with pytest.raises(TypeError, match="the batches give dict, no images to draw"):
        show_results([], {"x": x}, y, scores, folder=tmp_path)


def test_what_is_no_stack_of_images_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"shape \(4, 4\); give at least one"):
        show_images(np.zeros((4, 4), np.uint8), folder=tmp_path)
