"""A push that Kaggle refuses, hampers or does not answer: once, or not at all."""

import pytest
from stand_in.fixtures import Desk, json_fault
from stand_in.safety import KEY
from stand_in.server import StandIn, wait_until


def test_credentials_that_kaggle_does_not_know(desk: Desk, kaggle: StandIn):
    kaggle.keys.clear()
    result = desk.push()
    assert result.code == 10
    assert "does not accept the credentials" in result.err
    assert KEY not in result.text


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (400, 5, "less than 1 megabytes"),
        (403, 5, "rules are not accepted"),
        (404, 5, "misspelt"),
        (409, 5, "another slug"),
    ],
)
def test_a_push_that_kaggle_answers_with_an_error_is_refused_once(
    desk: Desk, kaggle: StandIn, status: int, code: int, said: str
):
    text = "The kernel source must be less than 1 megabytes in size."
    kaggle.fail("SaveKernel", **json_fault(status, text))
    result = desk.push()
    assert result.code == code
    assert said in result.err
    assert len(kaggle.asked("SaveKernel")) == 1


def test_too_many_requests_are_waited_out_as_long_as_kaggle_asks(
    desk: Desk, kaggle: StandIn
):
    wait = {"Retry-After": "1"}
    kaggle.fail("SaveKernel", **json_fault(429, "Too many requests", headers=wait))
    kaggle.fail("SaveKernel", **json_fault(429, "Too many requests"))
    result = desk.run("push")
    assert result.code == 0, result.text
    assert "trying again in 1 s" in result.out
    assert len(kaggle.kernels["tester/my-kernel"]) == 1


def test_a_retry_after_beyond_the_deadline_is_not_waited_for(
    desk: Desk, kaggle: StandIn
):
    wait = {"Retry-After": "3600"}
    kaggle.fail("SaveKernel", **json_fault(429, "Too many requests", headers=wait))
    result = desk.push("--deadline", "1")
    assert result.code == 8
    assert "slow down" in result.err


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 502, "body": "<html><title>502 Bad Gateway</title></html>"},
        {"status": 200, "body": "<html>a page</html>"},
        {"reset": True},
    ],
    ids=["500", "502 page", "200 page", "reset"],
)
def test_a_server_error_is_tried_again_and_then_a_failure(
    desk: Desk, kaggle: StandIn, fault: dict
):
    kaggle.fail("SaveKernel", times=2, **fault)
    assert desk.run("push").code == 0
    assert len(kaggle.kernels["tester/my-kernel"]) == 1
    kaggle.fail("SaveKernel", times=99, **fault)
    result = desk.run("push", "--force")
    assert result.code == 8
    assert len(kaggle.asked("SaveKernel")) <= 8


@pytest.mark.parametrize("fault", [{"status": 500}, {"reset": True}, {"hang": 30}])
def test_a_push_whose_answer_was_lost_is_not_made_twice(
    desk: Desk, kaggle: StandIn, fault: dict
):
    kaggle.fail("SaveKernel", after=True, **fault)
    result = desk.push("--call-timeout", "2")
    assert result.code == 0, result.text
    assert "the push arrived" in result.out
    assert len(kaggle.kernels["tester/my-kernel"]) == 1


def test_a_push_is_looked_for_through_more_trouble(desk: Desk, kaggle: StandIn):
    kaggle.fail("SaveKernel", after=True, reset=True)
    kaggle.fail("GetKernel", status=502, times=2)
    result = desk.push()
    assert result.code == 0, result.text
    assert "the push arrived" in result.out
    assert len(kaggle.kernels["tester/my-kernel"]) == 1


def test_a_lost_answer_is_not_pushed_again_where_nothing_shows_the_source(
    desk: Desk, kaggle: StandIn
):
    kaggle.fail("SaveKernel", after=True, reset=True)
    kaggle.fail("GetKernel", status=404, times=9)
    result = desk.push()
    assert result.code == 8
    assert "Whether it arrived is not known" in result.err
    assert len(kaggle.kernels["tester/my-kernel"]) == 1


def test_a_version_that_kaggle_does_not_tell_is_known_by_its_log(
    desk: Desk, kaggle: StandIn
):
    kaggle.tells_versions = False
    kaggle.fail("GetKernel", status=404, times=99)
    result = desk.push()
    assert result.code == 0, result.text
    assert "does not tell the version" in result.out
    assert len(kaggle.kernels["tester/my-kernel"]) == 1
    # Picked up later: still of no number, still not taken for a lost push.
    assert desk.run("fetch").code == 0
    assert "complete" in desk.run("runs").out


def test_a_version_that_the_answer_lacks_is_read_from_the_kernel(
    desk: Desk, kaggle: StandIn
):
    kaggle.tells_versions = False
    kaggle.add_version("tester/my-kernel")
    result = desk.push("--force")
    assert result.code == 0, result.text
    assert "version 2: COMPLETE" in result.out


def test_a_kill_while_the_push_is_sent_says_that_it_may_have_arrived(
    desk: Desk, kaggle: StandIn
):
    kaggle.fail("SaveKernel", hang=30, after=True)
    tool = desk.start("push", str(desk.kernel), "--poll", "0.05")
    wait_until(lambda: bool(kaggle.kernels), 60)
    tool.terminate()
    out, _ = tool.communicate(timeout=20)
    assert tool.returncode == 130
    assert "whether the push arrived is not known: `wait` finds out" in out
    assert desk.run("wait").code == 0
    assert len(kaggle.kernels["tester/my-kernel"]) == 1


def test_a_server_that_hangs_is_given_up(desk: Desk, kaggle: StandIn):
    kaggle.fail("SaveKernel", hang=60)
    result = desk.push("--call-timeout", "1.5")
    assert result.code == 7
    assert "no answer within" in result.err


def test_no_call_outlives_the_deadline(desk: Desk, kaggle: StandIn):
    kaggle.fail("GetKernelSessionStatus", hang=60, times=9)
    result = desk.push("--deadline", "0.03")
    assert result.code == 7


def test_a_slow_kaggle_is_no_trouble(desk: Desk, kaggle: StandIn):
    for method in ("SaveKernel", "GetKernelSessionStatus", "ListKernelSessionOutput"):
        kaggle.slow[method] = 0.3
    assert desk.push().code == 0
    assert len(kaggle.kernels["tester/my-kernel"]) == 1


def test_sources_that_a_lost_answer_may_have_named(desk: Desk, kaggle: StandIn):
    kaggle.fail("SaveKernel", status=500, after=True)
    desk.write(dataset_sources=["a/words"], model_sources=["g/m/pytorch/d/1"])
    result = desk.run("push", "--no-check")
    assert result.code == 0, result.text
    assert "not among the version's sources: g/m/pytorch/d/1" in result.out
