"""The digit kernel, un-built and built: one answer, wherever it runs."""

import csv
import json
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from running import run_python

from kernel_builder.cli import main

REPOSITORY = Path(__file__).resolve().parents[2]
KERNEL = REPOSITORY / "kernels" / "digit_recognizer"
PLOTS = {
    *("class_histogram.png", "samples.png", "batch.png", "history.png"),
    *("confusion.png", "top_losses.png"),
}


@pytest.fixture(scope="module")
def unbuilt(competition, tmp_path_factory):
    """Outputs and result of the kernel run as a plain Python script."""
    folder = tmp_path_factory.mktemp("unbuilt")
    options = ["--input", str(competition), "--output", "here", "-f", "kernel.json"]
    result = run_python([KERNEL / "kernel.py", *options], folder)
    assert result.returncode == 0, result.stderr
    return folder / "here", result


def test_the_script_trains_and_leaves_everything_in_its_output_folder(
    unbuilt, competition
):
    folder, result = unbuilt
    assert {path.name for path in folder.glob("*.png")} == PLOTS
    epochs = [line for line in result.stdout.splitlines() if line.startswith("epoch")]
    assert len(epochs) == 30
    truth = json.loads((competition.parent / "truth.json").read_text())
    with (folder / "submission.csv").open() as file:
        labels = [int(row["Label"]) for row in csv.DictReader(file)]
    # Far above chance (0.1): the kernel learns even from 270 images of 8 x 8 pixels.
    assert np.mean(np.array(labels) == truth) > 0.8
    scores = json.loads((folder / "scores.json").read_text())
    assert scores["valid_accuracy"] > 0.8


def test_a_second_run_reuses_the_checkpoint_and_another_seed_refuses_it(
    unbuilt, competition
):
    folder, _ = unbuilt
    before = (folder / "submission.csv").read_bytes()
    command = [KERNEL / "kernel.py", "--input", str(competition)]
    command += ["--output", str(folder)]
    again = run_python(command, folder)
    assert again.returncode == 0, again.stderr
    assert "(30 epochs), not trained again" in again.stdout
    assert (folder / "submission.csv").read_bytes() == before
    other = run_python([*command, "--seed", "7"], folder)
    assert other.returncode == 1
    assert "seed is 42 in the file, 7 now" in other.stderr
    none = run_python([*command, "--fold", "10"], folder)
    assert none.returncode == 1
    assert "no row is in fold 10; give 0 to 9" in none.stderr


def test_the_built_file_alone_gives_the_same_submission(unbuilt, competition, tmp_path):
    assert (
        main(["build", str(KERNEL), "--out", str(tmp_path / "b"), "--form", "flat"])
        == 0
    )
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(tmp_path / "b" / "kernel.py", alone / "built.py")
    (alone / "input").mkdir()
    (alone / "input" / "digit-recognizer").symlink_to(competition)
    result = run_python(["-I", "built.py"], alone)
    assert result.returncode == 0, result.stderr
    folder, _ = unbuilt
    same = ("submission.csv", "scores.json")
    for name in same:
        assert (alone / name).read_bytes() == (folder / name).read_bytes()
    assert {path.name for path in alone.glob("*.png")} == PLOTS


def test_the_rehearsal_gives_the_same_submission(
    unbuilt, competition, tmp_path, capsys
):
    command = ["rehearse", str(KERNEL), "--input", str(competition)]
    assert main([*command, "--out", str(tmp_path)]) == 0
    assert "REHEARSAL PASSED" in capsys.readouterr().out
    (outputs,) = tmp_path.glob("rehearsals/*/001/output")
    folder, _ = unbuilt
    assert (outputs / "submission.csv").read_bytes() == (
        folder / "submission.csv"
    ).read_bytes()


def test_the_notebook_gives_the_same_submission_and_shows_its_figures(
    unbuilt, competition, tmp_path
):
    out = tmp_path / "b"
    assert main(["build", str(KERNEL), "--out", str(out), "--type", "notebook"]) == 0
    (path,) = out.glob("*.ipynb")
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    alone = tmp_path / "alone"
    (alone / "input").mkdir(parents=True)
    (alone / "input" / "digit-recognizer").symlink_to(competition)
    resources = {"metadata": {"path": str(alone)}}
    NotebookClient(notebook, kernel_name="python3", resources=resources).execute()
    folder, _ = unbuilt
    assert (alone / "submission.csv").read_bytes() == (
        folder / "submission.csv"
    ).read_bytes()
    figures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(figures) == len(PLOTS)


def test_the_check_finds_nothing(capsys):
    assert main(["check", str(KERNEL)]) == 0
    assert " error" not in capsys.readouterr().out
