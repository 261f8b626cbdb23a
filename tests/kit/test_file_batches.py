"""Batches of images that stay on the disk: the same as those of resident ones."""

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from kaggle_kit.batches import DeviceBatches
from kaggle_kit.file_batches import FileBatches
from kaggle_kit.image_files import ImageFileError, list_image_files, read_image_files
from kaggle_kit.image_folders import write_image_folder

OPTIONS = {"batch_size": 4, "device": "cpu", "mean": 0.5, "std": 0.25}


@pytest.fixture
def files(tmp_path):
    """Eleven coloured PNG files of 6 x 8 pixels with two labels each."""
    images = np.random.default_rng(0).integers(0, 256, (11, 6, 8, 3), np.uint8)
    names = [f"im_{i}" for i in range(11)]
    folder = write_image_folder(tmp_path / "png", [(names, images)])
    table = pd.DataFrame({"id": names, "root": np.arange(11) * 2})
    table = table.assign(vowel=np.arange(11) % 3)
    return list_image_files(table, folder, "id", ["root", "vowel"], ".png")


@pytest.mark.parametrize("colour", ["grey", "rgb"])
def test_batches_from_files_equal_those_of_resident_images(files, colour):
    def noisy(x, generator):
        return x + torch.rand(x.shape, generator=generator)

    options = {**OPTIONS, "shuffle": True, "augment": noisy, "seed": 5}
    lazy = FileBatches(files, colour=colour, threads=2, **options)
    resident = DeviceBatches(read_image_files(files, colour), files.labels, **options)
    assert len(lazy) == len(resident) == 3
    for _ in range(2):
        for one, other in zip(lazy, resident, strict=True):
            assert torch.equal(one[0], other[0])
            assert torch.equal(one[1], other[1])


def test_a_resized_batch_and_a_pass_that_ends_early(files):
    batches = FileBatches(files, size=(12, 10), drop_last=True, **OPTIONS)
    shapes = [tuple(x.shape) for x, _ in batches]
    assert shapes == [(4, 1, 12, 10)] * 2
    first, labels = next(iter(batches))
    assert torch.equal(first, next(iter(batches))[0])
    assert torch.equal(labels, torch.from_numpy(files.labels[:4]))


def test_unusable_files_are_named_before_training(files):
    files.paths[2].unlink()
    files.paths[5].write_bytes(b"")
    with pytest.raises(ImageFileError, match="2 of 11 image files cannot") as error:
        FileBatches(files, **OPTIONS)
    assert list(error.value.problems) == [files.paths[2], files.paths[5]]


def test_a_file_that_breaks_later_ends_the_training_with_its_name(files):
    batches = FileBatches(files, **OPTIONS)
    unchecked = FileBatches(files, check=False, **OPTIONS)
    cv2.imwrite(str(files.paths[9]), np.zeros((3, 8), np.uint8))
    for each in (batches, unchecked):
        with pytest.raises(ImageFileError, match=r"im_9.png: is 3 x 8, others are 6 x"):
            list(each)
