"""Hand a run's result in, and wait for the score.

A file competition takes the run's submission.csv; a code competition takes the kernel's
version, which Kaggle runs again on the hidden test set.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from kernel_builder.asking import Patience, ask
from kernel_builder.client import CallError, KaggleClient, as_error
from kernel_builder.conclude import conclude, note_end
from kernel_builder.errors import (
    BadSubmission,
    NetworkFailed,
    PushRefused,
    TimedOut,
    UsageError,
)
from kernel_builder.remote import (
    Located,
    add_remote_arguments,
    locate_run,
    open_client,
    patience_of,
)
from kernel_builder.retrying import backoff, span
from kernel_builder.runs import record_event
from kernel_builder.watching import look_once, still_running

NAME = "submission.csv"
LONGEST_POLL = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `submit`."""
    add_remote_arguments(parser)
    parser.add_argument("-m", "--message", required=True, help="the description")
    parser.add_argument("--competition", help="default: the metadata's first source")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--file", action="store_true", help="upload submission.csv")
    kind.add_argument("--code", action="store_true", help="submit the kernel version")
    parser.add_argument("--no-wait", action="store_true", help="do not await the score")


def run(args: argparse.Namespace, log: Callable[[str], None] = print) -> int:
    """Submit the newest push of a kernel, or the one that is named."""
    patience = patience_of(args, log)
    log = patience.log
    with open_client(args) as client:
        # Whatever the metadata says: what is handed in must be able to score.
        located = replace(locate_run(args, client, patience), needs_submission=True)
        competition = args.competition or located.run.competition
        if not competition:
            raise UsageError("no competition in the metadata; name it: --competition X")
        code = is_code_competition(client, competition, patience, args)
        if code:
            _refuse_internet(located)
        ended = look_once(client, located.run, patience)
        if ended is None:
            raise TimedOut(f"not ended yet: {still_running(located.run)}")
        note_end(client, located, ended)
        fetched = conclude(client, located, ended, patience)
        show_limits(client, competition, patience, before=True)
        path = fetched.folder / NAME
        ref = _hand_in(client, located, competition, path, code, args.message, patience)
        show_limits(client, competition, patience, before=False)
        if not args.no_wait:
            await_score(client, located, ref, patience)
    return 0


def is_code_competition(
    client: KaggleClient,
    competition: str,
    patience: Patience,
    args: argparse.Namespace,
) -> bool:
    """Whether the competition takes kernels only; the arguments decide, else Kaggle.

    Raises:
        PushRefused: the user has not entered the competition.
    """
    if args.file or args.code:
        return bool(args.code)
    try:
        known = ask(client, "competition", patience, name=competition)
    except CallError as failure:
        if failure.status == 401 or failure.kind == "credentials":
            raise as_error(failure, f"submit to {competition}") from failure
        patience.log(f"note: taken for a file competition ({failure}); else --code")
        return False
    if known["entered"] is False:
        patience.log(
            f"note: Kaggle says that you have not joined {competition}: accept its "
            f"rules at https://www.kaggle.com/competitions/{competition}/rules"
        )
    return bool(known["kernels_only"])


def _refuse_internet(located: Located) -> None:
    path = (located.built or Path()) / "kernel-metadata.json"
    if located.built and path.is_file():
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw.get("enable_internet", True):
            raise UsageError(
                f"{path}: a code competition takes no kernel that had internet: set "
                "enable_internet to false and push again"
            )


def show_limits(
    client: KaggleClient, competition: str, patience: Patience, before: bool
) -> None:
    """Say how many submissions are left today.

    Raises:
        PushRefused: none is left (asked before submitting).
    """
    try:
        limits = ask(client, "limits", patience, competition=competition)
    except CallError:
        return
    left = limits.get("numAllowedNow")
    if before and left == 0:
        raise PushRefused(
            f"{competition}: no submission is left today, "
            f"{limits.get('numToday')} were made"
        )
    if not before and left is not None:
        patience.log(f"submissions left today: {left}")


def _hand_in(
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
    run = located.run
    began = time.time()
    args: dict[str, Any] = {"competition": competition, "message": message}
    if code:
        args |= {"kernel": run.kernel, "version": run.version, "name": NAME}
    else:
        args |= {"path": str(path.absolute())}
    try:
        limit = max(1.0, patience.deadline.within(10 * client.call_timeout))
        op = "submit_code" if code else "submit_file"
        answer = client.call(op, timeout=limit, **args)
    except CallError as failure:
        if failure.kind == "http" and 400 <= failure.status < 500:
            if failure.status in (401, 429):
                raise as_error(failure, f"submit to {competition}") from failure
            raise PushRefused(
                f"{competition} refused the submission ({failure.status}: {failure}); "
                "are its rules accepted? "
                f"https://www.kaggle.com/competitions/{competition}/rules"
            ) from failure
        ref = _lost_submission(client, competition, message, began, patience)
        if ref is None:
            error = as_error(failure, f"submit to {competition}")
            raise type(error)(f"{error}; no such submission is listed") from failure
        answer = {"ref": ref, "message": "the answer was lost, the submission was made"}
    said = client.clean(str(answer.get("message") or ""))
    ref = int(answer.get("ref") or 0)
    # 2.2.4 answers a failed upload with this text, no reference, and exit code 0.
    if not ref:
        raise NetworkFailed(f"{competition} took no submission: {said or 'no answer'}")
    patience.log(f"submitted to {competition} (ref {ref}): {said}")
    record_event(located.project.root, run.run_id, "submitted", submission=ref)
    return ref


def _lost_submission(
    client: KaggleClient,
    competition: str,
    message: str,
    began: float,
    patience: Patience,
) -> int | None:
    """A submission made since `began` with this message, None when there is none."""
    try:
        listed = ask(client, "submissions", patience, competition=competition)
    except CallError as failure:
        raise NetworkFailed(
            f"submit to {competition}: no answer, and the list of submissions cannot "
            f"be read ({failure}); look there before you submit again"
        ) from failure
    # Clocks differ by a little; a submission is told by its own message as well.
    earliest = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(began - 120))
    for one in listed:
        if one.get("description") == message and str(one.get("date")) >= earliest:
            return int(one["ref"])
    return None


def await_score(
    client: KaggleClient, located: Located, ref: int, patience: Patience
) -> None:
    """Wait until the submission is scored, and record the score.

    Raises:
        BadSubmission: it could not be scored; COMPLETE with an error counts as that.
        TimedOut: the deadline passed.
    """
    delays = backoff(patience.first_delay, LONGEST_POLL)
    began, state = time.monotonic(), ""
    while True:
        try:
            one = ask(client, "submission", patience, ref=ref)
        except CallError as failure:
            # A new submission is not readable everywhere at once.
            if failure.status != 404 or time.monotonic() - began > 120:
                raise as_error(failure, f"score of submission {ref}") from failure
            one = {"status": "PENDING"}
        if one["status"] != state:
            state = one["status"]
            patience.log(
                f"[{span(time.monotonic() - began)}] submission {ref}: {state}"
            )
        if state != "PENDING":
            break
        if patience.deadline.passed:
            raise TimedOut(f"submission {ref} is not scored yet; Kaggle goes on")
        patience.pause(next(delays))
    problem = client.clean(str(one.get("errorDescription") or ""))
    public = str(one.get("publicScore") or "")
    record_event(
        located.project.root,
        located.run.run_id,
        "scored",
        public=public,
        private=str(one.get("privateScore") or ""),
        score_error=problem,
    )
    if problem or state != "COMPLETE":
        raise BadSubmission(f"submission {ref}: {problem or state}")
    patience.log(f"public score {public or '(not published)'} for {located.run.label}")
