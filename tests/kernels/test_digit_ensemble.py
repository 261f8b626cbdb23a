"""The five-fold digit kernel: every fold is kept, and the folds answer together."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from running import run_python

from kernel_builder.cli import main

REPOSITORY = Path(__file__).resolve().parents[2]
KERNEL = REPOSITORY / "kernels" / "digit_ensemble"
OPTIONS = ["--n-fold", "3", "--epochs", "12"]


def run(folder, competition, *options):
    command = [KERNEL / "kernel.py", "--input", competition, *OPTIONS, *options]
    return run_python(command, folder)


@pytest.fixture(scope="module")
def unbuilt(competition, tmp_path_factory):
    """Outputs of the kernel run as a plain Python script."""
    folder = tmp_path_factory.mktemp("unbuilt")
    result = run(folder, competition)
    assert result.returncode == 0, result.stderr
    return folder, result


def test_every_fold_leaves_its_files_and_all_answer_together(unbuilt, competition):
    folder, result = unbuilt
    for fold in range(3):
        assert (folder / f"digits_fold{fold}.pt").is_file()
        assert (folder / f"history_fold{fold}.png").is_file()
        with (folder / f"log_fold{fold}.csv").open() as file:
            assert len(list(csv.DictReader(file))) == 12
    with (folder / "oof.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 300
    oof = np.load(folder / "oof.npy")
    targets = np.array([int(row["target"]) for row in rows])
    scores = json.loads((folder / "scores.json").read_text())
    assert scores["oof_accuracy"] == np.mean(oof.argmax(1) == targets)
    assert "over 3 folds" in result.stdout
    truth = json.loads((competition.parent / "truth.json").read_text())
    with (folder / "submission.csv").open() as file:
        labels = [int(row["Label"]) for row in csv.DictReader(file)]
    # Far above chance (0.1): 200 images of 8 x 8 pixels train each network.
    assert np.mean(np.array(labels) == truth) > 0.8


def test_only_the_missing_fold_is_trained_again(unbuilt, competition, tmp_path):
    folder, _ = unbuilt
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "digits_fold1.pt").unlink()
    (tmp_path / "submission.csv").unlink()
    result = run(tmp_path, competition)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert sum(line.startswith("epoch") for line in lines) == 12
    kept = [line for line in lines if line.endswith("(from its file)")]
    assert [line.split(":")[0] for line in kept] == ["fold 0", "fold 2"]
    assert len((tmp_path / "submission.csv").read_text().splitlines()) == 61


def test_the_built_file_alone_gives_the_same_submission(unbuilt, competition, tmp_path):
    out = tmp_path / "b"
    assert main(["build", str(KERNEL), "--out", str(out), "--form", "flat"]) == 0
    alone = tmp_path / "alone"
    (alone / "input").mkdir(parents=True)
    (alone / "input" / "digit-recognizer").symlink_to(competition)
    shutil.copy(out / "kernel.py", alone / "built.py")
    result = run_python(["-I", "built.py", *OPTIONS], alone)
    assert result.returncode == 0, result.stderr
    folder, _ = unbuilt
    for name in ("submission.csv", "scores.json", "oof.csv"):
        assert (alone / name).read_bytes() == (folder / name).read_bytes()
