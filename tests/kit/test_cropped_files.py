"""Files of pixels cropped in place, file by file."""

import re

import numpy as np
import pandas as pd
import pytest

from kaggle_kit import cropped_files
from kaggle_kit.cropped_files import (
    crop_in_place,
    iter_cropped_parquet,
    read_cropped_parquet,
)
from kaggle_kit.cropping import crop_resize
from kaggle_kit.ink_boxes import CropSettings

SIZE = (30, 41)


def sheets(n, seed=0):
    """White sheets with a dark spot each, the third blank."""
    draw = np.random.default_rng(seed)
    images = np.full((n, *SIZE), 255, np.uint8)
    for image in images:
        y, x = draw.integers(5, 20, 2)
        image[y : y + 4, x : x + 5] = draw.integers(0, 150, (4, 5))
    images[2:3] = 255
    return images


def write(path, images, first=0):
    flat = images.reshape(len(images), SIZE[0] * SIZE[1])
    frame = pd.DataFrame(flat, columns=[str(i) for i in range(flat.shape[1])])
    frame.insert(0, "image_id", [f"Test_{first + i}" for i in range(len(images))])
    frame.to_parquet(path, index=False)
    return path


@pytest.mark.parametrize("size", [1, 16, 35, 64])
@pytest.mark.parametrize("rows", [1, 7, 4096])
def test_crops_in_place_are_the_crops(tmp_path, monkeypatch, size, rows):
    monkeypatch.setattr(cropped_files, "_CROPPED_APART", rows)
    images = sheets(23)
    path = write(tmp_path / "a.parquet", images)
    limits = CropSettings(grow_x=3, pad=2)
    table = read_cropped_parquet(path, SIZE, size, limits, threads=2)
    expected = crop_resize(images, size, limits)
    np.testing.assert_array_equal(table.images, expected.images)
    assert table.ids.tolist() == [f"Test_{i}" for i in range(23)]
    for kind, found in expected.odd.items():
        np.testing.assert_array_equal(table.odd[kind], found)
    assert table.odd["blank"].tolist() == [2]


def test_images_in_pieces_are_not_cropped_in_place():
    with pytest.raises(ValueError, match="not in one piece"):
        crop_in_place(sheets(4)[::2], 16)


def test_a_file_without_images_has_no_crops(tmp_path):
    path = write(tmp_path / "a.parquet", sheets(0))
    table = read_cropped_parquet(path, SIZE, 16)
    assert table.images.shape == (0, 16, 16)
    assert len(table) == 0
    assert table.odd["blank"].shape == (0,)


def test_files_come_one_by_one_with_a_line_each(tmp_path):
    images = sheets(9)
    paths = [
        write(tmp_path / "a.parquet", images[:5]),
        write(tmp_path / "b.parquet", images[5:], first=5),
    ]
    lines = []
    tables = list(iter_cropped_parquet(paths, SIZE, 16, log=lines.append))
    found = np.concatenate([table.images for table in tables])
    np.testing.assert_array_equal(found, crop_resize(images, 16).images)
    assert [re.sub(r"\d+\.\d s", "T", line) for line in lines] == [
        "a.parquet: 5 images cropped in T, odd ones: 1 blank (file 1 of 2)",
        "b.parquet: 4 images cropped in T, odd ones: none (file 2 of 2)",
    ]


def test_no_files_and_an_id_in_two_files_are_refused(tmp_path):
    paths = [write(tmp_path / name, sheets(3)) for name in ("a.parquet", "b.parquet")]
    with pytest.raises(ValueError, match=r"the id 'Test_0' is in .*a.parquet too"):
        list(iter_cropped_parquet(paths, SIZE, log=lambda _: None))
    with pytest.raises(ValueError, match="no parquet files to read; give one or more"):
        next(iter_cropped_parquet([]))
