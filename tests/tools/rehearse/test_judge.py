from dataclasses import replace

import pytest

from kernel_builder.profiles import load_profile
from kernel_builder.rehearse.compare import (
    hidden_answers,
    nondeterminism,
    projection,
    read_answers,
)
from kernel_builder.rehearse.judge import Case, judge
from kernel_builder.rehearse.livelog import LiveLog
from kernel_builder.rehearse.meters import Limits, Outcome
from kernel_builder.rehearse.report import (
    Check,
    RehearsalReport,
    RunReport,
    duration,
    print_report,
    size,
)
from kernel_builder.rehearse.verify import find_sample, verify_submission

USUAL = Limits.of(load_profile().limits)


def log_of(count=0):
    log = LiveLog(lambda line: None)
    log.bytes = count
    return log


def case_of(tmp_path, *, limits=None, rerun=False, log_bytes=0, **outcome):
    values = {"returncode": 0, "stopped": "", "wall_s": 10.0, "cpu_s": 9.0}
    values |= {"peak_bytes": 10**9, "log": log_of(log_bytes)} | outcome
    return Case(
        name="new layout",
        outcome=Outcome(**values),
        working=tmp_path,
        limits=limits or USUAL,
        rerun=rerun,
        wants_submission=False,
    )


def check_of(case, id):
    (check,) = [check for check in judge(case) if check.id == id]
    return check


def test_a_quiet_success_passes_every_check(tmp_path):
    checks = judge(case_of(tmp_path))

    assert all(check.ok for check in checks)
    ids = [check.id for check in checks]
    assert ids == ["R01", "R04", "R05", "R07", "R08", "R09", "R12", "S26"]
    assert {check.run for check in checks} == {"new layout"}


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1, "exit code 1"),
        (-9, "exit code 137, killed: usually out of memory"),
        (137, "exit code 137, killed: usually out of memory"),
        (-11, "exit code 139, a native crash (segmentation fault)"),
        (-6, "exit code 134, aborted by a native library"),
        (-15, "exit code 143, signal 15"),
        (None, "no exit code"),
    ],
)
def test_exit_codes_are_explained(code, reason, tmp_path):
    check = check_of(case_of(tmp_path, returncode=code), "R01")

    assert check.message == f"Kaggle status would be ERROR: {reason}"
    assert check.kaggle == "status ERROR"


def test_in_a_rerun_an_exception_has_kaggles_own_name(tmp_path):
    check = check_of(case_of(tmp_path, returncode=1, rerun=True), "R01")

    assert check.kaggle == "Notebook Threw Exception"


@pytest.mark.parametrize(
    ("peak", "ok", "severity"),
    [
        (25_000_000_000, True, "error"),
        (26_000_000_000, False, "warning"),
        (32_300_000_000, False, "error"),
        (0, False, "warning"),
    ],
)
def test_memory_warns_near_the_limit_and_fails_over_it(peak, ok, severity, tmp_path):
    check = check_of(case_of(tmp_path, peak_bytes=peak), "R04")

    assert (check.ok, check.severity) == (ok, severity)


def test_too_many_and_too_big_outputs_warn(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("a", "b", "deep/c"):
        (tmp_path / name).write_bytes(b"12345")
    few = check_of(case_of(tmp_path, limits=replace(USUAL, working_files=2)), "R05")
    big = check_of(case_of(tmp_path, limits=replace(USUAL, working_bytes=14)), "R05")

    assert few.message.startswith("3 files, 15 B in /kaggle/working: only 2 files")
    assert big.message.startswith("out of disk at session end: 3 files, 15 B")
    assert check_of(case_of(tmp_path), "R05").ok


def test_a_rerun_and_a_tpu_have_less_time_than_a_plain_session():
    known = load_profile().limits
    plain, tpu = Limits.of(known), Limits.of(known, tpu=True)
    assert (plain.wall_s, plain.rerun_s) == (12 * 3600, 9 * 3600)
    assert (tpu.wall_s, tpu.rerun_s) == (9 * 3600, 9 * 3600)


def test_the_projection_without_a_second_size_is_proportional(tmp_path):
    case = replace(case_of(tmp_path, wall_s=100.0), rows=10, hidden_rows=5_000)
    check = check_of(case, "R06")

    assert check.message.startswith(
        "Notebook Timeout is possible: at most 13 h 53 min of 9 h 00 min for 5000"
    )
    assert check.severity == "warning"
    assert check_of(replace(case, hidden_rows=50), "R06").ok
    assert check_of(replace(case, hidden_rows=5), "R06").message.startswith(
        "at most 100.0 s"
    )


def test_what_the_monitor_saw_is_listed_shortly(tmp_path):
    reads = [("read", f"/data/{i}") for i in range(7)]
    events = (*reads, ("write", "/data/out"), ("network", "example.com"))
    checks = judge(case_of(tmp_path, events=events))
    texts = {check.message for check in checks if not check.ok}

    assert texts == {
        "tried to reach example.com: there is no internet",
        "reads /data/0, /data/1, /data/2, /data/3, /data/4 and 2 more: "
        "absent on Kaggle",
        "writes /data/out: outside /kaggle/working, so not kept",
    }


def test_a_log_over_10_mb_is_cut_on_kaggle(tmp_path):
    check = check_of(case_of(tmp_path, log_bytes=10_000_001), "S26")

    assert check.message == "log is 10.0 MB: Kaggle keeps 10.0 MB"


@pytest.mark.parametrize(
    ("stopped", "id", "kaggle"),
    [
        ("time", "R01", "Notebook Timeout"),
        ("memory", "R04", "Notebook Exceeded Allowed Compute"),
        ("silence", "R07", "Notebook Timeout"),
        ("not exiting", "R12", "Notebook Timeout"),
        ("disk", "R05", ""),
    ],
)
def test_a_stopped_run_has_one_reason(stopped, id, kaggle, tmp_path):
    case = case_of(tmp_path, returncode=None, stopped=stopped)
    errors = [c for c in judge(case) if not c.ok and c.severity == "error"]

    assert [(check.id, check.kaggle) for check in errors] == [(id, kaggle)]


# Answers of several runs --------------------------------------------------------------


def run_report(folder, text=None, wall_s=1.0, returncode=0, name="run", checks=()):
    folder.mkdir(parents=True, exist_ok=True)
    if text is not None:
        (folder / "submission.csv").write_text(text)
    log = folder / "log.txt"
    meters = (wall_s, 1.0, 10**6, 10, 1, 5)
    return RunReport(name, folder, log, *meters, checks, returncode)


def answers(values, first=10):
    rows = [f"{first + i},{value}\n" for i, value in enumerate(values)]
    return "id,y\n" + "".join(rows)


def test_answers_are_read_by_id(tmp_path):
    run = run_report(tmp_path, 'id,a,b\n1,x,"y,z"\n\n2,3,4\n')

    assert read_answers(run.outputs) == {"1": ("x", "y,z"), "2": ("3", "4")}
    assert read_answers(tmp_path / "nowhere") == {}


def test_equal_runs_must_agree_to_the_last_digit(tmp_path):
    one = run_report(tmp_path / "1", answers([0.1, 0.2, 0.3]))
    same = run_report(tmp_path / "2", answers([0.1, 0.2, 0.3]))
    near = run_report(tmp_path / "3", answers([0.1, 0.2000001, 0.3]))

    assert nondeterminism(one, same).ok
    text = nondeterminism(one, near).message
    assert "1 of 3 answers differ" in text
    assert "first id '11'" in text
    assert not nondeterminism(one, run_report(tmp_path / "4")).ok


def test_small_differences_in_hidden_tests_are_training_noise(tmp_path):
    base = run_report(tmp_path / "1", answers([0, 1, 2, 3, 4, 5]))
    origin = {str(20 + i): str(10 + i) for i in range(6)}
    noisy = run_report(tmp_path / "2", answers([0, 1, 2, 3, 4, 9], 20))
    wrong = run_report(tmp_path / "3", answers([5, 4, 3, 2, 1, 0], 20))
    constant = run_report(tmp_path / "4", answers([7] * 6, 20))

    assert [check.ok for check in hidden_answers(base, noisy, origin)] == [True]
    (misplaced,) = hidden_answers(base, wrong, origin)
    assert misplaced.message.startswith("6 of 6 answers differ")
    (looked_up,) = hidden_answers(base, constant, origin)
    assert looked_up.message.startswith("every answer is '7'")


def test_nothing_is_told_from_equal_answers_or_few_rows(tmp_path):
    equal = run_report(tmp_path / "1", answers([1] * 9))
    few = run_report(tmp_path / "2", answers([1, 2]))
    origin = {str(10 + i): str(10 + i) for i in range(9)}

    assert hidden_answers(equal, equal, origin) == []
    assert hidden_answers(few, few, origin) == []


def test_two_sizes_separate_fixed_cost_from_cost_per_row(tmp_path):
    small = run_report(tmp_path / "1", wall_s=10.0)
    large = run_report(tmp_path / "2", wall_s=30.0)
    sizes = [(101, large), (1, small)]

    fine = projection(sizes, 10_001, 43_200)
    assert fine is not None
    assert fine.ok
    assert fine.message.startswith("~33 min 30 s of 12 h 00 min for 10001 hidden rows")
    late = projection(sizes, 10_001, 600)
    assert late is not None
    assert late.kaggle == "Notebook Timeout"
    assert projection(sizes[:1], 10_001, 600) is None
    assert projection(sizes, 0, 600) is None


# The report ---------------------------------------------------------------------------


def report_of(tmp_path, *checks, traceback=""):
    run = run_report(tmp_path, checks=checks)
    return RehearsalReport(
        *("tiny", tmp_path, "bubblewrap", "3.12.13", ()),
        runs=(replace(run, traceback=traceback),),
    )


def bad(id, kaggle="", severity="error"):
    return Check(id, False, severity, f"{id} failed", kaggle, "run")


@pytest.mark.parametrize(
    ("checks", "code", "kaggle"),
    [
        ([], 0, ""),
        ([bad("R08", severity="warning")], 0, ""),
        ([bad("R03", "Submission Scoring Error")], 9, "Submission Scoring Error"),
        ([bad("R01", "status ERROR"), bad("R03", "x")], 4, "status ERROR"),
        ([bad("R07", "Notebook Timeout")], 4, "Notebook Timeout"),
    ],
)
def test_the_exit_code_follows_the_worst_check(checks, code, kaggle, tmp_path):
    report = report_of(tmp_path, *checks)

    assert report.exit_code == code
    assert report.kaggle == kaggle
    assert report.ok == (code == 0)


def test_a_long_traceback_is_cut_at_its_start(tmp_path):
    traceback = "\n".join(f"line {i}" for i in range(100))
    lines = []
    print_report(report_of(tmp_path, bad("R01"), traceback=traceback), lines.append)

    assert "line 99" in lines
    assert "line 39" not in lines


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1500, "1.5 kB"),
        (2.5e6, "2.5 MB"),
        (3e12, "3000.00"),
    ],
)
def test_sizes_are_for_people(count, text):
    assert size(count).startswith(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "0.2 s"), (119, "119.0 s"), (121, "2 min 01 s"), (43_200, "12 h 00 min")],
)
def test_durations_are_for_people(seconds, text):
    assert duration(seconds) == text


# submission.csv -----------------------------------------------------------------------


def test_the_sample_is_found_under_its_usual_names(tmp_path):
    assert find_sample(tmp_path) is None
    (tmp_path / "gender_submission.csv").write_text("a\n")
    assert find_sample(tmp_path).name == "gender_submission.csv"
    (tmp_path / "sampleSubmission.csv").write_text("a\n")
    assert find_sample(tmp_path).name == "sampleSubmission.csv"
    assert find_sample(tmp_path, "gender_submission.csv").name.startswith("gender")


def test_without_a_sample_only_the_form_is_checked(tmp_path):
    (tmp_path / "submission.csv").write_text("id,y\n")
    assert verify_submission(tmp_path, None) == [
        "submission.csv has 1 lines: a header and rows are needed"
    ]
    (tmp_path / "submission.csv").write_text("id,y\n1,2\n")
    assert verify_submission(tmp_path, None) == []
    (tmp_path / "submission.csv").write_bytes(b"id,y\n\xff,2\n")
    assert verify_submission(tmp_path, None) == ["submission.csv is not UTF-8 (byte 5)"]


def test_a_submission_elsewhere_is_named(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/sub.csv").write_text("x")

    assert verify_submission(tmp_path, None) == [
        "expected /kaggle/working/submission.csv, found results/sub.csv"
    ]


def test_the_librarys_own_check_judges_a_submission(tmp_path):
    (tmp_path / "sample.csv").write_text("id,y\n1,0\n2,0\n")
    (tmp_path / "submission.csv").write_text("id,y\n1,0\n1,0\n")
    problems = verify_submission(tmp_path, tmp_path / "sample.csv")

    assert any("appear again" in problem for problem in problems)
    (tmp_path / "submission.csv").write_text("id,y\n1,5\n2,0\n")
    assert verify_submission(tmp_path, tmp_path / "sample.csv") == []


REAL = "id,price\n1,2.5\n2,3.25\n"


def real_competition(folder):
    """An answer of real numbers, and a sample that shows whole ones."""
    (folder / "submission.csv").write_text(REAL)
    sample = folder / "sample_submission.csv"
    sample.write_text("id,price\n1,0\n2,0\n")
    return sample


def test_real_answers_to_a_sample_of_zeros_pass_where_somebody_says_so(tmp_path):
    sample = real_competition(tmp_path)
    whole = verify_submission(tmp_path, sample)
    assert "must be whole numbers" in whole[0]
    assert "--real, or real = true in rehearsal.toml" in whole[-1]
    assert verify_submission(tmp_path, sample, real=True) == []


@pytest.mark.parametrize(
    ("train", "real"),
    [
        ("id,price\n8,1\n9,1.5\n", True),
        ("id,price\n8,1\n9,2\n", False),
        ("id,price\n8,inf\n9,\n", False),
        ("id,price\n8,nan\n", False),
        ("id,price\n8,cheap\n9,1.5\n", False),
        ("id,area\n8,1.5\n", False),
        ("", False),
    ],
)
def test_a_training_target_tells_whether_answers_are_real(train, real, tmp_path):
    sample = real_competition(tmp_path)
    (tmp_path / "train.csv").write_text(train)
    assert (verify_submission(tmp_path, sample) == []) is real


def test_the_hint_at_real_answers_comes_only_where_it_would_help(tmp_path):
    sample = real_competition(tmp_path)
    (tmp_path / "submission.csv").write_text("id,price\n1,2.5\n1,3.25\n")
    assert not any("--real" in text for text in verify_submission(tmp_path, sample))


def test_a_submission_that_is_a_link_is_called_one(tmp_path):
    (tmp_path / "submission.csv").symlink_to("/nowhere/real.csv")
    (problem,) = verify_submission(tmp_path, None)
    assert "is a link to /nowhere/real.csv" in problem
