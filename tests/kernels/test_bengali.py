"""The two Bengali kernels: one trains and hands on, the other submits, offline."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from running import run_python

from kernel_builder.cli import main

REPOSITORY = Path(__file__).resolve().parents[2]
TRAIN = REPOSITORY / "kernels" / "bengali_train"
INFER = REPOSITORY / "kernels" / "bengali_infer"
COMPONENTS = ("grapheme_root", "vowel_diacritic", "consonant_diacritic")
ROWS, TEST_ROWS = 128, 12


def run(command, folder):
    # Small images gain nothing from a second thread, and tests share the machine.
    return run_python(command, folder, OMP_NUM_THREADS="1")


@pytest.fixture(scope="module")
def competition(tmp_path_factory):
    """128 training and 12 test images of an invented script, in Kaggle's form."""
    folder = tmp_path_factory.mktemp("competition")
    command = [REPOSITORY / "benchmarks" / "make_bengali.py", "--out", folder]
    command += ["--classes", 4, 3, 2, "--rows", ROWS, "--test-rows", TEST_ROWS]
    command += ["--files", 2, "--unseen", 0, "--strength", 0.5, "--threads", 1]
    result = run(command, folder)
    assert result.returncode == 0, result.stderr
    return folder / "bengaliai-cv19"


@pytest.fixture(scope="module")
def rehearsed(competition, tmp_path_factory):
    """Folder of rehearsals in which the training kernel has been rehearsed."""
    folder = tmp_path_factory.mktemp("rehearsed")
    # A built kernel takes no options: a copy gets smaller numbers.
    kernel = shutil.copytree(TRAIN, folder / "kernel")
    text = (kernel / "kernel.py").read_text(encoding="utf-8")
    changes = {
        "image_size=64": "image_size=32",
        "epochs=30": "epochs=8",
        "batch_size: int = 128": "batch_size: int = 16",
        # Threads that wait for each other crawl where tests share the machine.
        "import numpy as np": "import numpy as np\nimport torch",
        "cfg = override(CFG())": "cfg = override(CFG())\ntorch.set_num_threads(1)",
    }
    for old, new in changes.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    (kernel / "kernel.py").write_text(text, encoding="utf-8")
    command = ["rehearse", str(kernel), "--path", str(REPOSITORY), "--form", "flat"]
    assert main([*command, "--input", str(competition), "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def trained(rehearsed):
    """What the training kernel left in its output folder."""
    (folder,) = rehearsed.glob("rehearsals/bengali-train-kaggle-kit/001/output")
    return folder


def infer(competition, trained, folder, *options):
    """Run the un-built inference kernel; its submission, or None, and the process."""
    command = [INFER / "kernel.py", "--input", competition, "--models", trained]
    result = run([*command, "--output", folder, *options], folder)
    path = folder / "submission.csv"
    return (pd.read_csv(path) if path.exists() else None), result


def split_row(row):
    """`Test_0_vowel_diacritic` -> Test_0 and vowel_diacritic."""
    return next((row[: -len(c) - 1], c) for c in COMPONENTS if row.endswith(c))


def write_hidden_test(folder, tables, sample):
    """Write a test set of these (ids, images) files, asked about in sample's order."""
    folder.mkdir()
    for number, (ids, images) in enumerate(tables):
        columns = [pa.array(ids), *map(pa.array, np.ascontiguousarray(images.T))]
        names = ["image_id", *map(str, range(images.shape[1]))]
        path = folder / f"test_image_data_{number}.parquet"
        pq.write_table(pa.table(columns, names=names), path)
    pd.DataFrame({"row_id": sample, "target": 0}).to_csv(
        folder / "sample_submission.csv", index=False
    )
    asked = sorted(sample)
    image, component = zip(*map(split_row, asked), strict=True)
    pd.DataFrame({"row_id": asked, "image_id": image, "component": component}).to_csv(
        folder / "test.csv", index=False
    )


def test_training_leaves_what_inference_and_people_need(trained):
    names = {path.name for path in trained.iterdir()}
    assert names >= {"bengali.json", "bengali_fold0.pt", "log_fold0.csv", "scores.json"}
    assert names >= {"oof.csv", "oof_0.npy", "oof_1.npy", "oof_2.npy"}
    plots = {"samples.png", "batch.png", "history_fold0.png", "top_losses.png"}
    plots |= {"component_histograms.png"}
    assert names >= plots | {f"confusion_{name}.png" for name in COMPONENTS}
    assert not list(trained.glob("run_fold*"))
    log = pd.read_csv(trained / "log_fold0.csv")
    scores = json.loads((trained / "scores.json").read_text())
    assert len(log) == 8
    # The log's may be computed in half precision, where the processor has it.
    assert scores["recall"] == pytest.approx(log["recall"].max(), abs=0.1)
    assert scores["recall"] > 0.6  # chance is 0.35
    settings = json.loads((trained / "bengali.json").read_text())
    assert settings["sizes"] == [4, 3, 2]
    assert settings["components"] == list(COMPONENTS)


def test_a_fold_of_other_settings_is_neither_used_nor_trained_over(
    trained, competition
):
    before = (trained / "bengali_fold0.pt").read_bytes()
    command = [TRAIN / "kernel.py", "--input", competition, "--output", trained]
    result = run([*command, "--image-size", 32, "--epochs", 3], trained)
    assert result.returncode == 1
    assert "epochs is 8 in the file, 3 now" in result.stderr
    assert (trained / "bengali_fold0.pt").read_bytes() == before


def test_two_devices_leave_what_one_leaves(trained, competition, tmp_path):
    (tmp_path / "run_fold1.pt").touch()  # of a fold that was broken off, not asked for
    command = [TRAIN / "kernel.py", "--input", competition, "--output", tmp_path]
    command += ["--image-size", 32, "--batch-size", 16, "--epochs", 2, "--devices", 2]
    result = run(command, tmp_path)
    assert result.returncode == 0, result.stderr
    assert "training in 2 processes\n" in result.stdout
    assert result.stdout.count("epoch 2/2") == 1
    assert result.stdout.count("wrote ") == 1
    names = {path.name for path in trained.iterdir()} | {"run_fold1.pt"}
    assert {path.name for path in tmp_path.iterdir()} == names
    one, two = (pd.read_csv(folder / "oof.csv") for folder in (trained, tmp_path))
    assert list(one) == list(two)
    assert (one["row"] == two["row"]).all()


@pytest.fixture(scope="module")
def chained(rehearsed, trained, competition):
    """Folder of the inference kernel's rehearsal on the training kernel's output."""
    command = ["rehearse", str(INFER), "--input", str(competition), "--form", "flat"]
    command += ["--layout", "both", "--hidden-tests", "more files"]
    assert main([*command, "--out", str(rehearsed)]) == 0
    (folder,) = rehearsed.glob("rehearsals/bengali-infer-kaggle-kit/001")
    return folder


def test_the_chain_passes_in_both_layouts_and_with_more_hidden_files(
    chained, competition
):
    visible = pd.read_csv(chained / "output" / "submission.csv")
    old = pd.read_csv(chained / "runs/old-layout/output/submission.csv")
    pd.testing.assert_frame_equal(visible, old)
    hidden = chained / "runs/hidden-test-more-files/output/submission.csv"
    assert len(pd.read_csv(hidden)) == 2 * len(visible) == 2 * 3 * TEST_ROWS
    truth = competition.parent / "held_out" / competition.name / "test_labels.csv"
    labels = pd.read_csv(truth).set_index("image_id")
    wanted = [labels.at[i, name] for i, name in map(split_row, visible["row_id"])]
    assert np.mean(visible["target"] == wanted) > 0.6


def test_a_hidden_test_of_other_files_orders_and_odd_images(
    chained, trained, competition, tmp_path
):
    table = pq.read_table(competition / "test_image_data_0.parquet")
    images = np.stack([table[str(i)].to_numpy() for i in range(137 * 236)], 1)
    blank = np.stack([np.full(137 * 236, value, np.uint8) for value in (255, 0)])
    noise = np.random.default_rng(0).integers(0, 256, (1, 137 * 236), np.uint8)
    extra = images[:1]  # nobody asks for it
    tables = [
        (["x1"], images[1:2]),
        (["b0", "b1", "x2", "extra"], np.concatenate([blank, images[2:3], extra])),
        (["n0"], noise),
    ]
    asked = ["x1", "b0", "b1", "x2", "n0"]
    rows = [f"{image}_{name}" for image in asked for name in COMPONENTS]
    order = np.random.default_rng(1).permutation(rows)
    write_hidden_test(tmp_path / "hidden", tables, order)
    answers, result = infer(tmp_path / "hidden", trained, tmp_path)
    assert answers is not None, result.stderr
    assert answers["row_id"].tolist() == list(order)
    assert "no row of test.csv asks for: extra; left out" in result.stdout
    # The un-built kernel answers as the built one did for the same images.
    visible = pd.read_csv(chained / "output" / "submission.csv")
    usual = visible.set_index("row_id")["target"]
    given = answers.set_index("row_id")["target"]
    for new, old in (("x1", "Test_1"), ("x2", "Test_2")):
        for name in COMPONENTS:
            assert given[f"{new}_{name}"] == usual[f"{old}_{name}"]


def test_a_question_about_an_image_that_is_not_there_writes_nothing(
    trained, competition, tmp_path
):
    table = pq.read_table(competition / "test_image_data_0.parquet")
    images = np.stack([table[str(i)].to_numpy() for i in range(137 * 236)], 1)
    rows = [f"{image}_{name}" for image in ("x1", "x2") for name in COMPONENTS]
    write_hidden_test(tmp_path / "hidden", [(["x1"], images[:1])], rows)
    (tmp_path / "out").mkdir()
    answers, result = infer(tmp_path / "hidden", trained, tmp_path / "out")
    assert answers is None
    assert result.returncode == 1
    assert "test.csv asks for images that no file holds: x2" in result.stderr
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("kernel", [TRAIN, INFER])
def test_the_check_finds_nothing(kernel, capsys):
    assert main(["check", str(kernel)]) == 0
    assert " error" not in capsys.readouterr().out
