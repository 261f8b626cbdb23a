"""What the tool can fail with, and the exit code of each.

    ToolError                 1  the step was refused (build refused, stale file, ...)
    ├── UsageError            2  wrong arguments, missing or malformed input files
    ├── CheckFailed           3  `check` found an error
    ├── RehearsalFailed       4  the rehearsal failed
    ├── PushRefused           5  Kaggle refused the push or dropped a source
    ├── KernelFailed          6  the kernel's run on Kaggle failed or was cancelled
    ├── TimedOut              7  a deadline passed
    ├── NetworkFailed         8  Kaggle could not be reached, or answered nonsense
    ├── BadSubmission         9  submission.csv is missing or would not score
    └── CredentialsRefused   10  no credentials, or Kaggle does not accept them

130 is Ctrl-C. A `ToolError` is a message for the user: it is printed without a
traceback, so it names the file, row or option and what to do.
"""

from typing import ClassVar


class ToolError(Exception):
    """A step was refused; the message says why and what to do."""

    exit_code: ClassVar[int] = 1


class UsageError(ToolError):
    """Wrong arguments, or input files that are missing or malformed."""

    exit_code = 2


class CheckFailed(ToolError):
    """A static check found something Kaggle would refuse."""

    exit_code = 3


class RehearsalFailed(ToolError):
    """The rehearsal showed that the run on Kaggle would fail."""

    exit_code = 4


class PushRefused(ToolError):
    """Kaggle refused the push, or dropped one of its sources."""

    exit_code = 5


class KernelFailed(ToolError):
    """The kernel's run on Kaggle ended in an error or was cancelled."""

    exit_code = 6


class TimedOut(ToolError):
    """A deadline passed; the message says what may still be running."""

    exit_code = 7


class NetworkFailed(ToolError):
    """Kaggle could not be reached, or its answer made no sense."""

    exit_code = 8


class BadSubmission(ToolError):
    """submission.csv is missing, or Kaggle would not score it."""

    exit_code = 9


class CredentialsRefused(ToolError):
    """There are no Kaggle credentials, or Kaggle does not accept them."""

    exit_code = 10
