"""Conclude a run that has ended on Kaggle: bring it home and judge it."""

import argparse
import importlib.util
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from kernel_builder.emit.source_map import from_json
from kernel_builder.errors import BadSubmission, KernelFailed, UsageError
from kernel_builder.read.project import Project
from kernel_builder.rehearse.mounts import Source, find_sources, load_config
from kernel_builder.rehearse.verify import find_sample, verify_submission
from kernel_builder.remote.asking import Patience
from kernel_builder.remote.client import KaggleClient
from kernel_builder.remote.kernel_log import log_text, seconds_of_run
from kernel_builder.remote.live import LiveLog
from kernel_builder.remote.outputs import Fetched, fetch_run
from kernel_builder.remote.retrying import span
from kernel_builder.remote.runs import Run, from_root, record_event
from kernel_builder.remote.shared import Located, bundle_run
from kernel_builder.remote.watching import Ended, await_end

SHOWN_LOG_LINES = 40
# What kaggle_kit's `write_scores` leaves beside the outputs.
SCORES = "scores.json"
# A file of a data source that was not there, as Python and most libraries say it.
_MISSING_INPUT = re.compile(
    r"(?:FileNotFoundError|No such file|does not exist|not found).*/kaggle/input", re.I
)
INPUT_HINT = (
    "  note: a file below /kaggle/input was missing. The first run after a source was "
    "attached may not see it yet (then push again); else the source is not in "
    "kernel-metadata.json, or the code knows one mount layout only (`rehearse --layout "
    "both` tries the two)"
)
_SCORE = re.compile(
    r"\bvalid(?:ation)?[ _:-]*(?:accuracy|score|recall|macro[ _-]recall|auc|f1)?"
    r"\s*[:=]?\s+(\d+(?:\.\d+)?)\s*(%?)",
    re.IGNORECASE,
)


def finish_run(
    client: KaggleClient,
    located: Located,
    patience: Patience,
    live: LiveLog | None = None,
) -> Fetched:
    """Wait for the end, bring log and outputs home, judge them.

    Raises:
        KernelFailed: the run failed, was cancelled, or never reached its last line.
        BadSubmission: submission.csv is missing or would not score.
        ToolError: Kaggle did not answer, or the deadline passed.
    """
    try:
        start = None if live is None else live.start
        ended = await_end(client, located.run, patience, start)
        if live is not None:
            live.finish()
    finally:
        if live is not None:
            live.stop()
    note_end(client, located, ended)
    fetched = conclude(client, located, ended, patience)
    if located.needs_submission:
        patience.log(f"hand it in: submit {located.shown} -m TEXT")
    return fetched


def note_end(client: KaggleClient, located: Located, ended: Ended) -> None:
    """Record how the run ended."""
    record_event(
        located.project.root,
        located.run.run_id,
        "ended",
        status=ended.status,
        message=ended.message,
        seconds=round(seconds_of_run(ended.raw_log), 1),
    )


def conclude(
    client: KaggleClient, located: Located, ended: Ended, patience: Patience
) -> Fetched:
    """Bring home and judge a run that has ended; raises what `finish_run` raises."""
    run, log = located.run, patience.log
    if ended.status != "COMPLETE" or not ended.finished:
        show_log(located, client.clean(log_text(ended.raw_log)), log)
    fetched = fetch_run(
        client, run, located.runs_folder, patience, ended.status, ended.proven
    )
    if located.recorded:
        root = located.project.root
        record_event(
            root,
            run.run_id,
            "fetched",
            outputs=from_root(root, fetched.folder),
            validation=validation_score(fetched.folder, log_text(ended.raw_log)),
        )
    size = sum(fetched.sizes.values())
    files = f"{len(fetched.sizes)} file{'s' * (len(fetched.sizes) != 1)}"
    log(f"{run.label}: {files}, {size:,} bytes in {fetched.folder}")
    if ended.status != "COMPLETE":
        reason = ended.message or "see the log above"
        raise KernelFailed(
            f"{run.label}: {ended.status} on Kaggle: {reason}; `rehearse "
            f"{located.shown}` tries it here; log: {fetched.log_path}"
        )
    if not ended.finished:
        raise KernelFailed(
            f"{run.label}: Kaggle says COMPLETE, but the kernel never came to its last "
            "line (no end mark in the log): it stopped early, by sys.exit or os._exit "
            f"before its end, say; log: {fetched.log_path}"
        )
    if located.needs_submission:
        check_submission(located, fetched, log)
    took = span(seconds_of_run(ended.raw_log))
    log(f"{run.label}: all went well, the kernel ran {took}")
    return fetched


def show_log(located: Located, text: str, log: Callable[[str], None]) -> None:
    """Print the end of a failed kernel's log, with built lines led back to sources."""
    log(f"{located.run.label}: its log, led back to your sources:")
    mapped = map_back(located, text)
    lines = mapped.rstrip("\n").splitlines()
    if _MISSING_INPUT.search(text):
        log(INPUT_HINT)
    if len(lines) > SHOWN_LOG_LINES:
        log(f"  ... {len(lines) - SHOWN_LOG_LINES} lines before")
    for line in lines[-SHOWN_LOG_LINES:]:
        log(f"  | {line}")


def map_back(located: Located, text: str) -> str:
    """A log with the built file's lines led back to the sources, where a map exists."""
    from kernel_builder.emit.trace import map_log

    for path in sorted(located.built.glob("*.map.json")) if located.built else ():
        return map_log(text, from_json(path.read_text(encoding="utf-8"), path.name))
    return text


def check_submission(
    located: Located, fetched: Fetched, log: Callable[[str], None]
) -> None:
    """Check submission.csv against the competition's sample, where that is found here.

    Raises:
        BadSubmission: it is missing or would not score.
    """
    sample = local_sample(located)
    problems = verify_submission(fetched.folder, sample, real=located.real)
    if problems:
        raise BadSubmission(
            f"{fetched.folder}: {'; '.join(problems)}; `rehearse {located.shown}` "
            "tries it here (--no-submission for a kernel that writes none)"
        )
    against = f"against {sample}" if sample else "(no sample here: its form only)"
    log(f"{located.run.label}: submission.csv is good, checked {against}")


def require_reader(args: argparse.Namespace, project: Project) -> None:
    """See to it that a submission can be checked, before a session is spent on it.

    Raises:
        UsageError: there is a sample, and no pandas to read it.
    """
    future = bundle_run(args, project, Run("", ""))
    if importlib.util.find_spec("pandas") is not None or not future.needs_submission:
        return
    sample = local_sample(future)
    if sample is not None:
        raise UsageError(
            f"checking submission.csv against {sample} needs pandas in the tool's "
            f"Python ({sys.executable}); install it, or push with --no-submission"
        )


def local_sample(located: Located) -> Path | None:
    """The competition's sample submission on this machine, None without one."""
    project = located.project
    config = load_config(project.entry.parent)
    raw = project.metadata.raw if project.metadata else {}
    wanted = {"competition_sources": raw.get("competition_sources") or []}
    folders = dict.fromkeys((project.entry.parent, project.root, Path.cwd()))
    roots = [folder / "input" for folder in folders]
    try:
        sources: tuple[Source, ...] = find_sources(wanted, config, roots, located.given)
    except UsageError:
        return None
    found = (find_sample(source.folder, config.sample) for source in sources)
    return next((sample for sample in found if sample is not None), None)


def validation_score(folder: Path, text: str) -> float | None:
    """The validation score: from scores.json, else from what the kernel printed."""
    try:
        scores = json.loads((folder / SCORES).read_text(encoding="utf-8"))
        named = {str(k).lower(): float(v) for k, v in scores.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return read_validation(text)
    for name, value in named.items():
        if name.startswith(("valid", "cv", "oof")) and "loss" not in name:
            return value
    return read_validation(text)


def read_validation(text: str) -> float | None:
    """The last validation score that the kernel printed.

    >>> read_validation("epoch 1: validation accuracy 0.9931")
    0.9931
    """
    scores = _SCORE.findall(text)
    if not scores:
        return None
    value, percent = scores[-1]
    return float(value) / 100 if percent else float(value)
