"""The MNIST competition, made from small idx files."""

import gzip
import importlib.util
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kaggle_kit.preprocess import read_pixel_csv

TOOL = Path(__file__).resolve().parents[2] / "benchmarks" / "make_digit_recognizer.py"
FILES = [
    "digit-recognizer/sample_submission.csv",
    "digit-recognizer/test.csv",
    "digit-recognizer/train.csv",
    "held_out/digit-recognizer/test_labels.csv",
]


def write_idx(path, array, pack=gzip.compress):
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(pack(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()))


@pytest.fixture
def idx(tmp_path):
    """60 + 10 images whose first two pixels tell which they are; labels likewise."""
    folder = tmp_path / "idx"
    folder.mkdir()
    images = np.zeros((70, 3, 3), np.uint8)
    images[:, 0, 0] = np.arange(70)
    images[:, 0, 1] = np.arange(70) % 10
    labels = (np.arange(70) % 10).astype(np.uint8)
    write_idx(folder / "train-images-idx3-ubyte.gz", images[:60])
    write_idx(folder / "train-labels-idx1-ubyte", labels[:60], bytes)
    write_idx(folder / "t10k-images-idx3-ubyte", images[60:], bytes)
    write_idx(folder / "t10k-labels-idx1-ubyte.gz", labels[60:])
    return folder


@pytest.fixture
def tool(monkeypatch):
    spec = importlib.util.spec_from_file_location("make_digit_recognizer", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "TRAIN_ROWS", 42)
    return module


def files_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_every_image_goes_to_one_side_with_its_label(tool, idx, tmp_path):
    folder, held_out = tool.make_competition(idx, tmp_path / "out", seed=0)
    train = read_pixel_csv(folder / "train.csv", label="label")
    test = read_pixel_csv(folder / "test.csv")
    answers = pd.read_csv(held_out)
    assert (train.images.shape, test.images.shape) == ((42, 3, 3), (28, 3, 3))
    which = [*train.images[:, 0, 0], *test.images[:, 0, 0]]
    assert sorted(which) == list(range(70))
    assert which != list(range(70))
    assert train.labels.tolist() == train.images[:, 0, 1].tolist()
    assert answers["Label"].tolist() == test.images[:, 0, 1].tolist()
    assert answers["ImageId"].tolist() == list(range(1, 29))


def test_the_files_have_kaggles_form_and_the_labels_lie_apart(tool, idx, tmp_path):
    tool.make_competition(idx, tmp_path / "out", seed=0)
    files = files_of(tmp_path / "out")
    assert sorted(files) == FILES
    names = ",".join(f"pixel{i}" for i in range(9)).encode()
    assert files[FILES[2]].startswith(b"label," + names + b"\r\n")
    assert files[FILES[1]].startswith(names + b"\r\n")
    assert files[FILES[0]].startswith(b"ImageId,Label\r\n1,0\r\n2,0\r\n")
    assert files[FILES[0]].endswith(b"\r\n28,0\r\n")
    assert files[FILES[3]].startswith(b"ImageId,Label\r\n1,")


def test_the_seed_alone_decides_the_split(tool, idx, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        tool.make_competition(idx, tmp_path / name, seed)
    first, again, other = (files_of(tmp_path / name) for name in "abc")
    assert first == again
    assert first["digit-recognizer/test.csv"] != other["digit-recognizer/test.csv"]


def test_images_without_labels_are_refused(tool, idx, tmp_path):
    write_idx(idx / "t10k-labels-idx1-ubyte.gz", np.zeros(9, np.uint8))
    with pytest.raises(
        ValueError, match=r"t10k has images of shape \(10, 3, 3\) and l"
    ):
        tool.make_competition(idx, tmp_path / "out", seed=0)
    assert not (tmp_path / "out").exists()


def test_the_command_line_names_what_is_missing(idx, tmp_path):
    (idx / "t10k-labels-idx1-ubyte.gz").unlink()
    command = [sys.executable, TOOL, "--idx", idx, "--out", tmp_path / "out"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr.startswith("error: ")
    assert "holds neither t10k-labels-idx1-ubyte nor t10k-labels-i" in run.stderr


def test_too_few_images_are_refused(idx, tmp_path):
    command = [sys.executable, TOOL, "--idx", idx, "--out", tmp_path / "out"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "70 images, more than 42000 needed" in run.stderr
