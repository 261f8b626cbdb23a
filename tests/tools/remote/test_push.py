"""A push from the check to the fetched, judged submission, and what stops it."""

import json
import threading

import pytest
from stand_in.fixtures import GOOD, Desk, json_fault
from stand_in.running import run_notebook
from stand_in.safety import KEY
from stand_in.server import StandIn

SESSION_CAP = "Maximum batch GPU session count of 2 reached."


def test_a_push_comes_home_with_a_checked_submission(desk: Desk, kaggle: StandIn):
    desk.write(competition_sources=["digits"])
    desk.write_sample()
    result = desk.push()
    assert result.code == 0, result.text
    assert "version 1: COMPLETE" in result.out
    assert "submission.csv is good, checked against" in result.out
    assert result.out.endswith("hand it in: submit kernels/my-kernel -m TEXT\n")
    assert (desk.runs / "v1" / "submission.csv").read_text().startswith("id,label\n1,7")
    assert (
        "validation accuracy 0.97" in (desk.runs / "v1" / "my-kernel.log").read_text()
    )
    sent = kaggle.asked("SaveKernel")[0]
    assert sent["slug"] == "tester/my-kernel"
    assert sent["competitionDataSources"] == ["digits"]
    assert sent["enableInternet"] is False


def test_what_is_asked_is_pinned_to_the_pushed_version(desk: Desk, kaggle: StandIn):
    kaggle.add_version("tester/my-kernel")
    desk.push("--force")
    assert {
        body.get("versionLabel") for body in kaggle.asked("ListKernelSessionOutput")
    } == {"v2"}
    assert kaggle.asked("GetKernelSessionStatus")[-1]["versionLabel"] == "v2"


def test_a_kernel_that_raises_is_a_failure_with_its_own_lines(desk: Desk):
    desk.write("def load():\n    raise RuntimeError('no such column')\n\n\nload()\n")
    result = desk.push()
    assert result.code == 6
    assert "RuntimeError: no such column" in result.out
    assert "kernel.py" in result.out
    assert "ERROR on Kaggle" in result.err
    assert "`rehearse kernels/my-kernel` tries it here" in result.err
    assert (desk.runs / "v1" / "my-kernel.log").exists()


def test_a_submission_that_would_not_score_is_a_failure(desk: Desk):
    desk.write(competition_sources=["digits"])
    desk.write_sample(text="id,label\n1,0\n2,0\n3,0\n")
    result = desk.push()
    assert result.code == 9
    assert "submission.csv" in result.err


def test_real_answers_are_taken_where_they_are_said_to_be(desk: Desk):
    desk.write(GOOD.replace("1,7", "1,7.25"), competition_sources=["digits"])
    desk.write_sample()
    result = desk.push()
    assert result.code == 9
    assert "--real" in result.err
    assert desk.run("fetch", "--real").code == 0
    (desk.kernel / "rehearsal.toml").write_text("real = true\n")
    assert desk.run("submit", "-m", "x").code == 0


def test_a_missing_submission_is_a_failure_unless_none_is_wanted(desk: Desk):
    desk.write("print('only training')\n", competition_sources=["digits"])
    result = desk.push()
    assert result.code == 9
    assert "`rehearse kernels/my-kernel` tries it here (--no-submission" in result.err
    assert desk.push("--no-submission").code == 0


def test_a_refused_push_is_a_failure_although_the_client_exits_with_0(
    desk: Desk, kaggle: StandIn
):
    kaggle.answers["SaveKernel"] = {"ref": "", "url": "", "error": SESSION_CAP}
    result = desk.push()
    assert result.code == 5
    assert SESSION_CAP.rstrip(".") in result.err
    assert "--deadline" in result.err
    assert len(kaggle.asked("SaveKernel")) == 1


def test_with_a_deadline_the_session_cap_is_waited_for(desk: Desk, kaggle: StandIn):
    kaggle.answers["SaveKernel"] = {"ref": "", "url": "", "error": SESSION_CAP}
    free = threading.Timer(1.5, kaggle.answers.clear)
    free.start()
    result = desk.push("--deadline", "1")
    assert result.code == 0, result.text
    assert "no free session" in result.out
    assert len(kaggle.kernels["tester/my-kernel"]) == 1


def test_the_session_cap_is_waited_for_no_longer_than_the_deadline(
    desk: Desk, kaggle: StandIn
):
    kaggle.answers["SaveKernel"] = {"ref": "", "url": "", "error": SESSION_CAP}
    result = desk.push("--deadline", "0.05")
    assert result.code == 5
    assert "none became free before the deadline" in result.err
    assert len(kaggle.asked("SaveKernel")) > 1


@pytest.mark.parametrize(
    ("answer", "key"),
    [
        ("invalidDatasetSources", "dataset_sources"),
        ("invalidCompetitionSources", "competition_sources"),
        ("invalidKernelSources", "kernel_sources"),
        ("invalidModelSources", "model_sources"),
        ("invalidTags", "keywords"),
    ],
)
def test_a_dropped_source_of_any_kind_is_a_failure(
    desk: Desk, kaggle: StandIn, answer: str, key: str
):
    kaggle.answers["SaveKernel"] = {
        "ref": "/code/tester/my-kernel",
        "url": "https://www.kaggle.com/code/tester/my-kernel",
        "versionNumber": 3,
        answer: ["a/b"],
    }
    result = desk.push()
    assert result.code == 5
    assert f"Kaggle dropped {key} a/b" in result.err
    assert "version 3 still runs" in result.err


def test_a_kernel_saved_under_another_slug_is_a_failure(desk: Desk, kaggle: StandIn):
    answer = {"ref": "/code/tester/other-one", "versionNumber": 1}
    kaggle.answers["SaveKernel"] = answer
    result = desk.push()
    assert result.code == 5
    assert "Kaggle saved it as tester/other-one" in result.err


def test_a_running_version_is_not_pushed_over(desk: Desk, kaggle: StandIn):
    kaggle.add_version("tester/my-kernel")
    kaggle.polls_queued = 0
    result = desk.push()
    assert result.code == 5
    assert "is RUNNING on Kaggle already" in result.err
    assert "--force" in result.err
    assert kaggle.asked("SaveKernel") == []
    assert list((desk.folder / "out" / "pushed").rglob("kernel.py")) == []
    assert desk.push("--force").code == 0


def test_no_gpu_time_left_is_found_out_before_the_push(desk: Desk, kaggle: StandIn):
    desk.write(enable_gpu=True)
    kaggle.quota = {"timeUsed": "108000s", "totalTimeAllowed": "108000s"}
    result = desk.push()
    assert result.code == 5
    assert "no GPU time is left" in result.err
    assert kaggle.asked("SaveKernel") == []


def test_gpu_time_left_is_told_and_a_time_limit_is_sent(desk: Desk, kaggle: StandIn):
    desk.write(enable_gpu=True)
    kaggle.quota = {"timeUsed": "107000s", "totalTimeAllowed": "108000s"}
    result = desk.push("--time-limit", "30")
    assert result.code == 0, result.text
    assert "GPU time left this week: 16 min 40 s" in result.out
    assert "less than the time limit" in result.out
    assert kaggle.asked("SaveKernel")[0]["sessionTimeoutSeconds"] == 1800


def test_a_kernel_that_holds_the_key_is_not_pushed(desk: Desk, kaggle: StandIn):
    desk.write(f"KEY = {KEY!r}\n")
    result = desk.push()
    assert result.code != 0
    assert kaggle.asked("SaveKernel") == []
    assert KEY not in result.text


def test_a_key_that_the_kernel_printed_is_not_kept(desk: Desk, kaggle: StandIn):
    half = len(KEY) // 2
    desk.write(f"print({KEY[:half]!r} + {KEY[half:]!r})\nraise SystemExit(1)\n")
    result = desk.push()
    assert result.code == 6
    log = (desk.runs / "v1" / "my-kernel.log").read_text()
    assert "[redacted]" in log
    assert KEY not in log + result.text


def test_an_id_without_an_owner_is_refused_before_anything_is_sent(
    desk: Desk, kaggle: StandIn
):
    desk.write(id="my-kernel")
    result = desk.push()
    assert result.code == 2
    assert "id must be <owner>/<slug>" in result.err
    assert kaggle.requests == []


def test_every_push_is_recorded_with_its_source(desk: Desk):
    desk.write("class CFG:\n    epochs: int = 3\n\n\n" + GOOD)
    desk.push()
    events = {event["event"]: event for event in desk.record}
    assert events["push"]["cfg"] == {"epochs": 3}
    assert len(events["push"]["sha256"]) == 64
    assert events["pushed"]["version"] == 1
    assert events["ended"]["status"] == "COMPLETE"
    assert events["fetched"]["validation"] == 0.97
    assert events["fetched"]["outputs"].endswith("v1")
    desk.push()
    hashes = [e["sha256"] for e in desk.record if e["event"] == "push"]
    assert hashes[0] == hashes[1]
    table = desk.run("runs").out
    assert "complete" in table
    assert "0.97" in table


def test_what_the_check_finds_is_not_pushed(desk: Desk, kaggle: StandIn):
    desk.write("import no_such_package_anywhere\n")
    result = desk.push()
    assert result.code == 3
    assert "no_such_package_anywhere" in result.err
    assert kaggle.requests == []


def test_a_rule_may_be_ignored_and_the_check_left_out(desk: Desk, kaggle: StandIn):
    desk.write("import no_such_package_anywhere\n")
    assert desk.push("--ignore", "S03").code == 6
    assert desk.push("--no-check").code == 6
    assert len(kaggle.kernels["tester/my-kernel"]) == 2


def test_a_rehearsal_that_fails_stops_the_push(desk: Desk, kaggle: StandIn):
    desk.write("print(1 / 0)\n")
    result = desk.push("--rehearse", "--no-check")
    assert result.code == 4
    assert "ZeroDivisionError" in result.out
    assert kaggle.asked("SaveKernel") == []


def test_what_was_rehearsed_is_what_is_pushed(desk: Desk, kaggle: StandIn):
    result = desk.push("--rehearse")
    assert result.code == 0, result.text
    (pushed,) = (desk.folder / "out" / "pushed" / "my-kernel").glob("*/kernel.py")
    assert kaggle.asked("SaveKernel")[0]["text"] == pushed.read_text()
    (rehearsed,) = (desk.folder / "out" / "rehearsals").rglob("submission.csv")
    assert rehearsed.read_text() == (desk.runs / "v1" / "submission.csv").read_text()


def test_a_dataset_in_the_works_is_warned_of(desk: Desk, kaggle: StandIn):
    desk.write(dataset_sources=["a/words"])
    kaggle.answers["GetDatasetStatus"] = {"status": "REPROCESSING"}
    result = desk.run("push")
    assert result.code == 0, result.text
    assert "dataset a/words is reprocessing" in result.out


def test_a_notebook_is_recognised_by_its_marks_too(desk: Desk, kaggle: StandIn):
    kaggle.run = run_notebook
    desk.write("# %% [markdown]\n# # Title\n\n# %%\n" + GOOD)
    result = desk.push("--type", "notebook")
    assert result.code == 0, result.text
    sent = kaggle.asked("SaveKernel")[0]
    assert sent["kernelType"] == "notebook"
    assert json.loads(sent["text"])["metadata"]["kernelspec"]["name"] == "python3"
    assert (desk.runs / "v1" / "submission.csv").exists()


def test_what_checks_a_submission_is_missed_before_the_push(
    desk: Desk, kaggle: StandIn, monkeypatch: pytest.MonkeyPatch
):
    desk.write(competition_sources=["digits"])
    desk.write_sample()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = desk.push()
    assert result.code == 2
    assert "needs pandas" in result.err
    assert kaggle.requests == []


def test_what_the_client_itself_refuses(desk: Desk, kaggle: StandIn):
    desk.write(title="abc")
    result = desk.push("--no-check")
    assert result.code == 2
    assert "Title must be at least five characters" in result.err
    assert kaggle.asked("SaveKernel") == []


def test_what_the_client_prints_is_shown(desk: Desk):
    desk.write(title="Another Title")
    result = desk.push("--no-check")
    assert result.code == 0
    assert "note from the client: Your kernel title does not resolve" in result.out


CODE_COMPETITION = {
    "ref": "digits",
    "userHasEntered": True,
    "isKernelsSubmissionsOnly": True,
}


def test_a_code_competition_s_conditions_are_told_before_the_push(
    desk: Desk, kaggle: StandIn
):
    desk.write(competition_sources=["digits"], enable_internet=True)
    kaggle.answers["GetCompetition"] = CODE_COMPETITION
    result = desk.run("push", "--no-check")
    assert result.code == 0, result.text
    assert "takes no kernel that had internet" in result.out
    assert "rehearse --rerun" in result.out


def test_a_push_may_try_hidden_tests_first(desk: Desk, kaggle: StandIn):
    desk.write(competition_sources=["digits"])  # two rows, whatever the test holds
    desk.write_sample()
    test = desk.folder / "input" / "competitions" / "digits" / "test.csv"
    test.write_text("id,x\n1,5\n2,6\n")
    kaggle.answers["GetCompetition"] = CODE_COMPETITION
    assert desk.run("push", "--rehearse").code == 0
    result = desk.run("push", "--force", "--rerun")
    assert result.code == 4
    assert "FAIL R03 [hidden test, more rows]" in result.out
    assert "Submission Scoring Error; its log is" in result.err
    assert len(kaggle.kernels["tester/my-kernel"]) == 1


def test_an_hour_of_tpu_is_less_than_a_session(desk: Desk, kaggle: StandIn):
    desk.write(enable_tpu=True, machine_shape="TpuV5E8")
    spent = {"timeUsed": "68400s", "totalTimeAllowed": "72000s"}
    kaggle.answers["GetAcceleratorQuotaStatistics"] = {"tpuQuota": spent}
    result = desk.run("push", "--no-check")
    assert result.code == 0, result.text
    assert "TPU time left this week: 1 h 00 min" in result.out
    assert "Kaggle stops one after 9 h 00 min" in result.out
    assert kaggle.asked("SaveKernel")[0]["machineShape"] == "TpuV5E8"


@pytest.mark.parametrize("how", ["not joined", "refused", "unknown"])
def test_a_competition_that_was_not_joined_is_warned_of(
    desk: Desk, kaggle: StandIn, how: str
):
    desk.write(competition_sources=["digits"])
    if how == "not joined":
        kaggle.answers["GetCompetition"] = {"ref": "digits", "userHasEntered": False}
    else:
        status = 403 if how == "refused" else 404
        kaggle.fail("GetCompetition", **json_fault(status, "no"))
    result = desk.run("push")
    assert result.code == 0, result.text
    warned = "https://www.kaggle.com/competitions/digits/rules" in result.out
    assert warned == (how != "unknown")
