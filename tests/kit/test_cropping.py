"""Cropping, held to the public starter's arithmetic written out slowly."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaggle_kit.cropping import crop_resize
from kaggle_kit.ink_boxes import CropSettings

HEIGHT, WIDTH = 137, 236


def slow_crop(raw, size=128, limits=None):
    """One image as the starter does it, step by step; IndexError where it fails."""
    s = limits or CropSettings()
    height, width = raw.shape
    inverted = 255 - raw
    image = (inverted * (255.0 / inverted.max())).astype(np.uint8)
    window = image[s.border : height - s.border, s.border : width - s.border]
    ys = np.flatnonzero((window > s.threshold).any(axis=1))
    xs = np.flatnonzero((window > s.threshold).any(axis=0))
    top, bottom, left, right = ys[0], ys[-1], xs[0], xs[-1]
    left = left - s.grow_x if left > s.grow_x else 0
    top = top - s.grow_y if top > s.grow_y else 0
    right = right + s.grow_x if right < width - s.grow_x else width
    bottom = bottom + s.grow_y if bottom < height - s.grow_y else height
    cut = image[top:bottom, left:right].copy()
    cut[cut < s.noise] = 0
    side = max(cut.shape) + s.pad
    margins = [((side - length) // 2,) for length in cut.shape]
    return cv2.resize(np.pad(cut, margins, mode="constant"), (size, size))


def sheets(n, seed=0, height=HEIGHT, width=WIDTH):
    """Draw strokes of any darkness anywhere on noisy paper, some over the border."""
    draw = np.random.default_rng(seed)
    images = np.empty((n, height, width), np.uint8)
    for image in images:
        image[:] = draw.integers(200, 256)
        ends = draw.integers(-20, max(height, width) + 20, (4, 2, 2)).tolist()
        for a, b in ends[: draw.integers(1, 5)]:
            ink, thick = int(draw.integers(0, 190)), int(draw.integers(1, 8))
            cv2.line(image, a, b, ink, thick, cv2.LINE_AA)
        noise = draw.normal(0, draw.uniform(0, 6), image.shape)
        image[:] = np.clip(image + noise, 0, 255)
    return images


def inked(pixels):
    """A white sheet with one black pixel at each (y, x)."""
    sheet = np.full((1, HEIGHT, WIDTH), 255, np.uint8)
    for y, x in pixels:
        sheet[0, y, x] = 0
    return sheet


def test_every_pixel_is_the_starters():
    images = sheets(600)
    result = crop_resize(images)
    rows = np.setdiff1d(np.arange(600), result.odd["border only"])
    assert len(rows) > 500
    expected = np.stack([slow_crop(images[row]) for row in rows])
    np.testing.assert_array_equal(result.images[rows], expected)


def test_every_level_under_every_strongest_pixel_is_the_starters():
    draw = np.random.default_rng(3)
    images = np.stack(
        [draw.integers(lightest, 256, (40, 60)) for lightest in range(255)]
    ).astype(np.uint8)
    images[range(255), 20, 30] = range(255)
    limits = CropSettings(border=2, grow_x=3, grow_y=3, noise=9, pad=4)
    result = crop_resize(images, size=40, settings=limits)
    expected = np.stack([slow_crop(image, 40, limits) for image in images])
    np.testing.assert_array_equal(result.images, expected)


@settings(max_examples=60, deadline=None)
@given(
    y=st.integers(5, HEIGHT - 6),
    x=st.integers(5, WIDTH - 6),
    dy=st.integers(0, 40),
    dx=st.integers(0, 60),
)
def test_boxes_at_every_place_are_the_starters(y, x, dy, dx):
    sheet = inked([(y, x), (min(y + dy, HEIGHT - 6), min(x + dx, WIDTH - 6))])
    np.testing.assert_array_equal(crop_resize(sheet).images[0], slow_crop(sheet[0]))


@settings(max_examples=40, deadline=None)
@given(
    limits=st.builds(
        CropSettings,
        threshold=st.integers(0, 200),
        border=st.integers(0, 9),
        grow_x=st.integers(1, 30),
        grow_y=st.integers(1, 30),
        noise=st.integers(0, 255),
        pad=st.integers(0, 40),
    ),
    size=st.integers(1, 70),
    window=st.integers(1, 40),
    seed=st.integers(0, 10),
)
def test_settings_mean_what_they_mean_in_the_slow_version(limits, size, window, seed):
    images = sheets(4, seed, height=2 * limits.border + window, width=41)
    result = crop_resize(images, size, limits, threads=1)
    for row in set(range(4)) - set(result.odd["border only"].tolist()):
        expected = slow_crop(images[row], size, limits)
        np.testing.assert_array_equal(result.images[row], expected)


def test_the_result_does_not_depend_on_threads_blocks_or_memory_layout():
    images = sheets(300)
    expected = crop_resize(images, threads=1)
    reversed_twice = np.asfortranarray(images)
    for other in (
        crop_resize(images, threads=5),
        crop_resize(reversed_twice),
        crop_resize(images[::-1][::-1]),
    ):
        np.testing.assert_array_equal(other.images, expected.images)
    singly = [crop_resize(images[i : i + 1]).images[0] for i in (0, 255, 256, 299)]
    np.testing.assert_array_equal(expected.images[[0, 255, 256, 299]], singly)


def test_margins_are_unequal_as_documented():
    limits = CropSettings(pad=0)
    # One pixel, whose box of 26 x 20 is resized to its own longer side.
    crop = crop_resize(inked([(60, 100)]), 26, limits).images[0]
    y, x = np.argwhere(crop == 255)[0]
    assert (x, 26 - 1 - x) == (18, 7)
    assert (y - 3, 23 - 1 - y) == (15, 4)  # three rows of padding above and below


def test_images_the_starter_fails_on_are_defined_and_counted():
    draw = np.random.default_rng(0)
    blank = inked([])
    border_only = inked([(0, 9), (HEIGHT - 1, 50), (70, WIDTH - 2)])
    paper = draw.integers(240, 250, (1, HEIGHT, WIDTH)).astype(np.uint8)
    noise = draw.integers(0, 256, (1, HEIGHT, WIDTH)).astype(np.uint8)
    one = inked([(60, 100)])
    images = np.concatenate([sheets(1), blank, border_only, paper, one, noise, blank])
    result = crop_resize(images)
    assert {kind: rows.tolist() for kind, rows in result.odd.items()} == {
        "blank": [1, 6],
        "border only": [2],
        "faint": [3],
        "one pixel": [4],
        "edge to edge": [5],
    }
    assert result.describe_odd() == (
        "2 blank, 1 border only, 1 faint, 1 one pixel, 1 edge to edge"
    )
    assert not result.images[1].any()
    whole = np.pad(255 - border_only[0], ((57, 57), (8, 8)))
    side = max(HEIGHT, WIDTH) + 16
    assert whole.shape == (side - 1, side)  # halves are rounded down
    np.testing.assert_array_equal(result.images[2], cv2.resize(whole, (128, 128)))
    for row in (3, 4, 5):
        np.testing.assert_array_equal(result.images[row], slow_crop(images[row]))
    for row in (1, 2):
        with pytest.raises(IndexError), np.errstate(all="ignore"):
            slow_crop(images[row])


def test_ordinary_images_are_not_odd_and_no_images_are_fine():
    ordinary = inked([(60, 100), (61, 130)])
    assert crop_resize(ordinary).describe_odd() == "none"
    nothing = crop_resize(np.empty((0, HEIGHT, WIDTH), np.uint8), 32)
    assert nothing.images.shape == (0, 32, 32)
    assert nothing.describe_odd() == "none"


def test_the_images_given_are_left_as_they_were():
    images = sheets(5)
    before = images.copy()
    images.flags.writeable = False
    crop_resize(images)
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, HEIGHT, WIDTH), np.float32),
        np.zeros((HEIGHT, WIDTH), np.uint8),
        np.zeros((2, 10, WIDTH), np.uint8),
    ],
)
def test_other_images_are_refused(images):
    with pytest.raises(ValueError, match=r"give \(N, H, W\) uint8, at least 11 x 11"):
        crop_resize(images)


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match=r"pad=-1.*: levels are 0..255, lengths 0"):
        CropSettings(pad=-1)
    with pytest.raises(ValueError, match=r"levels are 0..255"):
        CropSettings(noise=256)
    with pytest.raises(ValueError, match="size is 0, threads is 0; give 1 and 0 or"):
        crop_resize(sheets(1), 0)


def test_crops_go_into_memory_that_is_given():
    images = np.full((3, 30, 40), 255, np.uint8)
    images[:, 10:20, 12:30] = 40
    out = np.empty((3, 16, 16), np.uint8)
    result = crop_resize(images, 16, out=out)
    assert result.images is out
    np.testing.assert_array_equal(out, crop_resize(images, 16).images)
    with pytest.raises(
        ValueError, match=r"out has shape \(2, 16, 16\), type uint8 and"
    ):
        crop_resize(images, 16, out=out[:2])
    scattered = np.empty((3, 16, 32), np.uint8)[:, :, ::2]
    with pytest.raises(ValueError, match=r"give \(3, 16, 16\) uint8 in one piece"):
        crop_resize(images, 16, out=scattered)
