"""Where the input is and where outputs go."""

import os

import numpy as np
import pytest
from full_disk import full_disk

from kaggle_kit.paths import (
    PATHS_LISTED,
    atomic_file,
    find_dataset,
    find_input,
    find_kernel_output,
    find_model,
    is_rerun,
    output_dir,
    runtime,
)

VARIABLES = (
    "KAGGLE_KIT_INPUT",
    "KAGGLE_KIT_OUTPUT",
    "KAGGLE_KIT_ROOT",
    "KAGGLE_KIT_REHEARSAL",
    "KAGGLE_KERNEL_RUN_TYPE",
    "KAGGLE_IS_COMPETITION_RERUN",
)
MODEL = "google/gemma/PyTorch/2b/1"


@pytest.fixture
def kaggle(tmp_path, monkeypatch):
    """An empty /kaggle, and an empty current directory apart from it."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    root, here = tmp_path / "kaggle", tmp_path / "here"
    (root / "input").mkdir(parents=True)
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("KAGGLE_KIT_ROOT", str(root))
    return root


def folder(path, *files):
    path.mkdir(parents=True)
    for name in files:
        (path / name).write_text("a,b\n")
    return path


@pytest.mark.parametrize("layout", ["competitions/digits", "digits"])
def test_the_competition_is_found_in_both_layouts(kaggle, layout):
    expected = folder(kaggle / "input" / layout, "train.csv")
    assert find_input("digits") == expected


@pytest.mark.parametrize(
    ("find", "reference", "layouts"),
    [
        (find_dataset, "me/weights", ["datasets/me/weights", "weights"]),
        (
            find_model,
            MODEL,
            [
                "models/google/gemma/pytorch/2b/1",
                "models/google/gemma/PyTorch/2b/1",
                "gemma/pytorch/2b/1",
                "gemma/PyTorch/2b/1",
            ],
        ),
        (find_kernel_output, "me/train", ["notebooks/me/train", "train"]),
    ],
)
def test_other_sources_are_found_in_every_layout(kaggle, find, reference, layouts):
    for place in reversed(layouts):  # the older first: a newer one goes before it
        expected = folder(kaggle / "input" / place)
        assert find(reference).samefile(expected)
    for place in reversed(layouts):
        expected = folder(kaggle.parent / "elsewhere" / place)
        assert find(reference, kaggle.parent / "elsewhere").samefile(expected)


def test_the_newer_layout_goes_before_the_older(kaggle):
    folder(kaggle / "input" / "digits", "train.csv")
    expected = folder(kaggle / "input" / "competitions" / "digits", "train.csv")
    assert find_input("digits") == expected


@pytest.mark.parametrize("layout", ["input/digits", "input/competitions/digits"])
def test_off_kaggle_the_input_lies_beside_the_work(kaggle, monkeypatch, layout):
    monkeypatch.setenv("KAGGLE_KIT_ROOT", str(kaggle / "absent"))
    expected = folder(kaggle.parent / "here" / layout, "train.csv")
    assert find_input("digits").samefile(expected)


@pytest.mark.parametrize("inner", ["", "digits", "competitions/digits"])
def test_a_named_folder_may_be_the_competition_or_a_root(kaggle, monkeypatch, inner):
    folder(kaggle / "input" / "digits", "train.csv")
    named = kaggle.parent / "named"
    expected = folder(named / inner, "train.csv")
    assert find_input("digits", named) == expected
    assert find_input("digits", str(named)) == expected
    monkeypatch.setenv("KAGGLE_KIT_INPUT", str(named))
    assert find_input("digits") == expected


def test_the_argument_goes_before_the_variable(kaggle, monkeypatch):
    expected = folder(kaggle.parent / "argument", "train.csv")
    monkeypatch.setenv("KAGGLE_KIT_INPUT", str(folder(kaggle.parent / "variable")))
    assert find_input("digits", expected) == expected


def test_an_empty_folder_of_the_right_name_is_the_competition(kaggle):
    assert find_input("digits", folder(kaggle / "digits")) == kaggle / "digits"


def test_a_variable_pointing_nowhere_is_an_error_not_a_default(kaggle, monkeypatch):
    folder(kaggle / "input" / "digits", "train.csv")
    monkeypatch.setenv("KAGGLE_KIT_INPUT", str(kaggle / "typo"))
    with pytest.raises(FileNotFoundError, match="typo, from KAGGLE_KIT_INPUT, does no"):
        find_input("digits")


def test_a_root_without_the_competition_is_not_taken_for_it(kaggle):
    named = kaggle.parent / "named"
    folder(named / "titanic", "train.csv")
    with pytest.raises(FileNotFoundError) as caught:
        find_input("digits", named)
    assert "holds neither files nor a folder digits or compet" in str(caught.value)
    assert "titanic: train.csv" in str(caught.value)


def test_the_error_lists_what_is_mounted(kaggle):
    folder(kaggle / "input" / "competitions" / "titanic")
    folder(kaggle / "input" / "weights", "a.pth", "b.pth")
    with pytest.raises(FileNotFoundError) as caught:
        find_input("digits")
    message = str(caught.value)
    assert "the competition digits is not mounted" in message
    assert f"{kaggle / 'input'}: competitions/, weights/" in message
    assert f"{kaggle / 'input' / 'competitions'}: titanic/" in message
    assert "weights: a.pth, b.pth" in message
    assert "competition_sources in kernel-metadata.json" in message
    assert "input/digits" in message


@pytest.mark.parametrize(
    ("find", "reference", "key"),
    [
        (find_dataset, "me/weights", "dataset_sources"),
        (find_model, MODEL, "model_sources"),
        (find_kernel_output, "me/train", "kernel_sources"),
    ],
)
def test_an_absent_source_says_where_to_attach_it(kaggle, find, reference, key):
    folder(kaggle / "input" / "competitions" / "titanic")
    with pytest.raises(FileNotFoundError, match=f"'{reference}' to {key}") as caught:
        find(reference)
    assert "titanic" in str(caught.value)


def test_the_listing_is_bounded_and_never_walks(kaggle, monkeypatch):
    for i in range(50):
        folder(kaggle / "input" / f"set{i:02}" / "deep", *"abc")
    scanned = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda p: scanned.append(p) or scandir(p))
    with pytest.raises(FileNotFoundError) as caught:
        find_input("digits")
    assert len(str(caught.value).splitlines()) < PATHS_LISTED + 12
    assert "..." in str(caught.value)
    assert len(scanned) <= 2 + PATHS_LISTED
    assert not [path for path in scanned if path.name == "deep"]


@pytest.mark.parametrize("slug", ["", "a/b", "..", "/etc", "a b", "competitions/../x"])
def test_a_slug_is_checked(kaggle, slug):
    with pytest.raises(ValueError, match="expected competition-slug, as in the addr"):
        find_input(slug)


def test_references_are_checked(kaggle):
    with pytest.raises(ValueError, match=r"expected owner/slug.*'weights'"):
        find_dataset("weights")
    with pytest.raises(ValueError, match=r"expected owner/slug.*'a/b/3'"):
        find_kernel_output("a/b/3")
    with pytest.raises(ValueError, match="expected owner/model/framework/variation/"):
        find_model("google/gemma")


def test_a_source_is_looked_for_beside_the_named_competition_too(kaggle, monkeypatch):
    named = folder(kaggle.parent / "named", "train.csv")
    monkeypatch.setenv("KAGGLE_KIT_INPUT", str(named))
    expected = folder(kaggle / "input" / "weights")
    assert find_dataset("me/weights") == expected
    expected = folder(named / "datasets" / "me" / "weights")
    assert find_dataset("me/weights") == expected


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "local"),
        ({"KAGGLE_KERNEL_RUN_TYPE": "Batch"}, "kaggle-batch"),
        ({"KAGGLE_KERNEL_RUN_TYPE": "Interactive"}, "kaggle-interactive"),
        (
            {"KAGGLE_KERNEL_RUN_TYPE": "Batch", "KAGGLE_KIT_REHEARSAL": "1"},
            "rehearsal",
        ),
    ],
)
def test_runtime(kaggle, monkeypatch, variables, expected):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert runtime() == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, False), ("", False), ("0", False), ("False", False), ("1", True)],
)
def test_rerun(kaggle, monkeypatch, value, expected):
    if value is not None:
        monkeypatch.setenv("KAGGLE_IS_COMPETITION_RERUN", value)
    assert is_rerun() is expected


def test_outputs_go_to_the_argument_the_variable_working_or_here(kaggle, monkeypatch):
    here, working = kaggle.parent / "here", folder(kaggle / "working")
    assert output_dir() == here  # a folder /kaggle/working alone is no Kaggle
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Batch")
    assert output_dir() == working
    monkeypatch.setenv("KAGGLE_KIT_OUTPUT", str(kaggle / "a" / "b"))
    assert output_dir() == kaggle / "a" / "b"
    assert (kaggle / "a" / "b").is_dir()
    assert output_dir("new/one").samefile(here / "new" / "one")


def test_without_working_a_rehearsal_writes_where_it_stands(kaggle, monkeypatch):
    monkeypatch.setenv("KAGGLE_KIT_REHEARSAL", "1")
    assert output_dir() == kaggle.parent / "here"


def test_a_file_appears_whole(tmp_path):
    target = tmp_path / "plot.png"
    with atomic_file(target) as temporary:
        assert temporary.suffix == ".png"
        assert temporary.parent == tmp_path
        temporary.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["plot.png"]


def test_after_an_exception_the_old_file_stands(tmp_path):
    target = tmp_path / "a.csv"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_file(target) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_a_full_disk_is_named_with_its_file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    too_large = pytest.raises(OSError, match=r"File too large: '.*/a.csv'")
    with too_large, full_disk(), atomic_file(path) as temporary:
        temporary.write_text("new" * 1000)
    not_all = pytest.raises(OSError, match=r"written: '.*/a.csv'")
    with not_all, full_disk(), atomic_file(path) as temp, temp.open("wb") as file:
        np.save(file, np.zeros(1000))
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.csv"]


def test_a_new_file_has_the_usual_mode(tmp_path):
    (tmp_path / "plain").write_text("")
    with atomic_file(tmp_path / "atomic") as temporary:
        temporary.write_text("")
    modes = [(tmp_path / name).stat().st_mode for name in ("plain", "atomic")]
    assert modes[0] == modes[1]
