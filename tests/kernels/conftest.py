"""The competition that the digit kernels share."""

import csv
import json

import numpy as np
import pytest
from sklearn.datasets import load_digits

from kaggle_kit.preprocess import write_pixel_csv


@pytest.fixture(scope="session")
def competition(tmp_path_factory):
    """300 training and 60 test rows of real digits, in Kaggle's CSV form."""
    folder = tmp_path_factory.mktemp("input") / "digit-recognizer"
    folder.mkdir()
    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    write_pixel_csv(folder / "train.csv", images[:300], digits.target[:300])
    write_pixel_csv(folder / "test.csv", images[300:360])
    with (folder / "sample_submission.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [("ImageId", "Label"), *((i, 0) for i in range(1, 61))]
        )
    (folder.parent / "truth.json").write_text(
        json.dumps(digits.target[300:360].tolist())
    )
    return folder
