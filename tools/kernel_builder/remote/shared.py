"""What push, wait, fetch and submit share: options, and how a run is concluded."""

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from kernel_builder.errors import ToolError, UsageError
from kernel_builder.read.project import Project, load_project
from kernel_builder.rehearse.mounts import load_config
from kernel_builder.remote.asking import Patience, ask
from kernel_builder.remote.client import CALL_TIMEOUT, CallError, KaggleClient, as_error
from kernel_builder.remote.live import LiveLog
from kernel_builder.remote.retrying import Deadline
from kernel_builder.remote.runs import Run, find_run, from_root, record_event
from kernel_builder.remote.spinner import Spinner
from kernel_builder.remote.watching import still_running
from kernel_builder.signals import ended_like_ctrl_c

# A session on Kaggle may take 12 hours, and wait in a queue before.
DEADLINE_MINUTES = 13 * 60.0


@dataclass(frozen=True)
class Located:
    """A recorded run and what is needed to conclude it."""

    run: Run
    project: Project
    out: Path
    given: Path | None = None  # folder of the competition's data, of --input
    needs_submission: bool = True
    real: bool = False  # answers are real numbers though the sample shows whole ones
    recorded: bool = True

    @property
    def shown(self) -> str:
        """The kernel as it can be named on the command line from here."""
        return from_root(Path.cwd(), self.project.kernel)

    @property
    def built(self) -> Path | None:
        """The folder of the built file that was pushed, where it is known."""
        return self.project.root / self.run.built if self.run.built else None

    @property
    def runs_folder(self) -> Path:
        """The folder with one subfolder per version of this kernel."""
        return self.out / "runs" / self.run.kernel.rsplit("/", 1)[-1]


def add_remote_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of every command about a run that was pushed before."""
    parser.add_argument("kernel", metavar="KERNEL", help="kernel folder or .py file")
    parser.add_argument("--run", default="", metavar="ID", help="this recorded run")
    parser.add_argument("--version", type=int, metavar="N", help="this version")
    add_result_arguments(parser)


def add_result_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of every command that brings a result home."""
    add_client_arguments(parser)
    parser.add_argument("--out", default="out", help="where results go (default: out)")
    parser.add_argument("--input", metavar="DIR", help="the competition's data, here")
    parser.add_argument(
        "--no-live", action="store_true", help="do not show the log while it runs"
    )
    parser.add_argument(
        "--no-submission",
        action="store_true",
        help="the kernel writes no submission.csv",
    )
    parser.add_argument(
        "--real",
        action="store_true",
        help="answers are real numbers though the sample shows whole ones",
    )


def add_client_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of every command that talks to Kaggle."""
    parser.add_argument(
        "--deadline",
        type=float,
        metavar="MIN",
        help=f"give up after so many minutes (default {DEADLINE_MINUTES:.0f})",
    )
    parser.add_argument(
        "--poll",
        type=float,
        default=3.0,
        metavar="SEC",
        help="first delay between two questions; it grows (default 3)",
    )
    parser.add_argument(
        "--call-timeout",
        type=float,
        default=CALL_TIMEOUT,
        metavar="SEC",
        help=f"longest time for one answer (default {CALL_TIMEOUT:.0f})",
    )
    parser.add_argument(
        "--client-python", metavar="PATH", help="the Python that has the Kaggle client"
    )


def patience_of(args: argparse.Namespace, log: Callable[[str], None]) -> Patience:
    """The deadline and delays that the arguments ask for.

    Raises:
        UsageError: a number is not positive.
    """
    for name in ("deadline", "poll", "call_timeout"):
        value = getattr(args, name)
        if value is not None and not value > 0:
            option = name.replace("_", "-")
            raise UsageError(f"--{option} {value}: must be more than 0")
    minutes = DEADLINE_MINUTES if args.deadline is None else args.deadline
    deadline = Deadline.after(60 * minutes)
    if log is print:
        spinner = Spinner(sys.stdout)
        return Patience(
            *(deadline, args.poll),
            log=spinner.line,
            sleep=spinner.sleep,
            progress=spinner.show,
        )
    return Patience(deadline, args.poll, log=log)


def open_client(args: argparse.Namespace) -> KaggleClient:
    """A session with the client; nothing is started before the first question."""
    return KaggleClient(args.client_python, args.call_timeout)


def kernel_id(project: Project) -> str:
    """`owner/slug` of the kernel.

    Raises:
        UsageError: there is no metadata, or its id is not complete.
    """
    metadata = project.metadata
    if metadata is None:
        raise UsageError(
            f"{project.kernel}: no kernel-metadata.json beside it; Kaggle needs one"
        )
    if not metadata.owner or not re.fullmatch(r"[\w-]{5,}", metadata.slug):
        raise UsageError(
            f"{metadata.path}: id must be <owner>/<slug>, slug of 5+ characters, no "
            f"version: got {metadata.kernel_id!r}"
        )
    return metadata.kernel_id


def locate_run(
    args: argparse.Namespace, client: KaggleClient, patience: Patience
) -> Located:
    """The recorded run that the arguments mean, with its version.

    Raises:
        UsageError: there is none.
    """
    project = load_project(args.kernel)
    run = find_run(project.root, kernel_id(project), args.run, args.version)
    if run.version is None:
        run = find_version(client, project, run, patience)
    return bundle_run(args, project, run)


def bundle_run(args: argparse.Namespace, project: Project, run: Run) -> Located:
    """Bundle what concluding `run` needs."""
    config = load_config(project.entry.parent)
    competitions = (project.metadata.raw if project.metadata else {}).get(
        "competition_sources"
    )
    wanted = bool(competitions) and config.submission and not args.no_submission
    given = args.input or os.environ.get("KAGGLE_KIT_INPUT")
    return Located(
        run,
        project,
        Path(args.out),
        given=Path(given) if given else None,
        needs_submission=wanted,
        real=args.real or config.real,
    )


def find_version(
    client: KaggleClient, project: Project, run: Run, patience: Patience
) -> Run:
    """The version of a push that was not told it: the source on Kaggle bears its id.

    A push that Kaggle is known to have taken goes without a number where none is to be
    had; its log proves whose run it is.

    Raises:
        UsageError: the push was broken off, and Kaggle does not show it.
        ToolError: Kaggle did not answer.
    """
    try:
        latest = ask(client, "kernel", patience, kernel=run.kernel)
    except CallError as failure:
        if not (failure.absent or run.taken):
            raise as_error(failure, f"looking for {run.kernel}") from failure
        latest = {"version": None, "source": ""}
    if run.run_id in latest["source"] and latest["version"]:
        record_event(project.root, run.run_id, "pushed", version=latest["version"])
        return replace(run, version=latest["version"])
    if run.taken:
        patience.log(
            f"note: Kaggle does not tell the version of run {run.run_id}; its log will "
            "show which run it is"
        )
        return run
    newest = "shows no such kernel"
    if latest["version"]:
        newest = f"shows version {latest['version']}, which is not of it"
    raise UsageError(
        f"{run.kernel}: the push {run.run_id} was broken off, and Kaggle {newest}; if "
        f"https://www.kaggle.com/code/{run.kernel} does not show it either, push again"
    )


def live_log(
    args: argparse.Namespace, run: Run, log: Callable[[str], None]
) -> LiveLog | None:
    """What shows the log while the kernel runs, None with --no-live."""
    return None if args.no_live else LiveLog(run, open_client(args), log)


@contextlib.contextmanager
def say_what_runs_on(run: Run, log: Callable[[str], None]) -> Iterator[None]:
    """On Ctrl-C, `kill` and a crash say what is left running on Kaggle."""
    try:
        with ended_like_ctrl_c():
            yield
    except KeyboardInterrupt:
        log(f"\nstopped looking. {still_running(run)}")
        raise
    except ToolError:
        raise  # says by itself how the run is
    except Exception:
        log(f"\nbroken off. Unless it has ended, {still_running(run)}")
        raise
