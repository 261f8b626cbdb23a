"""Random erasing and copying: what changes, what stays, what the noise is like."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from kaggle_kit.erasing import (
    RandomCopy,
    RandomErase,
    _erasing_latent,
    _erasing_moments,
    clamped_noise,
)


def generator_of(seed=0):
    return torch.Generator().manual_seed(seed)


def distinct_images(n=40, channels=1, height=16, width=20):
    """Images in which no value occurs twice, so that every pixel can be traced."""
    count = channels * height * width
    one = torch.arange(count).view(1, channels, height, width) / count
    return one.repeat(n, 1, 1, 1)


def digits_like(n=50):
    """Mostly black images with bright strokes: far from normally distributed."""
    x = torch.rand(n, 1, 28, 28, generator=generator_of(1))
    return torch.where(x > 0.8, x, torch.zeros(()))


@pytest.mark.parametrize("make", [RandomErase, RandomCopy])
def test_a_patch_is_a_rectangle_of_the_wanted_area_in_each_chosen_image(make):
    x = distinct_images(n=300)
    change = make(p=0.5, area=(0.1, 0.2), ratio=(0.5, 2.0))
    changed = change(x, generator_of()) != x
    changed_images = changed.flatten(1).any(1)
    assert 120 < int(changed_images.sum()) < 180
    places = set()
    for mask in changed[changed_images][:, 0]:
        rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
        height = int(rows[-1] - rows[0]) + 1
        width = int(columns[-1] - columns[0]) + 1
        # A pixel may by chance get its own value; the box is full up to that.
        assert int(mask.sum()) >= 0.8 * height * width
        assert 0.08 <= height * width / 320 <= 0.23
        assert 0.4 <= width / height <= 2.5
        places.add((int(rows[0]), int(columns[0])))
    assert len(places) > 60


def test_several_patches_are_drawn_one_to_the_largest_count():
    x = distinct_images(n=400, height=40, width=40)
    erase = RandomErase(p=1.0, area=(0.01, 0.01), ratio=(1.0, 1.0), max_count=3)
    erased = (erase(x, generator_of()) != x).flatten(1).sum(1) / 16
    counts = torch.bincount(erased.round().long(), minlength=4)
    assert counts[0] == 0
    assert all(90 < int(count) < 180 for count in counts[1:4])


@pytest.mark.parametrize("make_images", [digits_like, distinct_images])
def test_the_noise_keeps_mean_deviation_and_range_of_each_image(make_images):
    x = make_images() * 0.8 + 0.1
    noise = torch.cat(
        [clamped_noise(x, generator_of(seed)) for seed in range(20)], dim=3
    )
    low, high = x.amin((1, 2, 3)), x.amax((1, 2, 3))
    assert bool((noise.amin((1, 2, 3)) >= low).all())
    assert bool((noise.amax((1, 2, 3)) <= high).all())
    mean, std = x.mean((1, 2, 3)), x.std((1, 2, 3))
    assert float((noise.mean((1, 2, 3)) - mean).abs().max()) < 0.012
    assert float((noise.std((1, 2, 3)) - std).abs().max()) < 0.012


def test_a_blank_image_gives_blank_noise():
    x = torch.full((2, 1, 6, 6), 0.5)
    assert torch.equal(clamped_noise(x, generator_of()), x)


def numerical_moments(loc, scale, low=0.0, high=1.0):
    z = np.linspace(-9, 9, 200_001)
    values = np.clip(loc + scale * z, low, high)
    weights = stats.norm.pdf(z) / stats.norm.pdf(z).sum()
    return np.array([(values * weights).sum(), (values**2 * weights).sum()])


def test_the_moments_of_clamped_noise_agree_with_numerical_integration():
    loc, scale, step = -0.4, 0.9, 1e-4
    numbers = (loc, scale, 0.0, 1.0)
    moments, slopes = _erasing_moments(
        *(torch.tensor([n], dtype=torch.float64) for n in numbers)
    )
    np.testing.assert_allclose(torch.cat(moments), numerical_moments(loc, scale), 1e-6)
    by_loc = numerical_moments(loc + step, scale) - numerical_moments(loc - step, scale)
    by_scale = numerical_moments(loc, scale + step)
    by_scale -= numerical_moments(loc, scale - step)
    expected = np.stack((by_loc, by_scale), axis=1) / (2 * step)
    got = torch.stack([torch.cat(row) for row in slopes])
    np.testing.assert_allclose(got, expected, rtol=1e-4)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 255), min_size=60, max_size=60).filter(
        lambda pixels: len(set(pixels)) > 5
    )
)
def test_any_image_finds_its_clamped_distribution(pixels):
    x = torch.tensor(pixels, dtype=torch.float32)[None] / 255
    low, high, mean = x.amin(1), x.amax(1), x.mean(1)
    std = x.std(1, correction=0)
    loc, scale = _erasing_latent(mean, std, low, high)
    (got_mean, got_square), _ = _erasing_moments(loc, scale, low, high)
    assert float((got_mean - mean).abs()) < 0.03
    assert float(((got_square - got_mean**2).clamp(min=0).sqrt() - std).abs()) < 0.03


def test_a_copied_patch_is_a_rectangle_of_the_same_image():
    x = distinct_images(n=60, channels=2)
    copied = RandomCopy(p=1.0, area=(0.05, 0.2))(x, generator_of())
    flat = (copied * x[0].numel()).round().long()
    own = (x * x[0].numel()).round().long()
    offset = flat - own
    moved = [offset[i][offset[i] != 0].unique() for i in range(60)]
    # All changed pixels of an image, in both channels, come from one shift.
    assert all(len(shifts) <= 1 for shifts in moved)
    assert len({int(shifts[0]) for shifts in moved if len(shifts)}) > 30
    assert torch.equal(flat[:, 0], flat[:, 1] - 16 * 20)


@pytest.mark.parametrize("make", [RandomErase, RandomCopy])
def test_the_generator_decides_and_the_input_stays(make):
    x = distinct_images()
    before = x.clone()
    change = make(p=0.7, max_count=2)
    assert torch.equal(change(x, generator_of(3)), change(x, generator_of(3)))
    assert not torch.equal(change(x, generator_of(3)), change(x, generator_of(4)))
    assert torch.equal(make(p=0.0)(x, generator_of()), x)
    assert torch.equal(x, before)


@pytest.mark.parametrize("make", [RandomErase, RandomCopy])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"area": (0.0, 0.2)}, r"area is \(0.0, 0.2\); give \(low, high\) shares"),
        ({"ratio": (2.0, 1.0)}, r"ratio is \(2.0, 1.0\)"),
        ({"max_count": 0}, "max_count is 0; give 1 or more"),
        ({"p": 1.5}, r"p is 1.5; give a probability in 0..1"),
    ],
)
def test_impossible_settings_are_refused(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)
