"""Turn what was measured into checks R01-R12, each with what Kaggle would have said."""

import re
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kernel_builder.rehearse.meters import Limits, Outcome, folder_size
from kernel_builder.rehearse.report import Check, duration, size
from kernel_builder.rehearse.sandbox import NO_TOKEN
from kernel_builder.rehearse.verify import NAME, verify_submission

THREW = "Notebook Threw Exception"
TIMEOUT = "Notebook Timeout"
COMPUTE = "Notebook Exceeded Allowed Compute"
NOT_FOUND = "Submission CSV Not Found"
SCORING = "Submission Scoring Error"
MEMORY_TEXT = "Your notebook tried to allocate more memory than is available."
TIME_TEXT = (
    "Your notebook was stopped because it exceeded the max allowed execution duration."
)
NEAR = 0.8  # of a limit: a warning
MOST_NAMED = 5
MOST_PROBLEMS = 4


@dataclass(frozen=True)
class Case:
    """One run to judge.

    Attributes:
        name: "new layout", "hidden test: one row", ...
        rerun: whether it stands for Kaggle's hidden-test rerun.
        end_marker: the line the built file prints last; None when it prints none.
        sample: what the submission must look like; None when unknown.
        wants_submission: whether a submission.csv is expected at all.
        real: the answers are real numbers although the sample shows whole ones.
        rows, hidden_rows: test rows here and in the hidden test, 0 when unknown.
    """

    name: str
    outcome: Outcome
    working: Path
    limits: Limits
    rerun: bool = False
    end_marker: str | None = None
    sample: Path | None = None
    wants_submission: bool = True
    real: bool = False
    rows: int = 0
    hidden_rows: int = 0


def judge(case: Case) -> tuple[Check, ...]:
    """All checks of one run, in the order of their ids."""
    rules: tuple[Callable[[Case], Sequence[Check]], ...] = (
        *(_exit_status, _end_marker, _submission, _memory, _outputs, _projection),
        *(_hang, _network, _outside, _left_overs, _secrets, _log_size),
    )
    checks = [check for rule in rules for check in rule(case)]
    return tuple(replace(check, run=case.name) for check in checks)


def _passed(id: str, message: str) -> list[Check]:
    return [Check(id, True, "error", message)]


def _failed(id: str, message: str, kaggle: str = "") -> list[Check]:
    return [Check(id, False, "error", message, kaggle)]


def _warning(id: str, message: str, kaggle: str = "") -> list[Check]:
    return [Check(id, False, "warning", message, kaggle)]


def _exit_status(case: Case) -> list[Check]:
    outcome = case.outcome
    if outcome.returncode == 0:
        return _passed("R01", "exit code 0")
    kaggle = THREW if case.rerun else "status ERROR"
    if outcome.stopped == "time":
        limit = duration(case.limits.wall_s)
        text = f"stopped at the time limit of {limit}: Kaggle says {TIME_TEXT!r}"
        return _failed("R01", text, TIMEOUT)
    if outcome.stopped:
        return []  # R04, R05, R07 and R12 say it better
    return _failed(
        "R01", f"Kaggle status would be ERROR: {_reason(outcome.returncode)}", kaggle
    )


def _reason(code: int | None) -> str:
    """What an exit code means."""
    if code is None:
        return "no exit code"
    number = -code if code < 0 else code - 128 if code > 128 else 0
    names = {
        signal.SIGSEGV: "a native crash (segmentation fault)",
        9: "killed: usually out of memory",
        signal.SIGABRT: "aborted by a native library",
    }
    if number:
        return f"exit code {128 + number}, {names.get(number, f'signal {number}')}"
    return f"exit code {code}"


def _end_marker(case: Case) -> list[Check]:
    outcome = case.outcome
    if case.end_marker is None or outcome.returncode != 0:
        return []
    if outcome.log.seconds_of(case.end_marker) is not None:
        return _passed("R02", "ran to its last line")
    text = "the script ended early though its exit code was 0 (sys.exit, os._exit?)"
    return _failed("R02", text, "status COMPLETE, unfinished")


def _submission(case: Case) -> list[Check]:
    """Check submission.csv; Kaggle looks at none of a run that failed."""
    if not case.wants_submission or case.outcome.returncode != 0:
        return []
    problems = verify_submission(case.working, case.sample, real=case.real)
    if not problems:
        against = "its sample" if case.sample else "no sample: only header and rows"
        return _passed("R03", f"{NAME} would score (checked against {against})")
    found = (case.working / NAME).is_file()
    more = len(problems) - MOST_PROBLEMS
    text = "; ".join(problems[:MOST_PROBLEMS]) + (f"; {more} more" if more > 0 else "")
    said = SCORING if found else NOT_FOUND
    return _failed("R03", f"{said}: {text}", said)


def _memory(case: Case) -> list[Check]:
    peak, limit = case.outcome.peak_bytes, case.limits.memory_bytes
    if peak == 0:
        return _warning("R04", "memory could not be measured on this machine")
    text = f"peak memory {size(peak)} of {size(limit)}"
    if case.outcome.stopped == "memory" or peak > limit:
        said = f"{COMPUTE}: {text}; Kaggle says {MEMORY_TEXT!r}"
        return _failed("R04", said, COMPUTE)
    if peak > NEAR * limit:
        return _warning("R04", f"{text}: close to the limit", COMPUTE)
    return _passed("R04", text)


def _outputs(case: Case) -> list[Check]:
    total, files = folder_size(case.working)
    text = f"{files} file{'s' * (files != 1)}, {size(total)} in /kaggle/working"
    if case.outcome.stopped == "disk":
        return _failed("R05", f"stopped before this machine's disk was full: {text}")
    if total > case.limits.working_bytes:
        limit = size(case.limits.working_bytes)
        return _warning("R05", f"out of disk at session end: {text}, limit {limit}")
    if files > case.limits.working_files:
        limit = str(case.limits.working_files)
        return _warning("R05", f"{text}: only {limit} files are sure to be kept")
    return _passed("R05", text)


def _projection(case: Case) -> list[Check]:
    """Extrapolate the whole run's time to the hidden rows: an upper estimate."""
    outcome, limit = case.outcome, case.limits.rerun_s
    if not case.hidden_rows or not case.rows or outcome.returncode != 0:
        return []
    expected = outcome.wall_s * max(1.0, case.hidden_rows / case.rows)
    text = (
        f"at most {duration(expected)} of {duration(limit)} for {case.hidden_rows} "
        f"hidden rows ({duration(outcome.wall_s)} for {case.rows} here)"
    )
    if expected > limit:
        why = "if all of it grows with the test; --rerun measures that"
        return _warning("R06", f"{TIMEOUT} is possible: {text} {why}", TIMEOUT)
    return _passed("R06", text)


def _hang(case: Case) -> list[Check]:
    if case.outcome.stopped != "silence":
        return _passed("R07", "no hang")
    text = (
        f"hang: no output and no CPU time for {duration(case.limits.silence_s)}; "
        "this is a third of all failed submissions"
    )
    return _failed("R07", text, TIMEOUT)


def _observed(outcome: Outcome, *kinds: str) -> list[str]:
    return [what for kind, what in outcome.events if kind in kinds]


def _named(items: Sequence[str]) -> str:
    more = len(items) - MOST_NAMED
    return ", ".join(items[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _network(case: Case) -> list[Check]:
    hosts = _observed(case.outcome, "network")
    if not hosts:
        return _passed("R08", "no network")
    return _warning("R08", f"tried to reach {_named(hosts)}: there is no internet")


def _outside(case: Case) -> list[Check]:
    reads = _observed(case.outcome, "read")
    writes = _observed(case.outcome, "write")
    checks = []
    if reads:
        checks += _warning("R09", f"reads {_named(reads)}: absent on Kaggle")
    if writes:
        text = f"writes {_named(writes)}: outside /kaggle/working, so not kept"
        checks += _warning("R09", text)
    return checks or _passed("R09", "reads only what Kaggle has")


def _left_overs(case: Case) -> list[Check]:
    outcome = case.outcome
    if outcome.stopped == "not exiting":
        text = "process did not exit after its last line: a non-daemon thread is left"
        return _failed("R12", text, TIMEOUT)
    if outcome.left_overs:
        commands = [re.sub(r"\s+", " ", text)[:80] for text in outcome.left_overs]
        return _warning("R12", f"left processes running: {_named(commands)}")
    return _passed("R12", "nothing left running")


def _secrets(case: Case) -> list[Check]:
    if NO_TOKEN not in case.outcome.log.text():
        return []  # which proves little: only what was printed here
    text = (
        "printed a session token of its environment (KAGGLE_*_TOKEN): never print "
        "os.environ on Kaggle, logs may be public"
    )
    return _failed("S22", text)


def _log_size(case: Case) -> list[Check]:
    written, limit = case.outcome.log.bytes, case.limits.log_bytes
    if written <= limit:
        return _passed("S26", f"log of {size(written)}")
    return _warning("S26", f"log is {size(written)}: Kaggle keeps {size(limit)}")
