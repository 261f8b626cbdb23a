"""Download log and outputs of a run that has ended, and check submission.csv.

Everything lands in OUT/runs/<slug>/v<N>/, whole or not at all; an interrupted download
goes on where it stopped, and the folder of an older run is never touched.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace

from kernel_builder.errors import TimedOut, UsageError
from kernel_builder.read.project import load_project
from kernel_builder.remote.asking import Patience
from kernel_builder.remote.client import KaggleClient
from kernel_builder.remote.conclude import conclude, note_end
from kernel_builder.remote.runs import Run
from kernel_builder.remote.shared import (
    Located,
    add_remote_arguments,
    bundle_run,
    kernel_id,
    locate_run,
    open_client,
    patience_of,
)
from kernel_builder.remote.watching import look_once, still_running


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `fetch`."""
    add_remote_arguments(parser)
    parser.add_argument(
        "--foreign",
        action="store_true",
        help="with --version: a version that was not pushed from here",
    )


def run(args: argparse.Namespace, log: Callable[[str], None] = print) -> int:
    """Bring one run home; an interrupted fetch goes on where it stopped."""
    patience = patience_of(args, log)
    log = patience.log
    with open_client(args) as client:
        if args.foreign:
            fetch_foreign(client, args, patience)
        else:
            fetch_recorded(client, locate_run(args, client, patience), patience)
    return 0


def fetch_recorded(
    client: KaggleClient, located_run: Located, patience: Patience
) -> None:
    """Fetch a recorded run whose end is proven.

    Raises:
        TimedOut: the run has not ended yet, or what Kaggle shows is not this run.
        ToolError: as `remote.conclude`.
    """
    ended = look_once(client, located_run.run, patience)
    if ended is None:
        raise TimedOut(f"not ended yet: {still_running(located_run.run)}")
    note_end(client, located_run, ended)
    conclude(client, located_run, ended, patience)


def fetch_foreign(
    client: KaggleClient, args: argparse.Namespace, patience: Patience
) -> None:
    """Fetch a version that somebody pushed elsewhere; its log bears no mark of ours."""
    if args.version is None:
        raise UsageError("--foreign needs --version N")
    project = load_project(args.kernel)
    kernel = kernel_id(project)
    foreign = Run(f"foreign-v{args.version}", kernel, version=args.version)
    found = bundle_run(args, project, foreign)
    ended = look_once(client, foreign, patience, proven=False)
    if ended is None:
        raise TimedOut(f"{foreign.label} has not ended yet")
    conclude(client, replace(found, recorded=False), ended, patience)
