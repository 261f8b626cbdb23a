"""Hand a result in exactly once, whatever becomes of the answer or of this process.

A submission counts against the day's few. So what is about to be sent is recorded
before it is sent: when the answer was lost, or the tool was killed, Kaggle's own list
tells whether the submission was made.
"""

import contextlib
import itertools
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from kernel_builder.errors import NetworkFailed, PushRefused, TimedOut
from kernel_builder.files import locked
from kernel_builder.remote.asking import LONGEST_DELAY, Patience, ask
from kernel_builder.remote.client import CallError, KaggleClient, as_error
from kernel_builder.remote.retrying import backoff, span
from kernel_builder.remote.runs import read_runs, record_event
from kernel_builder.remote.shared import Located

NAME = "submission.csv"
# How the client answers a failed upload: this text, no reference, exit code 0 in 2.2.4.
UPLOAD_FAILED = "Could not submit to competition"
# The calls that make a submission; those before them only prepare it.
CREATE = ("CreateSubmission", "CreateCodeSubmission")
# Clocks differ by a little; a submission is told by its own message as well.
CLOCK_SECONDS = 120.0
LOCK_SECONDS = 0.2


@contextlib.contextmanager
def one_at_a_time(located: Located, patience: Patience) -> Iterator[Located]:
    """Let one process at a time hand in runs of a kernel; the run as it is by then.

    Raises:
        TimedOut: another one is still at it when the deadline passes.
    """
    folder = located.runs_folder
    folder.mkdir(parents=True, exist_ok=True)
    said = False

    def wait() -> None:
        nonlocal said
        if patience.deadline.passed:
            raise TimedOut(
                f"{located.shown}: another `submit` of this kernel is under way; see "
                "`runs` before you try again"
            )
        if not said:
            patience.log("another `submit` of this kernel is under way: waiting for it")
        said = True
        patience.pause(LOCK_SECONDS)

    with locked(folder / ".submit-lock", wait):
        known = {run.run_id: run for run in read_runs(located.project.root)}
        yield replace(located, run=known.get(located.run.run_id, located.run))


def broken_off(
    client: KaggleClient, located: Located, competition: str, patience: Patience
) -> int | None:
    """The reference of a submission of this run whose sending was broken off.

    None where there was none, or where it never arrived.

    Raises:
        NetworkFailed: Kaggle's list of submissions cannot be read.
    """
    run = located.run
    if not run.asked_at or run.asked_for != competition:
        return None
    ref = _listed(client, located, competition, run.asked_with, run.asked_at, patience)
    if ref is None:
        patience.log(
            "note: an earlier submission of this run was broken off; Kaggle does not "
            "list it, so it is handed in now"
        )
        return None
    patience.log(f"an earlier submission was broken off, but it arrived (ref {ref})")
    _record(located, competition, ref)
    return ref


def hand_in(
    client: KaggleClient,
    located: Located,
    competition: str,
    path: Path,
    code: bool,
    message: str,
    patience: Patience,
) -> int:
    """Submit once; the reference Kaggle gives it.

    Raises:
        PushRefused: Kaggle refused.
        NetworkFailed: nobody can tell whether it was taken.
    """
    run, root = located.run, located.project.root
    began = time.time()
    asked = {"asked_at": began, "asked_for": competition, "asked_with": message}
    record_event(root, run.run_id, "submitting", **asked)
    args: dict[str, Any] = {"competition": competition, "message": message}
    if code:
        args |= {"kernel": run.kernel, "version": run.version, "name": NAME}
    else:
        args |= {"path": str(path.absolute())}
    try:
        answer = _send(client, "submit_code" if code else "submit_file", args, patience)
    except CallError as failure:
        if failure.kind == "http" and 400 <= failure.status < 500:
            record_event(root, run.run_id, "not submitted", asked_at=0.0)
            raise _refused(failure, competition) from failure
        ref = _listed(client, located, competition, message, began, patience)
        if ref is None:
            error = as_error(failure, f"submit to {competition}")
            raise type(error)(
                f"{error}; no such submission is listed: submit again"
            ) from failure
        answer = {"ref": ref, "message": "the answer was lost, the submission was made"}
    said = client.clean(str(answer.get("message") or ""))
    ref = int(answer.get("ref") or 0)
    if not ref:
        record_event(root, run.run_id, "not submitted", asked_at=0.0)
        raise NetworkFailed(
            f"{competition} took no submission: {said or 'no answer'}; submit again"
        )
    patience.log(f"submitted to {competition} (ref {ref}): {said}")
    _record(located, competition, ref)
    return ref


def _send(
    client: KaggleClient, op: str, args: dict[str, Any], patience: Patience
) -> dict[str, Any]:
    """Send once; again only after a failure that surely came before the submission.

    Raises:
        CallError: it cannot be sent, or nobody can tell whether it was taken.
    """
    delays = backoff(patience.first_delay, LONGEST_DELAY)
    for attempt in itertools.count(1):
        # An upload takes longer than a question.
        limit = max(1.0, patience.deadline.within(10 * client.call_timeout))
        try:
            answer: dict[str, Any] = client.call(op, timeout=limit, **args)
            if UPLOAD_FAILED not in str(answer.get("message")):
                return answer
            failure = CallError("network", UPLOAD_FAILED, where="upload")
        except CallError as error:
            failure = error
        reached = failure.maybe_done and failure.where in ("", *CREATE)
        delay = failure.wait if failure.wait is not None else next(delays)
        late = attempt >= patience.tries or patience.deadline.left() <= delay
        if reached or late or not failure.passing:
            raise failure
        patience.log(f"submit: {failure}; trying again in {span(delay)}")
        patience.pause(delay)
    raise AssertionError("unreachable: the last try returns or raises")


def _record(located: Located, competition: str, ref: int) -> None:
    record_event(
        located.project.root,
        located.run.run_id,
        "submitted",
        submission=ref,
        submitted_to=competition,
        asked_at=0.0,
        # What an earlier submission of the same run got is not this one's.
        public="",
        private="",
        score_error="",
    )


def _refused(failure: CallError, competition: str) -> Exception:
    if failure.status in (401, 429):
        return as_error(failure, f"submit to {competition}")
    return PushRefused(
        f"{competition} refused the submission ({failure.status}: {failure}); "
        f"are its rules accepted? https://www.kaggle.com/competitions/{competition}"
        "/rules"
    )


def _listed(
    client: KaggleClient,
    located: Located,
    competition: str,
    message: str,
    began: float,
    patience: Patience,
) -> int | None:
    """A submission made since `began` with this message, None when there is none.

    Raises:
        NetworkFailed: the list cannot be read.
    """
    try:
        listed = ask(client, "submissions", patience, competition=competition)
    except CallError as failure:
        raise NetworkFailed(
            f"submit to {competition}: no answer, and the list of submissions cannot "
            f"be read ({failure}); look at https://www.kaggle.com/competitions/"
            f"{competition}/submissions before you submit again"
        ) from failure
    moment = time.gmtime(began - CLOCK_SECONDS)
    earliest = time.strftime("%Y-%m-%dT%H:%M:%S", moment)
    others = {run.submission for run in read_runs(located.project.root)}
    for one in listed:
        ref = int(one.get("ref") or 0)
        recent = str(one.get("date")) >= earliest
        if one.get("description") == message and recent and ref not in others:
            return ref
    return None
