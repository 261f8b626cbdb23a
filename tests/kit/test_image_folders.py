"""Folders of preprocessed images: every pixel, whole or not at all."""

import numpy as np
import pandas as pd
import pytest

from kaggle_kit.image_files import list_image_files, read_image_files
from kaggle_kit.image_folders import write_image_folder


def some_images(n, shape=(5, 7), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), np.uint8)


@pytest.mark.parametrize(("colour", "shape"), [("grey", (5, 7)), ("rgb", (5, 7, 3))])
def test_what_is_written_is_read_again(tmp_path, colour, shape):
    images = some_images(9, shape)
    names = [f"Train_{i}" for i in range(9)]
    lines = []
    parts = [(names[:4], images[:4]), (names[4:], images[4:])]
    folder = write_image_folder(tmp_path / "a" / "png", parts, log=lines.append)
    assert lines == [f"9 images in {folder}"]
    table = pd.DataFrame({"name": names[::-1]})
    files = list_image_files(table, folder, "name", suffix=".png")
    np.testing.assert_array_equal(read_image_files(files, colour), images[::-1])


def test_a_broken_off_folder_leaves_nothing(tmp_path):
    def parts():
        yield ["a", "b"], some_images(2)
        raise RuntimeError("the disk is on fire")

    with pytest.raises(RuntimeError, match="on fire"):
        write_image_folder(tmp_path / "png", parts())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_replaced_only_by_force_and_only_by_a_whole_one(tmp_path):
    folder = write_image_folder(tmp_path / "png", [(["a"], some_images(1))])
    with pytest.raises(FileExistsError, match="png exists; delete it, or replace"):
        write_image_folder(folder, [(["b"], some_images(1))])
    with pytest.raises(ValueError, match="'c' is there twice"):
        write_image_folder(folder, [(["c", "c"], some_images(2))], force=True)
    assert [path.name for path in folder.iterdir()] == ["a.png"]
    write_image_folder(folder, [(["b"], some_images(1))], force=True)
    assert [path.name for path in folder.iterdir()] == ["b.png"]
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(
    ("names", "suffix", "message"),
    [
        (["a"], ".png", "1 names for 2 images"),
        (["a", "../b"], ".png", r"'../b' is no file name"),
        (["a", ""], ".png", "'' is no file name"),
        (["a", "b"], ".xyz", r"cannot write '.xyz' files"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, names, suffix, message):
    with pytest.raises(ValueError, match=message):
        write_image_folder(tmp_path / "png", [(names, some_images(2))], suffix)
    assert list(tmp_path.iterdir()) == []
