"""The command line: one sub-command per step, each in a module of its own."""

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Final, NoReturn

from kernel_builder import __version__
from kernel_builder.errors import ToolError

# command: (the module in this package with `add_arguments` and `run`, what it does)
COMMANDS: Final = {
    "build": ("emit.build", "make one standalone file of a kernel"),
    "trace": ("emit.trace", "explain a traceback or log of a built file"),
    "check": ("check.preflight", "find what Kaggle would refuse"),
    "rehearse": ("rehearse.rehearsal", "run the built file as Kaggle would"),
    "push": ("remote.push", "send the kernel to Kaggle and run it"),
    "wait": ("remote.wait", "wait for a pushed version to end"),
    "logs": ("remote.logs", "print the log of a pushed version"),
    "fetch": ("remote.fetch", "download the outputs of a pushed version"),
    "submit": ("remote.submit", "hand in a submission"),
    "doctor": ("remote.doctor", "check the client and the credentials"),
    "runs": ("remote.runs", "list the pushes made from here"),
}
PROGRAM: Final = "kaggle-kit"
# Commands that start no thread and leave nothing to be put away when they end.
_BRIEF: Final = ("build", "check", "trace")


def program() -> NoReturn:
    """Run the command line and end the process.

    Syntax trees are a million small objects; to give them back one by one, only to end
    then, takes a third of a build.
    """
    code = main()
    if sys.argv[1:2] and sys.argv[1] in _BRIEF:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (OSError, ValueError):
            sys.exit(code)  # a full disk, a reader that left: let Python say so
        os._exit(code)
    sys.exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; give its exit code (see `kernel_builder.errors`)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Syntax trees are many small objects that live to the end: collecting among them
    # took a third of a build.
    gc.freeze()
    gc.set_threshold(200_000, 50, 50)
    debug = "--debug" in arguments
    try:
        return _run([item for item in arguments if item != "--debug"])
    except ToolError as error:
        if debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        if debug:
            raise
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # `kaggle-kit logs ... | head`: the reader has seen enough.
        sys.stderr.close()
        return 1
    except OSError as error:
        if debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1


def _run(arguments: list[str]) -> int:
    command = next((item for item in arguments if item in COMMANDS), None)
    if command is None or arguments[0] != command:
        _top_parser().parse_args(arguments or ["--help"])
        return 2
    # Only the chosen step is imported: `build` never pays for `push`.
    room = import_module(f"kernel_builder.{COMMANDS[command][0]}")
    # To measure the terminal argparse imports archives and compression.
    width = None if {"-h", "--help"} & set(arguments) else 78
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} {command}",
        description=(room.__doc__ or "").strip(),
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, width=width),
    )
    room.add_arguments(parser)
    code: int = room.run(parser.parse_args(arguments[1:]))
    return code


def _top_parser() -> argparse.ArgumentParser:
    lines = [f"  {name:<10} {text}" for name, (_, text) in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Build, check, rehearse, push and fetch a Kaggle kernel.",
        epilog="commands:\n" + "\n".join(lines) + "\n\n"
        "`COMMAND --help` says more; --debug shows tracebacks of the tool itself.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    return parser
