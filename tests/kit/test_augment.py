"""Per-image batch augmentation: slow oracles, exact cases, statistics of the draws."""

import math

import numpy as np
import pytest
import torch

from kaggle_kit.augment import (
    BrightnessContrast,
    Compose,
    HorizontalFlip,
    RandomAffine,
    RandomCrop,
    affine_matrix,
    warp_affine,
)
from kaggle_kit.warps import RandomPerspective


def generator_of(seed=0):
    return torch.Generator().manual_seed(seed)


def images_of(n=6, channels=1, height=9, width=11, seed=0):
    return torch.rand(n, channels, height, width, generator=generator_of(seed))


def map_of(n=1, angle=0.0, zoom_x=1.0, zoom_y=1.0, shear=0.0, dx=0.0, dy=0.0):
    numbers = (angle, zoom_x, zoom_y, shear, dx, dy)
    return affine_matrix(*(torch.full((n,), float(number)) for number in numbers))


def slow_warp(image, matrix):
    """Bilinear sampling of one (H, W) image, pixel by pixel, black outside."""
    height, width = image.shape
    out = np.zeros_like(image)
    for row in range(height):
        for column in range(width):
            u, v = column - (width - 1) / 2, row - (height - 1) / 2
            x = matrix[0, 0] * u + matrix[0, 1] * v + matrix[0, 2] + (width - 1) / 2
            y = matrix[1, 0] * u + matrix[1, 1] * v + matrix[1, 2] + (height - 1) / 2
            left, top = math.floor(x), math.floor(y)
            for j, i in ((0, 0), (0, 1), (1, 0), (1, 1)):
                if 0 <= top + j < height and 0 <= left + i < width:
                    weight = (1 - abs(y - top - j)) * (1 - abs(x - left - i))
                    out[row, column] += weight * image[top + j, left + i]
    return out


def test_one_warp_agrees_with_sampling_pixel_by_pixel():
    x = images_of(n=5, channels=2)
    augment = RandomAffine(rotate=30, translate=0.2, zoom=0.3, stretch=0.2, shear=15)
    matrices = augment.draw(x, generator_of(4)).double().numpy()
    got = augment(x, generator_of(4))
    for image, matrix, warped in zip(x, matrices, got, strict=True):
        for channel in range(2):
            expected = slow_warp(image[channel].double().numpy(), matrix)
            np.testing.assert_allclose(warped[channel].numpy(), expected, atol=1e-4)


def test_identity_and_whole_pixel_shifts_are_exact():
    x = images_of()
    torch.testing.assert_close(warp_affine(x, map_of(6)), x, atol=1e-5, rtol=0)
    moved = warp_affine(x, map_of(6, dx=2, dy=-1))
    torch.testing.assert_close(moved[..., :-1, 2:], x[..., 1:, :-2], atol=1e-5, rtol=0)
    assert float(moved[..., :, :2].abs().max()) < 1e-5
    assert float(moved[..., -1, :].abs().max()) < 1e-5


def test_a_quarter_turn_is_counter_clockwise():
    x = images_of(height=9, width=9)
    turned = warp_affine(x, map_of(6, angle=90))
    torch.testing.assert_close(turned, torch.rot90(x, 1, (2, 3)), atol=1e-4, rtol=0)


def test_zoom_above_one_enlarges_and_shear_leans_the_top_to_the_right():
    dot = torch.zeros(1, 1, 21, 21)
    dot[..., 10, 14] = 1.0
    larger = warp_affine(dot, map_of(zoom_x=2, zoom_y=2))
    assert divmod(int(larger.argmax()), 21) == (10, 18)
    top = torch.zeros(1, 1, 21, 21)
    top[..., 4, 10] = 1.0
    leaned = warp_affine(top, map_of(shear=45))
    assert divmod(int(leaned.argmax()), 21) == (4, 16)


def test_the_fill_and_the_padding_reach_what_lies_outside():
    x = torch.full((2, 1, 8, 8), 0.75)
    shifted = warp_affine(x, map_of(2, dx=4), fill=1.0)
    torch.testing.assert_close(shifted[..., :4], torch.ones(2, 1, 8, 4))
    torch.testing.assert_close(shifted[..., 4:], x[..., 4:])
    for padding in ("border", "reflect"):
        torch.testing.assert_close(warp_affine(x, map_of(2, dx=4), 1.0, padding), x)
    with pytest.raises(ValueError, match="padding is 'wrap'; choose one of constant"):
        warp_affine(x, map_of(2), padding="wrap")


def test_every_image_has_its_own_draw_within_the_limits():
    x = images_of(n=400)
    matrices = RandomAffine(rotate=10, translate=0.1).draw(x, generator_of())
    angles = torch.rad2deg(torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    assert len(angles.unique()) > 390
    assert 9 < float(angles.abs().max()) <= 10
    shifts = torch.linalg.solve(matrices[:, :, :2], -matrices[:, :, 2])
    limit = torch.tensor([1.1, 0.9])
    assert bool((shifts.abs() <= limit + 1e-4).all())
    assert bool((shifts.abs().amax(0) > 0.9 * limit).all())
    assert bool((shifts.mean(0).abs() < 0.1).all())


def test_p_leaves_the_other_images_alone():
    x = images_of(n=200)
    warped = RandomAffine(rotate=40, p=0.3)(x, generator_of())
    changed = ((warped - x).abs().amax((1, 2, 3)) > 1e-3).float().mean()
    assert 0.2 < float(changed) < 0.4


def test_the_same_generator_state_gives_the_same_batch_and_keeps_the_input():
    x = images_of()
    before = x.clone()
    augment = Compose(RandomAffine(rotate=10), RandomAffine(translate=0.2))
    assert torch.equal(augment(x, generator_of(1)), augment(x, generator_of(1)))
    assert not torch.equal(augment(x, generator_of(1)), augment(x, generator_of(2)))
    assert torch.equal(x, before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"zoom": 1.0}, "zoom is 1.0; give a fraction from 0 to below 1"),
        ({"stretch": -0.1}, "stretch is -0.1"),
        ({"shear": 90}, "shear is 90 degrees"),
    ],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        RandomAffine(**options)


@pytest.mark.parametrize(
    "make", [RandomAffine, HorizontalFlip, BrightnessContrast, RandomPerspective]
)
def test_a_probability_lies_in_0_to_1(make):
    with pytest.raises(ValueError, match=f"^{make.__name__}: p is -0.5; give a prob"):
        make(p=-0.5)


@pytest.mark.parametrize("padding", ["constant", "border", "reflect"])
def test_a_padded_crop_is_one_of_all_the_crops_there_are(padding):
    x = images_of(n=60, channels=2, height=5, width=6)
    cropped = RandomCrop(pad=2, fill=0.5, padding=padding)(x, generator_of())
    mode = {"constant": "constant", "border": "edge", "reflect": "reflect"}[padding]
    options = {"constant_values": 0.5} if padding == "constant" else {}
    seen = set()
    for image, got in zip(x.numpy(), cropped.numpy(), strict=True):
        padded = np.pad(image, ((0, 0), (2, 2), (2, 2)), mode=mode, **options)
        places = [
            (row, column)
            for row in range(5)
            for column in range(5)
            if np.array_equal(padded[:, row : row + 5, column : column + 6], got)
        ]
        assert len(places) == 1
        seen.update(places)
    assert len(seen) > 15


def test_a_crop_without_padding_changes_nothing_and_bad_ones_are_refused():
    x = images_of()
    assert torch.equal(RandomCrop(pad=0)(x, generator_of()), x)
    with pytest.raises(ValueError, match="pad is -1; give 0 or more pixels"):
        RandomCrop(pad=-1)
    with pytest.raises(ValueError, match="padding is 'zeros'; choose one of constant"):
        RandomCrop(padding="zeros")


def test_each_image_is_flipped_or_left_alone():
    x = images_of(n=300, height=3, width=4)
    flipped = HorizontalFlip(p=0.25)(x, generator_of())
    mirrored = [torch.equal(a, b.flip(2)) for a, b in zip(flipped, x, strict=True)]
    same = [torch.equal(a, b) for a, b in zip(flipped, x, strict=True)]
    assert all(one != other for one, other in zip(mirrored, same, strict=True))
    assert 50 < sum(mirrored) < 100
    assert torch.equal(HorizontalFlip(p=1)(x, generator_of()), x.flip(3))


def test_brightness_and_contrast_follow_their_formula_and_stay_in_range():
    x = images_of(n=200)
    brighter = BrightnessContrast(brightness=0.1, contrast=0)(
        x * 0.5 + 0.2, generator_of()
    )
    moved = (brighter - x * 0.5 - 0.2).flatten(1)
    assert float(moved.std(dim=1).max()) < 1e-6
    assert 0.09 < float(moved[:, 0].abs().max()) <= 0.1001
    middle = x * 0.5 + 0.25
    contrasted = BrightnessContrast(brightness=0, contrast=0.3)(middle, generator_of())
    torch.testing.assert_close(contrasted.mean((1, 2, 3)), middle.mean((1, 2, 3)))
    factor = contrasted.flatten(1).std(1) / middle.flatten(1).std(1)
    assert 0.69 < float(factor.min()) < 0.75
    assert 1.25 < float(factor.max()) < 1.31
    wild = BrightnessContrast(0.9, 0.9, p=0.5)(x, generator_of())
    assert 0 <= float(wild.min()) <= float(wild.max()) <= 1
    same = sum(torch.equal(a, b) for a, b in zip(wild, x, strict=True))
    assert 70 < same < 130
