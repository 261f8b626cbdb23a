"""Print the log of a pushed run, with built lines led back to the sources."""

import argparse
from collections.abc import Callable

from kernel_builder.errors import TimedOut
from kernel_builder.remote.asking import Patience, ask
from kernel_builder.remote.client import CallError, KaggleClient, as_error
from kernel_builder.remote.conclude import map_back
from kernel_builder.remote.kernel_log import log_text, owner_of
from kernel_builder.remote.live import LiveLog
from kernel_builder.remote.outputs import PAGE_SIZE
from kernel_builder.remote.shared import (
    Located,
    add_remote_arguments,
    locate_run,
    open_client,
    patience_of,
    say_what_runs_on,
)
from kernel_builder.remote.watching import await_end


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `logs`."""
    add_remote_arguments(parser)
    parser.add_argument("--follow", action="store_true", help="show it while it runs")
    parser.add_argument("--raw", action="store_true", help="do not map lines back")


def run(args: argparse.Namespace, log: Callable[[str], None] = print) -> int:
    """Print the log of the newest push, or of the one that is named."""
    patience = patience_of(args, log)
    log = patience.log
    with open_client(args) as client:
        located = locate_run(args, client, patience)
        run = located.run
        if args.follow:
            follow(args, client, located, patience)
            return 0
        try:
            page = ask(
                client,
                "outputs",
                patience,
                kernel=run.kernel,
                version=run.version,
                page="",
                size=PAGE_SIZE,
            )
        except CallError as failure:
            raise as_error(failure, f"log of {run.label}") from failure
        if owner_of(page["log"], run.run_id)[0] == "another":
            raise TimedOut(
                f"{run.label}: Kaggle still shows another run's log, not that of "
                f"run {run.run_id}; try again later"
            )
        text = client.clean(log_text(page["log"]))
        log((text if args.raw else map_back(located, text)).rstrip("\n"))
    return 0


def follow(
    args: argparse.Namespace,
    client: KaggleClient,
    located: Located,
    patience: Patience,
) -> None:
    """Show the log while it grows; all of it at the end where the stream gave less.

    A short run may have ended before the client that follows it was there.
    """
    run, log = located.run, patience.log
    live = LiveLog(run, open_client(args), log)
    with say_what_runs_on(run, log):
        live.start()
        try:
            ended = await_end(client, run, patience)
            live.finish()
        finally:
            live.stop()
    if not live.complete:
        text = client.clean(log_text(ended.raw_log))
        log((text if args.raw else map_back(located, text)).rstrip("\n"))
