"""Perspective and resized crops: oracles, exact cases, statistics of the draws."""

import numpy as np
import pytest
import torch

from kaggle_kit.warps import (
    RandomPerspective,
    RandomResizedCrop,
    _warps_projective_grid,
)


def generator_of(seed=0):
    return torch.Generator().manual_seed(seed)


def images_of(n=6, channels=1, height=9, width=11, seed=0):
    return torch.rand(n, channels, height, width, generator=generator_of(seed))


def test_the_projection_agrees_with_solving_for_the_homography():
    corners = torch.tensor([[[-0.8, -1.2], [1.1, -0.9], [0.7, 1.0], [-1.0, 0.9]]])
    grid = _warps_projective_grid(corners, 4, 6)[0].double()
    square = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
    rows, values = [], []
    for (u, v), (x, y) in zip(square, corners[0].double().tolist(), strict=True):
        rows += [
            [u, v, 1, 0, 0, 0, -u * x, -v * x],
            [0, 0, 0, u, v, 1, -u * y, -v * y],
        ]
        values += [x, y]
    solution = np.append(np.linalg.solve(np.array(rows), np.array(values)), 1.0)
    for row in range(4):
        for column in range(6):
            point = solution.reshape(3, 3) @ [(column + 0.5) / 6, (row + 0.5) / 4, 1]
            np.testing.assert_allclose(grid[row, column], point[:2] / point[2], 1e-5)


def test_perspective_changes_each_image_its_own_way_or_not_at_all():
    x = images_of(n=1).expand(100, -1, -1, -1)
    warped = RandomPerspective(0.3, p=0.5)(x, generator_of())
    same = ((warped - x).abs().amax((1, 2, 3)) < 1e-4).float().mean()
    assert 0.35 < float(same) < 0.65
    assert len({image.numpy().tobytes() for image in warped}) > 40
    still = RandomPerspective(0.0)(x, generator_of())
    torch.testing.assert_close(still, x, atol=1e-5, rtol=0)
    ones = torch.ones(20, 1, 8, 8)
    kept = RandomPerspective(0.4, padding="border")(ones, generator_of())
    torch.testing.assert_close(kept, ones)
    with pytest.raises(ValueError, match=r"distortion is 0.5; give 0 to"):
        RandomPerspective(0.5)


def test_a_resized_crop_samples_a_box_inside_the_image():
    # The image holds its own coordinates, so that the result says where it came from.
    rows, columns = torch.meshgrid(
        torch.arange(20.0), torch.arange(30.0), indexing="ij"
    )
    x = torch.stack((columns, rows)).expand(200, -1, -1, -1)
    crop = RandomResizedCrop(size=(10, 12), scale=(0.2, 0.6), ratio=(0.8, 1.25))
    got = crop(x, generator_of())
    assert got.shape == (200, 2, 10, 12)
    across = got[:, 0, 0, 1:] - got[:, 0, 0, :-1]
    down = got[:, 1, 1:, 0] - got[:, 1, :-1, 0]
    # Straight lines but at the very edge, where half a pixel is repeated.
    torch.testing.assert_close(across[:, 2:-2], across[:, 5:6].expand(-1, 7))
    widths, heights = across[:, 5] * 12 / 30, down[:, 5] * 10 / 20
    area, ratio = widths * heights, widths / heights
    assert 0.2 <= float(area.min()) < 0.25
    assert 0.55 < float(area.max()) <= 0.6001
    assert 0.799 <= float(ratio.min()) < 0.85
    assert 1.2 < float(ratio.max()) <= 1.251
    assert float(got[:, 0].min()) >= 0
    assert float(got[:, 0].max()) <= 29


def test_a_resized_crop_of_everything_is_the_image():
    x = images_of()
    whole = RandomResizedCrop(scale=(1.0, 1.0), ratio=(1.0, 1.0))(x, generator_of())
    torch.testing.assert_close(whole, x, atol=1e-5, rtol=0)
    for options in ({"scale": (0.5, 1.5)}, {"scale": (0.0, 1.0)}, {"ratio": (2, 1)}):
        with pytest.raises(ValueError, match="RandomResizedCrop: "):
            RandomResizedCrop(**options)
