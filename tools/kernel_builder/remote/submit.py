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

from kernel_builder.errors import BadSubmission, PushRefused, TimedOut, UsageError
from kernel_builder.remote.asking import Patience, ask
from kernel_builder.remote.client import CallError, KaggleClient, as_error
from kernel_builder.remote.conclude import conclude, note_end
from kernel_builder.remote.retrying import backoff, span
from kernel_builder.remote.runs import record_event
from kernel_builder.remote.shared import (
    Located,
    add_remote_arguments,
    locate_run,
    open_client,
    patience_of,
)
from kernel_builder.remote.submitting import NAME, broken_off, hand_in, one_at_a_time
from kernel_builder.remote.watching import look_once, still_running

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
    parser.add_argument(
        "--again", action="store_true", help="though this run was handed in before"
    )


def run(args: argparse.Namespace, log: Callable[[str], None] = print) -> int:
    """Submit the newest push of a kernel, or the one that is named."""
    patience = patience_of(args, log)
    log = patience.log
    with open_client(args) as client:
        # Whatever the metadata says: what is handed in must be able to score.
        located = replace(locate_run(args, client, patience), needs_submission=True)
        with one_at_a_time(located, patience) as located:
            ref = hand_in_once(client, located, args, patience)
        if not args.no_wait:
            await_score(client, located, ref, patience)
    return 0


def hand_in_once(
    client: KaggleClient, located: Located, args: argparse.Namespace, patience: Patience
) -> int:
    """Submit the run, unless that was done before; the submission's reference."""
    competition = args.competition or located.run.competition
    if not competition:
        raise UsageError("no competition in the metadata; name it: --competition X")
    code = is_code_competition(client, competition, patience, args)
    if code:
        _refuse_internet(located)
        _require_version(located)
    ref = None if args.again else made_before(client, located, competition, patience)
    if ref is None:
        ref = submit_result(client, located, competition, code, args, patience)
    return ref


def made_before(
    client: KaggleClient, located: Located, competition: str, patience: Patience
) -> int | None:
    """The submission of this run that was made already, None without one.

    Raises:
        NetworkFailed: whether there is one cannot be told.
    """
    run = located.run
    ref = broken_off(client, located, competition, patience)
    if ref is None and run.submission and run.submitted_to in ("", competition):
        ref = run.submission
        patience.log(
            f"{run.label} was handed in already (ref {ref}); --again hands it in once "
            "more"
        )
    return ref


def submit_result(
    client: KaggleClient,
    located: Located,
    competition: str,
    code: bool,
    args: argparse.Namespace,
    patience: Patience,
) -> int:
    """Bring the run home, see that it would score, and hand it in; the reference.

    Raises:
        TimedOut: the run has not ended yet.
        ToolError: it failed, would not score, or Kaggle took no submission.
    """
    ended = look_once(client, located.run, patience)
    if ended is None:
        raise TimedOut(f"not ended yet: {still_running(located.run)}")
    note_end(client, located, ended)
    fetched = conclude(client, located, ended, patience)
    show_limits(client, competition, patience, before=True)
    path = fetched.folder / NAME
    ref = hand_in(client, located, competition, path, code, args.message, patience)
    show_limits(client, competition, patience, before=False)
    return ref


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


def _require_version(located: Located) -> None:
    if located.run.version is None:
        raise UsageError(
            f"{located.run.kernel}: a code competition takes a version by its number, "
            "and Kaggle does not tell it; hand it in at "
            f"https://www.kaggle.com/code/{located.run.kernel}, or push again"
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
            f"{limits.get('numToday')} were made; submit again tomorrow (UTC)"
        )
    if not before and left is not None:
        patience.log(f"submissions left today: {left}")


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
            raise TimedOut(
                f"submission {ref} is not scored yet; Kaggle goes on, and the same "
                "`submit` waits on without handing in again"
            )
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
        raise BadSubmission(
            f"submission {ref}: {problem or state}; `rehearse {located.shown} --rerun` "
            "may show why"
        )
    patience.log(f"public score {public or '(not published)'} for {located.run.label}")
