"""Pick up a run that was pushed before, perhaps from another terminal.

Waits for the newest push of the kernel that is recorded in kaggle-runs.jsonl (or the
one that --run or --version names), brings it home and checks it, as `push --wait` does.
"""

import argparse
from collections.abc import Callable

from kernel_builder.remote.conclude import finish_run
from kernel_builder.remote.shared import (
    add_remote_arguments,
    live_log,
    locate_run,
    open_client,
    patience_of,
    say_what_runs_on,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `wait`."""
    add_remote_arguments(parser)


def run(args: argparse.Namespace, log: Callable[[str], None] = print) -> int:
    """Wait for the newest push of a kernel, download and check it."""
    patience = patience_of(args, log)
    log = patience.log
    with open_client(args) as client:
        located = locate_run(args, client, patience)
        with say_what_runs_on(located.run, log):
            live = live_log(args, located.run, log)
            finish_run(client, located, patience, live)
    return 0
