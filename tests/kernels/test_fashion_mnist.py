"""The Fashion-MNIST kernel: scored once, at the end, un-built and built alike."""

import csv
import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from running import run_python
from sklearn.datasets import load_digits

from kernel_builder.cli import main

REPOSITORY = Path(__file__).resolve().parents[2]
KERNEL = REPOSITORY / "kernels" / "fashion_mnist"
DATASET = "datasets/zalando-research/fashionmnist"


def write_idx(path, array):
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes())


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """600 training and 100 test images of real digits, in the data set's form."""
    root = tmp_path_factory.mktemp("input")
    folder = root / DATASET
    folder.mkdir(parents=True)
    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    labels = digits.target.astype(np.uint8)
    for part, rows in (("train", slice(600)), ("t10k", slice(600, 700))):
        write_idx(folder / f"{part}-images-idx3-ubyte", images[rows])
        write_idx(folder / f"{part}-labels-idx1-ubyte", labels[rows])
    return root


@pytest.fixture(scope="module")
def unbuilt(inputs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbuilt")
    result = run_python([KERNEL / "kernel.py"], folder, KAGGLE_KIT_INPUT=str(inputs))
    assert result.returncode == 0, result.stderr
    return folder, result


def test_every_epoch_is_logged_and_the_last_one_is_scored(unbuilt):
    folder, result = unbuilt
    with (folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4", "5"]
    # Nothing but the training rows is looked at before the end.
    assert set(rows[0]) == {"epoch", "train_loss", "train_accuracy", "seconds", "lr"}
    scores = json.loads((folder / "scores.json").read_text())
    assert set(scores) == {"test_accuracy", "test_loss", "test_accuracy_flip_tta"}
    assert f"test: accuracy {scores['test_accuracy']:.4f}" in result.stdout
    assert {path.name for path in folder.glob("*.png")} == {
        *("batch.png", "history.png", "confusion.png", "top_losses.png")
    }


def test_a_finished_run_is_not_trained_again(unbuilt, inputs, tmp_path):
    folder = shutil.copytree(unbuilt[0], tmp_path / "copy")
    (folder / "scores.json").unlink()
    here = {"KAGGLE_KIT_INPUT": str(inputs)}
    again = run_python([KERNEL / "kernel.py"], folder, **here)
    assert again.returncode == 0, again.stderr
    assert "after epoch 5/5" in again.stdout
    assert "epoch 5/5 " not in again.stdout
    for name in ("scores.json", "history.csv"):
        assert (folder / name).read_bytes() == (unbuilt[0] / name).read_bytes()
    other = run_python([KERNEL / "kernel.py", "--lr", "0.02"], folder, **here)
    assert other.returncode == 1
    assert "lr is 0.01 in the file, 0.02 now" in other.stderr


def test_settings_are_chosen_without_the_test_files(inputs, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for path in (inputs / DATASET).glob("train-*"):
        shutil.copy(path, data)
    options = ["--input", data, "--valid-rows", "100", "--epochs", "6"]
    options += ["--batch-size", "32", "--output", "out"]
    result = run_python([KERNEL / "kernel.py", *options], tmp_path)
    assert result.returncode == 0, result.stderr
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    # Far above chance (0.1), although digits are no garments and are mirrored.
    assert scores["validation_accuracy"] > 0.7
    missing = run_python([KERNEL / "kernel.py", "--input", data], tmp_path)
    assert missing.returncode == 1
    assert "holds neither t10k-images-idx3-ubyte nor t10k-images" in missing.stderr


def test_mixed_images_are_trained_on_down_to_the_last_rate(inputs, tmp_path):
    here = {"KAGGLE_KIT_INPUT": str(inputs)}
    options = ["--cutmix", "0.5", "--last-lr", "0.003", "--output", "out"]
    options += ["--muon", "False"]
    result = run_python([KERNEL / "kernel.py", *options], tmp_path, **here)
    assert result.returncode == 0, result.stderr
    with (tmp_path / "out" / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    # A mixed image has two answers: no accuracy while training.
    assert set(rows[0]) == {"epoch", "train_loss", "seconds", "lr"}
    assert float(rows[-1]["lr"]) == pytest.approx(0.003)
    refused = run_python([KERNEL / "kernel.py", "--last-lr", "0"], tmp_path, **here)
    assert refused.returncode == 1
    assert "lr is 0.01, last_lr is 0.0; give rates above 0" in refused.stderr
    none = run_python([KERNEL / "kernel.py", "--valid-rows", "99999"], tmp_path, **here)
    assert none.returncode == 1
    assert "valid_rows is 99999; give 0 to " in none.stderr


def test_the_built_file_alone_gives_the_same_scores(unbuilt, inputs, tmp_path):
    out = tmp_path / "b"
    assert main(["build", str(KERNEL), "--out", str(out), "--form", "flat"]) == 0
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(out / "kernel.py", alone / "built.py")
    result = run_python(["-I", "built.py"], alone, KAGGLE_KIT_INPUT=str(inputs))
    assert result.returncode == 0, result.stderr
    folder, _ = unbuilt
    assert (alone / "scores.json").read_bytes() == (folder / "scores.json").read_bytes()


def test_the_rehearsal_mounts_the_data_set(unbuilt, inputs, tmp_path, capsys):
    command = ["rehearse", str(KERNEL), "--input", str(inputs), "--layout", "old"]
    assert main([*command, "--out", str(tmp_path)]) == 0, capsys.readouterr().out
    assert "REHEARSAL PASSED" in capsys.readouterr().out
    (outputs,) = tmp_path.glob("rehearsals/*/001/output")
    folder, _ = unbuilt
    scores = (folder / "scores.json").read_bytes()
    assert (outputs / "scores.json").read_bytes() == scores
