"""Rehearsals on hidden test sets, as a code competition runs a kernel again."""

import json
from pathlib import Path

import pytest
from parquet_series import rows_of, write_parquet_series
from rehearsing import failed, message_of, run_kernel, write_kernel

from kernel_builder.errors import UsageError
from kernel_builder.rehearse import mutate

READS_THE_TEST = """
    import csv, os
    data = "/kaggle/input/competitions/tiny"
    rows = list(csv.DictReader(open(data + "/test.csv")))
    {action}
    with open("submission.csv", "w") as file:
        file.write("id,y\\n" + "".join(f"{{r['id']}},{{answer(r)}}\\n" for r in rows))
"""


def rerun(folder, action, **options):
    code = READS_THE_TEST.format(action=action)
    return run_kernel(folder, code, rerun=True, **options)


def test_a_sound_kernel_passes_every_hidden_test(tmp_path):
    report = rerun(tmp_path, "answer = lambda r: r['x']", hidden_rows=1000)

    assert report.ok, report.checks
    assert failed(report) == []
    names = [run.name for run in report.runs]
    assert names == [
        "new layout",
        *(f"hidden test, {kind}" for kind in mutate.USUAL),
    ]
    assert {"R06", "R10"} <= {check.id for check in report.checks}
    hidden = report.runs[1].outputs
    assert hidden.parent.name == "hidden-test-more-rows"
    assert len(rows_of(hidden / "submission.csv")) == 13


@pytest.mark.parametrize(
    ("action", "kaggle", "where"),
    [
        (
            "assert len(rows) == 6; answer = lambda r: 0",
            "Notebook Threw Exception",
            "hidden test, more rows",
        ),
        (
            "known = dict((str(10 + i), i) for i in range(6)); "
            "answer = lambda r: known[r['id']]",
            "Notebook Threw Exception",
            "hidden test, unseen ids",
        ),
        (
            "rows = rows[:6]; answer = lambda r: r['x']",
            "Submission Scoring Error",
            "hidden test, more rows",
        ),
        (
            "if os.environ.get('KAGGLE_IS_COMPETITION_RERUN'): raise SystemExit\n"
            "    answer = lambda r: r['x']",
            "Submission CSV Not Found",
            "hidden test, one row",
        ),
    ],
)
def test_kernels_made_for_the_public_test_fail_as_on_kaggle(
    action, kaggle, where, tmp_path
):
    kind = where.removeprefix("hidden test, ")
    report = rerun(tmp_path, action, hidden_tests=(kind,))

    assert [(check.run, check.kaggle) for check in report.errors] == [(where, kaggle)]


def test_answers_looked_up_by_id_are_noticed(tmp_path):
    action = (
        "known = {str(10 + i): i % 5 for i in range(6)}; "
        "answer = lambda r: known.get(r['id'], 0)"
    )
    report = rerun(tmp_path, action, hidden_tests=("unseen ids",))

    assert failed(report) == ["R10"]
    assert "every answer is '0'" in message_of(report, "R10")


def test_answers_by_place_are_noticed(tmp_path):
    action = "count = iter(range(99)); answer = lambda r: next(count)"
    report = rerun(tmp_path, action, hidden_tests=("shuffled",))

    assert failed(report) == ["R10"]
    assert "follow the row's place" in message_of(report, "R10")


def test_hidden_tests_are_not_run_after_a_failure(tmp_path):
    report = rerun(tmp_path, "raise ValueError")

    assert len(report.runs) == 1
    assert "no further runs were made" in report.notes[0]


def test_two_equal_runs_are_compared(tmp_path):
    code = """
    import random
    answers = [f"{i},{VALUE}\\n" for i in range(10, 16)]
    open("submission.csv", "w").write("id,y\\n" + "".join(answers))
    """
    steady = run_kernel(tmp_path / "a", code.replace("VALUE", "i % 3"), twice=True)
    noisy = run_kernel(
        tmp_path / "b", code.replace("VALUE", "random.randrange(10**9)"), twice=True
    )

    assert failed(steady) == []
    assert failed(noisy) == ["R11"]
    assert "6 of 6 answers differ" in message_of(noisy, "R11")
    assert noisy.ok  # a warning


def test_a_rerun_without_a_competition_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no competition whose test"):
        rerun(tmp_path, "answer = 1", metadata={"competition_sources": []})


@pytest.mark.parametrize("way", ["auto", "subprocess"])
def test_a_changed_parquet_series_is_mounted_over_the_visible_one(way, tmp_path):
    code = """
    import glob
    import pyarrow.parquet as pq
    import os
    root = os.environ.get("KAGGLE_KIT_ROOT", "/kaggle") + "/input/competitions/bengali"
    parts = sorted(glob.glob(root + "/test_image_data_*.parquet"))
    ids = [i for p in parts for i in pq.read_table(p).column("image_id").to_pylist()]
    names = ("consonant_diacritic", "grapheme_root", "vowel_diacritic")
    lines = [f"{i}_{n},{len(ids)}\\n" for i in ids for n in names]
    open("submission.csv", "w").write("row_id,target\\n" + "".join(lines))
    print(len(parts), "files", os.path.exists(root + "/train.csv"))
    """
    kernel = write_kernel(tmp_path / "kernel", code)
    write_parquet_series(kernel / "input/competitions/bengali")
    (kernel / "input/competitions/bengali/train.csv").write_text("a\n")
    report = run_kernel(
        tmp_path,
        code,
        metadata={"competition_sources": ["bengali"]},
        rerun=True,
        hidden_tests=("more files", "one row"),
        isolation=way,
    )

    assert report.ok, [c for c in report.checks if not c.ok]
    logs = [run.log_path.read_text() for run in report.runs]
    assert logs[0] == logs[2] == "2 files True\n"
    assert logs[1] in ("3 files True\n", "4 files True\n")


def test_the_json_report_names_every_run(tmp_path):
    report = rerun(tmp_path, "answer = lambda r: r['x']", hidden_tests=("one row",))
    stored = json.loads((report.folder / "report.json").read_text())

    assert [run["name"] for run in stored["runs"]] == [
        "new layout",
        "hidden test, one row",
    ]
    assert all(Path(run["log_path"]).is_file() for run in stored["runs"])
