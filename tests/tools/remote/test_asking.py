import io
import random
import threading
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel_builder.remote.asking import Patience, ask
from kernel_builder.remote.client import CallError
from kernel_builder.remote.retrying import Deadline, backoff, span
from kernel_builder.remote.spinner import ERASE, Spinner


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.time = 100.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


class Scripted:
    """A client that fails as it is told."""

    call_timeout = 30.0

    def __init__(self, *failures: CallError) -> None:
        self.failures = list(failures)
        self.limits: list[float] = []

    def call(self, op: str, timeout: float, on_event: object) -> str:
        self.limits.append(timeout)
        if self.failures:
            raise self.failures.pop(0)
        return "answer"


def patience(clock: Clock, seconds: float = 1000.0) -> Patience:
    deadline = Deadline.after(seconds, clock.now)
    return Patience(deadline, 2.0, log=lambda line: None, sleep=clock.sleep)


def http(status: int, retry_after: str | None = None) -> CallError:
    return CallError("http", "no", status, retry_after)


def test_one_try_is_one_try_after_silence_too():
    clock, client = Clock(), Scripted(CallError("timeout", "silent"))
    once = replace(patience(clock), tries=1)
    with pytest.raises(CallError, match="silent"):
        ask(client, "status", once)
    assert clock.slept == []


def test_what_may_pass_is_asked_again_after_growing_delays():
    clock, client = Clock(), Scripted(http(500), http(502), CallError("network", "x"))
    assert ask(client, "status", patience(clock)) == "answer"
    assert len(clock.slept) == 3
    assert 1.5 <= clock.slept[0] <= 2.5
    assert clock.slept[2] > clock.slept[0]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409])
def test_what_will_not_pass_is_asked_once(status: int):
    clock = Clock()
    with pytest.raises(CallError):
        ask(Scripted(http(status)), "status", patience(clock))
    assert clock.slept == []


def test_four_tries_are_enough_and_two_after_a_silence():
    with pytest.raises(CallError):
        ask(Scripted(*[http(500)] * 4), "status", patience(Clock()))
    silence = CallError("timeout", "nothing")
    with pytest.raises(CallError):
        ask(Scripted(silence, silence), "status", patience(Clock()))


def test_kaggle_s_own_delay_is_kept_to_unless_it_is_too_long():
    clock = Clock()
    ask(Scripted(http(429, "17")), "status", patience(clock))
    assert clock.slept == [17.0]
    clock = Clock()
    with pytest.raises(CallError):
        ask(Scripted(http(429, "17")), "status", patience(clock, 10.0))
    assert clock.slept == []


def test_no_call_may_outlive_the_deadline():
    client = Scripted()
    ask(client, "status", patience(Clock(), 5.0))
    assert client.limits == [5.0]


@given(st.integers(0, 2**32), st.floats(0.01, 10), st.floats(10, 100))
def test_delays_grow_up_to_the_cap_and_are_never_in_step(
    seed: int, first: float, cap: float
):
    steps = backoff(first, cap, rng=random.Random(seed))
    delays = [next(steps) for _ in range(30)]
    assert first * 0.75 <= delays[0] <= first * 1.25
    assert all(cap * 0.75 <= delay <= cap * 1.25 for delay in delays[20:])
    assert len(set(delays)) > 20


@given(st.floats(0, 1e6))
def test_a_span_is_readable(seconds: float):
    assert span(seconds).split()[-1] in ("s", "min")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_spinner_turns_on_a_terminal_only():
    plain, terminal = io.StringIO(), Terminal()
    for stream in (plain, terminal):
        spinner = Spinner(stream, threading.Event().wait)
        spinner.line("RUNNING")
        spinner.sleep(0.01)
        spinner.line("COMPLETE")
    assert plain.getvalue() == "RUNNING\nCOMPLETE\n"
    assert terminal.getvalue().startswith(f"{ERASE}RUNNING\n{ERASE}|")
    assert terminal.getvalue().endswith(f"{ERASE}{ERASE}COMPLETE\n")


def test_progress_is_for_terminals():
    plain, terminal = io.StringIO(), Terminal()
    for stream in (plain, terminal):
        spinner = Spinner(stream)
        spinner.show("model.bin 3 MB")
        spinner.show("model.bin 4 MB")
    assert plain.getvalue() == ""
    assert terminal.getvalue() == f"{ERASE}| model.bin 3 MB"
