"""Save a kernel on Kaggle exactly once, and judge the whole answer.

A push that was refused comes with HTTP 200 and the client's exit code 0, one whose
sources were dropped too. A push whose answer was lost may have arrived: the newest
version's source tells, because it bears the id of this run.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kernel_builder.emit.build import Built
from kernel_builder.errors import PushRefused, TimedOut
from kernel_builder.read.project import Project
from kernel_builder.remote.asking import LONGEST_DELAY, Patience, ask
from kernel_builder.remote.client import CallError, KaggleClient, as_error
from kernel_builder.remote.retrying import backoff, span
from kernel_builder.remote.runs import Run, record_event
from kernel_builder.remote.shared import find_version
from kernel_builder.remote.watching import still_running

# "Maximum batch GPU session count of 2 reached."
SESSION_CAP = "session count"
SLOT_HINT = "; with --deadline MIN push waits for a free session"
LATER_HINT = "; none became free before the deadline: push again later"
SOURCE_KINDS = {
    "invalidDatasetSources": "dataset_sources",
    "invalidCompetitionSources": "competition_sources",
    "invalidKernelSources": "kernel_sources",
    "invalidModelSources": "model_sources",
    "invalidTags": "keywords",
}


@dataclass(frozen=True)
class Prepared:
    """A kernel built for one push: its run, the files, the normalised metadata."""

    run: Run
    project: Project
    built: Built
    metadata: dict[str, Any]

    @property
    def folder(self) -> Path:
        """The folder that the client pushes."""
        return self.built.code_path.parent

    def uses(self, kind: str) -> bool:
        """Whether the run takes from the weekly quota of "gpu" or "tpu"."""
        shape = str(self.metadata.get("machine_shape") or "")
        named = shape.startswith({"gpu": "Nvidia", "tpu": "Tpu"}[kind])
        return bool(self.metadata.get(f"enable_{kind}")) or named


def push(
    client: KaggleClient,
    prepared: Prepared,
    patience: Patience,
    args: argparse.Namespace,
) -> Run:
    """Push, waiting for a free session where a deadline was given; the recorded run.

    Raises:
        PushRefused: Kaggle refused, or dropped a source.
        ToolError: Kaggle did not answer.
    """
    run, root = prepared.run, prepared.project.root
    record_event(
        root,
        run.run_id,
        "push",
        kernel=run.kernel,
        built=run.built,
        commit=run.commit,
        dirty=run.dirty,
        sha256=run.sha256,
        accelerator=run.accelerator,
        competition=run.competition,
        cfg=run.cfg,
    )
    patience.log(f"pushing {run.kernel} (run {run.run_id})")
    try:
        answer = _save(client, prepared, patience, args)
    except KeyboardInterrupt:
        patience.log(
            "\nstopped; whether the push arrived is not known: `wait` finds out"
        )
        raise
    except PushRefused as error:
        record_event(root, run.run_id, "refused", refused=str(error))
        raise
    for note in client.notes:
        patience.log(f"note from the client: {note}")
    return _judge(client, prepared, patience, answer)


def _save(
    client: KaggleClient,
    prepared: Prepared,
    patience: Patience,
    args: argparse.Namespace,
) -> dict[str, Any]:
    """Save the kernel on Kaggle exactly once; the answer of a push that was taken."""
    seconds = None if args.time_limit is None else round(60 * args.time_limit)
    delays = backoff(patience.first_delay, LONGEST_DELAY)
    failures = 0
    while True:
        # A push takes longer than a question: it carries up to a megabyte.
        limit = max(1.0, patience.deadline.within(2 * client.call_timeout))
        try:
            answer: dict[str, Any] = client.call(
                "push",
                timeout=limit,
                folder=str(prepared.folder.absolute()),
                session_seconds=seconds,
            )
        except CallError as failure:
            failures += 1
            arrived = _arrived(client, prepared, failure, patience)
            if arrived is not None:
                patience.log(f"the answer was lost ({failure}), but the push arrived")
                _warn_of_missing(prepared, arrived, patience)
                return {"versionNumber": arrived["version"]}
            delay = failure.wait if failure.wait is not None else next(delays)
            if failures >= patience.tries or patience.deadline.left() <= delay:
                raise as_error(failure, f"push of {prepared.run.kernel}") from failure
            patience.log(f"push: {failure}; trying again in {span(delay)}")
            patience.pause(delay)
            continue
        error = str(answer.get("error") or "")
        if not error:
            return answer
        # Only a deadline that somebody chose makes waiting for a slot what they want.
        may_wait = args.deadline is not None and not patience.deadline.passed
        if SESSION_CAP not in error.lower() or not may_wait:
            hint = ""
            if SESSION_CAP in error.lower():
                hint = SLOT_HINT if args.deadline is None else LATER_HINT
            said = client.clean(error).rstrip(".")
            raise PushRefused(f"Kaggle refused the push: {said}{hint}")
        delay = next(delays)
        patience.log(f"no free session ({client.clean(error)}), again in {span(delay)}")
        patience.pause(delay)


def _arrived(
    client: KaggleClient, prepared: Prepared, failure: CallError, patience: Patience
) -> dict[str, Any] | None:
    """What Kaggle has of a push that arrived although it failed; None: do it again.

    Raises:
        ToolError: the failure is final, or nobody can tell whether the push arrived.
    """
    kernel = prepared.run.kernel
    if failure.kind == "http" and 400 <= failure.status < 500 and not failure.passing:
        if failure.status == 401:
            raise as_error(failure, f"push of {kernel}") from failure
        reason = _reason(failure, prepared.run.competition or "<slug>")
        raise PushRefused(f"Kaggle refused the push of {kernel}: {reason}")
    if not failure.passing:
        raise as_error(failure, f"push of {kernel}") from failure
    if not failure.maybe_done:
        return None
    try:
        latest = ask(client, "kernel", patience, kernel=kernel)
    except CallError as second:
        dropped = failure.kind != "timeout"
        if second.absent and dropped and _is_absent(client, prepared, failure):
            return None
        error = as_error(failure, f"push of {kernel}")
        raise type(error)(
            f"{error}. Whether it arrived is not known: `wait` finds out"
        ) from failure
    if prepared.run.run_id in latest["source"] and latest["version"]:
        found: dict[str, Any] = latest
        return found
    if failure.kind == "timeout":
        # It may still arrive: a second push could make two runs of one.
        raise TimedOut(
            f"push of {kernel}: {failure}; it has not arrived so far. `wait` finds it "
            "if it does, else push again"
        ) from failure
    return None


def _is_absent(client: KaggleClient, prepared: Prepared, lost: CallError) -> bool:
    """Whether Kaggle says that it has no run of this kernel, or that it took none."""
    if lost.kind == "http":
        return True
    try:
        client.call("status", kernel=prepared.run.kernel, version=None)
    except CallError as failure:
        return failure.absent
    return False


def _warn_of_missing(
    prepared: Prepared, arrived: dict[str, Any], patience: Patience
) -> None:
    """The lost answer would have told which sources were dropped."""
    there = {name.lower() for name in arrived["sources"]}
    wanted = [
        str(name)
        for kind, key in SOURCE_KINDS.items()
        if kind != "invalidTags"
        for name in prepared.metadata.get(key) or ()
    ]
    missing = [name for name in wanted if name.lower() not in there]
    if missing:
        patience.log(f"warning: not among the version's sources: {', '.join(missing)}")


def _reason(failure: CallError, competition: str) -> str:
    hints = {
        403: "the id belongs to another user, a source is private, or the "
        "competition's rules are not accepted "
        f"(https://www.kaggle.com/competitions/{competition}/rules)",
        404: "a source or the owner is misspelt",
        409: "a kernel of that title exists under another slug",
    }
    hint = hints.get(failure.status)
    said = f"{failure.status}: {failure}"
    return f"{said}: {hint}" if hint else said


def _judge(
    client: KaggleClient,
    prepared: Prepared,
    patience: Patience,
    answer: dict[str, Any],
) -> Run:
    """The pushed run, when Kaggle took all of it.

    Raises:
        PushRefused: a source was dropped, or another kernel was made.
    """
    root = prepared.project.root
    run = replace(prepared.run, url=str(answer.get("url") or ""))
    number = int(answer.get("versionNumber") or 0) or None
    run = replace(run, version=number, taken=True)
    told = {} if number is None else {"version": number}
    record_event(root, run.run_id, "pushed", taken=True, url=run.url, **told)
    if number is None:
        run = find_version(client, prepared.project, run, patience)
    patience.log(f"{run.label} is on Kaggle: {run.url or 'no address given'}")
    dropped = [
        f"{SOURCE_KINDS.get(kind, kind)} {', '.join(map(str, names))}"
        for kind, names in answer.items()
        if kind.startswith("invalid") and names
    ]
    saved_as = str(answer.get("ref") or "").removeprefix("/code/").strip("/").lower()
    if dropped:
        problem = f"Kaggle dropped {'; '.join(dropped)}: misspelt, private or deleted"
    elif saved_as.count("/") == 1 and saved_as != run.kernel.lower():
        problem = f"Kaggle saved it as {saved_as}: the title must make the slug of id"
    else:
        return run
    problem = client.clean(problem)
    record_event(root, run.run_id, "dropped", message=problem)
    raise PushRefused(f"{problem}. {still_running(run)}")
