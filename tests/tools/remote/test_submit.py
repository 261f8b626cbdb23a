import json
import os

import pytest
from stand_in.fixtures import Desk
from stand_in.server import StandIn

from kernel_builder.files import locked


@pytest.fixture
def pushed(desk: Desk, kaggle: StandIn) -> Desk:
    """A desk whose kernel was pushed and has its submission.csv at home."""
    desk.write(competition_sources=["digits"])
    desk.write_sample()
    result = desk.push()
    assert result.code == 0, result.text
    return desk


def test_a_file_competition_gets_the_run_s_file(pushed: Desk, kaggle: StandIn):
    kaggle.scores = [
        {"status": "PENDING"},
        {"status": "COMPLETE", "publicScore": "0.9"},
    ]
    result = pushed.run("submit", "-m", "first try")
    assert result.code == 0, result.text
    assert (
        kaggle.uploads["TOK1"] == (pushed.runs / "v1" / "submission.csv").read_bytes()
    )
    sent = kaggle.asked("CreateSubmission")[0]
    assert sent["submissionDescription"] == "first try"
    assert sent["competitionName"] == "digits"
    assert "submissions left today: 4" in result.out
    assert "public score 0.9 for tester/my-kernel version 1" in result.out
    assert pushed.record[-1]["public"] == "0.9"
    assert "0.9" in pushed.run("runs", "--best").out


def test_a_code_competition_gets_the_kernel_version(pushed: Desk, kaggle: StandIn):
    answer = {"ref": "digits", "userHasEntered": True, "isKernelsSubmissionsOnly": True}
    kaggle.answers["GetCompetition"] = answer
    result = pushed.run("submit", "-m", "by code")
    assert result.code == 0, result.text
    sent = kaggle.asked("CreateCodeSubmission")[0]
    assert sent["kernelVersion"] == 1
    assert (sent["kernelOwner"], sent["kernelSlug"]) == ("tester", "my-kernel")
    assert sent["fileName"] == "submission.csv"
    assert kaggle.uploads == {}


def test_a_kernel_with_internet_is_no_code_submission(desk: Desk, kaggle: StandIn):
    desk.write(competition_sources=["digits"], enable_internet=True)
    desk.push("--no-check")
    result = desk.run("submit", "-m", "x", "--code")
    assert result.code == 2
    assert "enable_internet to false" in result.err
    assert kaggle.asked("CreateCodeSubmission") == []


@pytest.mark.parametrize(
    "state",
    [
        {"status": "COMPLETE", "errorDescription": "Submission CSV Not Found"},
        {"status": "ERROR", "errorDescription": "Submission CSV Not Found"},
    ],
)
def test_an_error_description_is_a_failure_whatever_the_state(
    pushed: Desk, kaggle: StandIn, state: dict
):
    kaggle.scores = [state]
    result = pushed.run("submit", "-m", "x")
    assert result.code == 9
    assert "Submission CSV Not Found; `rehearse kernels/my-kernel" in result.err
    assert "Submission CSV Not Found" in pushed.run("runs").out


def test_a_submission_that_would_not_score_is_not_sent(pushed: Desk, kaggle: StandIn):
    (pushed.runs / "v1" / "submission.csv").write_text("id,label\n1,7\n")
    result = pushed.run("submit", "-m", "x")
    assert result.code == 9
    assert kaggle.asked("StartSubmissionUpload") == []


def test_no_submission_left_is_found_out_before_the_upload(
    pushed: Desk, kaggle: StandIn
):
    kaggle.answers["GetSubmissionLimits"] = {"numToday": 5, "numAllowedNow": 0}
    result = pushed.run("submit", "-m", "x")
    assert result.code == 5
    assert "no submission is left today, 5 were made" in result.err
    assert kaggle.asked("StartSubmissionUpload") == []


def test_rules_that_were_not_accepted(pushed: Desk, kaggle: StandIn):
    body = json.dumps({"code": 403, "message": "You must accept the rules"})
    kind = "application/json"
    kaggle.fail("StartSubmissionUpload", status=403, body=body, content_type=kind)
    result = pushed.run("submit", "-m", "x")
    assert result.code == 5
    assert "https://www.kaggle.com/competitions/digits/rules" in result.err


def test_two_submits_at_the_same_moment_spend_one_submission(
    pushed: Desk, kaggle: StandIn
):
    kaggle.slow["CreateSubmission"] = 2.0
    command = ["submit", str(pushed.kernel), *pushed.options, "-m", "x"]
    both = [pushed.start(*command) for _ in range(2)]
    texts = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], texts
    assert len(kaggle.asked("CreateSubmission")) == 1
    assert sum("was handed in already (ref" in text for text in texts) == 1


def test_a_submit_does_not_wait_for_another_beyond_its_deadline(
    pushed: Desk, kaggle: StandIn
):
    with locked(pushed.runs / ".submit-lock", lambda: None):
        result = pushed.run("submit", "-m", "x", "--deadline", "0.02")
    assert result.code == 7
    assert "another `submit` of this kernel is under way: waiting for it" in result.out
    assert "kernels/my-kernel: another `submit` of this kernel is under" in result.err
    assert kaggle.asked("CreateSubmission") == []


def test_a_lost_answer_is_found_in_the_list_and_nothing_sent_twice(
    pushed: Desk, kaggle: StandIn
):
    kaggle.fail("CreateSubmission", status=500, after=True)
    result = pushed.run("submit", "-m", "lost one")
    assert result.code == 0, result.text
    assert "the answer was lost" in result.out
    assert len(kaggle.asked("CreateSubmission")) == 1


@pytest.mark.parametrize(
    ("method", "fault"),
    [
        ("StartSubmissionUpload", {"status": 500}),
        ("StartSubmissionUpload", {"reset": True}),
        ("StartSubmissionUpload", {"status": 429, "headers": {"Retry-After": "0"}}),
        ("CreateSubmission", {"status": 429}),
        ("PUT", {"status": 403}),
    ],
)
def test_what_fails_before_the_submission_is_made_is_tried_again(
    pushed: Desk, kaggle: StandIn, method: str, fault: dict
):
    kaggle.fail(method, times=2, **fault)
    result = pushed.run("submit", "-m", "x")
    assert result.code == 0, result.text
    assert result.out.count("trying again in") == 2
    assert len(kaggle.listed) == 1


def test_a_submission_that_was_not_made_is_a_failure(pushed: Desk, kaggle: StandIn):
    kaggle.fail("CreateSubmission", status=500)
    result = pushed.run("submit", "-m", "x")
    assert result.code == 8
    assert "no such submission is listed: submit again" in result.err


def test_a_run_is_handed_in_once_unless_it_is_wanted_again(
    pushed: Desk, kaggle: StandIn
):
    kaggle.scores = [{"status": "PENDING"}]
    assert pushed.run("submit", "-m", "one", "--no-wait").code == 0
    kaggle.submissions[777] = [{"status": "COMPLETE", "publicScore": "0.7"}]
    result = pushed.run("submit", "-m", "one")
    assert result.code == 0, result.text
    assert "handed in already (ref 777); --again" in result.out
    assert "public score 0.7" in result.out
    assert len(kaggle.asked("CreateSubmission")) == 1
    kaggle.scores = [{"status": "COMPLETE", "publicScore": "0.8"}]
    assert "public score 0.8" in pushed.run("submit", "-m", "one", "--again").out
    assert len(kaggle.asked("CreateSubmission")) == 2


def test_another_competition_is_another_submission(pushed: Desk, kaggle: StandIn):
    assert pushed.run("submit", "-m", "one").code == 0
    assert pushed.run("submit", "-m", "one", "--competition", "letters").code == 0
    sent = kaggle.asked("CreateSubmission")
    assert [one["competitionName"] for one in sent] == ["digits", "letters"]


def test_a_submission_of_the_same_words_is_not_taken_for_a_lost_one(
    pushed: Desk, kaggle: StandIn
):
    """Two runs, one message, a minute apart: the list holds the older one only."""
    assert pushed.run("submit", "-m", "same words").code == 0
    assert pushed.push("--force").code == 0
    kaggle.fail("CreateSubmission", status=500)
    result = pushed.run("submit", "-m", "same words")
    assert result.code == 8
    assert "no such submission is listed" in result.err


def test_a_refused_submission_may_be_sent_again(pushed: Desk, kaggle: StandIn):
    kaggle.fail("CreateSubmission", status=400)
    assert pushed.run("submit", "-m", "x").code == 5
    result = pushed.run("submit", "-m", "x")
    assert result.code == 0, result.text
    assert "broken off" not in result.out


def test_a_list_that_cannot_be_read_stops_a_second_submission(
    pushed: Desk, kaggle: StandIn
):
    kaggle.fail("CreateSubmission", status=500, after=True)
    kaggle.fail("ListSubmissions", status=404, times=2)
    for _ in range(2):
        result = pushed.run("submit", "-m", "x")
        assert result.code == 8
        assert "competitions/digits/submissions before you submit again" in result.err
    assert len(kaggle.asked("CreateSubmission")) == 1


def test_a_version_without_a_number_is_no_code_submission(desk: Desk, kaggle: StandIn):
    desk.write(competition_sources=["digits"])
    kaggle.tells_versions = False
    kaggle.fail("GetKernel", status=404, times=9)
    assert desk.push().code == 0
    result = desk.run("submit", "-m", "x", "--code")
    assert result.code == 2
    assert "takes a version by its number" in result.err
    assert desk.run("submit", "-m", "x", "--file").code == 0


def test_a_score_that_does_not_come_ends_at_the_deadline(pushed: Desk, kaggle: StandIn):
    kaggle.scores = [{"status": "PENDING"}]
    result = pushed.run("submit", "-m", "x", "--deadline", "0.05")
    assert result.code == 7
    assert "not scored yet" in result.err
    assert "waits on without handing in again" in result.err


def test_without_a_competition_there_is_nowhere_to_submit(desk: Desk):
    desk.push()
    result = desk.run("submit", "-m", "x")
    assert result.code == 2
    assert "--competition" in result.err


@pytest.mark.parametrize("client", ["installed", "oldest"])
def test_an_upload_that_failed_is_a_failure_with_every_client(
    pushed: Desk, kaggle: StandIn, client: str, request: pytest.FixtureRequest
):
    """2.2.4 prints that it could not submit, and exits with 0."""
    if client == "oldest":
        oldest = str(request.getfixturevalue("oldest_client"))
        paths = [pushed.env["PYTHONPATH"], oldest]
        pushed.env["PYTHONPATH"] = os.pathsep.join(paths)
    kaggle.fail("PUT", status=403, times=99)
    args = ("submit", str(pushed.kernel), "-m", "x", "--poll", "0.05")
    tool = pushed.start(*args)
    out, _ = tool.communicate(timeout=60)
    assert tool.returncode in (5, 8), out
    assert kaggle.asked("CreateSubmission") == []


def test_a_run_without_a_submission_has_nothing_to_hand_in(desk: Desk, kaggle: StandIn):
    desk.write("print('only training')\n")
    assert desk.push().code == 0
    result = desk.run("submit", "-m", "x", "--competition", "digits")
    assert result.code == 9
    assert kaggle.asked("StartSubmissionUpload") == []
