"""What a rehearsal found, as a value, as text for ten seconds, and as JSON."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kernel_builder.errors import BadSubmission, RehearsalFailed

UNPREDICTABLE = (
    "GPU architecture, its memory and speed; which mount layout Kaggle uses; the real "
    "hidden test set; size of /dev/shm; queue and quota"
)
# The checks whose failure is the submission's, not the run's.
SUBMISSION_CHECKS = {"R03"}
MOST_TRACEBACK_LINES = 60


@dataclass(frozen=True)
class Check:
    """One finding of one run; `kaggle` is what Kaggle would have said to a failure."""

    id: str
    ok: bool
    severity: str
    message: str
    kaggle: str = ""
    run: str = ""


@dataclass(frozen=True)
class RunReport:
    """One run of the kernel: its name, its meters and where its outputs are."""

    name: str
    outputs: Path
    log_path: Path
    wall_s: float
    cpu_s: float
    peak_bytes: int
    output_bytes: int
    output_files: int
    log_bytes: int
    checks: tuple[Check, ...]
    returncode: int | None = 0
    traceback: str = ""


@dataclass(frozen=True)
class RehearsalReport:
    """A whole rehearsal: one run, or several (layouts, hidden tests, `--twice`).

    Attributes:
        ok: nothing was found that would fail on Kaggle; warnings do not count.
        outputs: the first run's /kaggle/working, now a folder of its own.
        not_isolated: what the sandbox left open on this machine.
        image: the profile it is compared with, or the image it ran in.
        differences: how Python and the packages differ from Kaggle's image.
    """

    kernel: str
    folder: Path
    isolation: str
    python: str
    not_isolated: tuple[str, ...]
    image: str = ""
    differences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    runs: tuple[RunReport, ...] = field(default=())

    @property
    def checks(self) -> tuple[Check, ...]:
        """The checks of all runs."""
        return tuple(check for run in self.runs for check in run.checks)

    @property
    def errors(self) -> tuple[Check, ...]:
        """The checks that would fail on Kaggle."""
        return tuple(c for c in self.checks if not c.ok and c.severity == "error")

    @property
    def ok(self) -> bool:
        """Whether every run would succeed on Kaggle, as far as this shows."""
        return bool(self.runs) and not self.errors

    @property
    def kaggle(self) -> str:
        """What Kaggle would have said first; empty when all is well."""
        return next((check.kaggle for check in self.errors if check.kaggle), "")

    @property
    def outputs(self) -> Path:
        """The outputs of the first run."""
        return self.runs[0].outputs

    @property
    def log_path(self) -> Path:
        """The log of the first run."""
        return self.runs[0].log_path

    @property
    def wall_s(self) -> float:
        """Seconds of all runs."""
        return sum(run.wall_s for run in self.runs)

    @property
    def peak_bytes(self) -> int:
        """The highest memory of any run."""
        return max(run.peak_bytes for run in self.runs)

    @property
    def exit_code(self) -> int:
        """0, 9 when only the submission is wrong, else 4."""
        if self.ok:
            return 0
        only_submission = {check.id for check in self.errors} <= SUBMISSION_CHECKS
        failure = BadSubmission if self.errors and only_submission else RehearsalFailed
        return failure.exit_code

    def to_json(self) -> str:
        """Everything above as JSON."""
        facts: dict[str, Any] = {
            "ok": self.ok,
            "exit_code": self.exit_code,
            "kaggle": self.kaggle,
            **asdict(self),
            "cannot_predict": UNPREDICTABLE,
        }
        return json.dumps(facts, indent=2, default=str) + "\n"


def size(count: float) -> str:
    """Bytes for people, decimal units as in Kaggle's limits."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def print_report(report: RehearsalReport, log: Callable[[str], None] = print) -> None:
    """Say what happened: verdict first, then each check, then where everything is."""
    for line in _report_lines(report):
        log(line)


def _report_lines(report: RehearsalReport) -> list[str]:
    verdict = "REHEARSAL PASSED" if report.ok else "REHEARSAL FAILED"
    lines = ["", f"{verdict}: {report.kernel}", f"  {_headline(report)}"]
    lines += [f"  {line}" for line in _check_lines(report)]
    if report.kaggle:
        lines.append(f"Kaggle would have said: {report.kaggle}")
    traceback = next((run.traceback for run in report.runs if run.traceback), "")
    if traceback:
        lines += ["", *traceback.splitlines()[-MOST_TRACEBACK_LINES:], ""]
    for title, items in (
        ("not isolated on this machine", report.not_isolated),
        ("unlike Kaggle's image", report.differences),
        ("note", report.notes),
    ):
        lines += [f"{title}: {item}" for item in items]
    if report.image and not report.differences:
        lines.append(f"versions of what it imports: those of {report.image}")
    lines.append(f"cannot be predicted here: {UNPREDICTABLE}")
    return [*lines, *_where(report)]


def _headline(report: RehearsalReport) -> str:
    times = f"{len(report.runs)} runs, " if len(report.runs) > 1 else ""
    return (
        f"{report.isolation}, Python {report.python}, {times}"
        f"{duration(report.wall_s)}, peak memory {size(report.peak_bytes)}"
    )


def _check_lines(report: RehearsalReport) -> list[str]:
    """Failures with the runs they come from; what passed everywhere, once."""
    grouped: dict[tuple[str, str, str], list[str]] = {}
    failed = {check.id for check in report.checks if not check.ok}
    for check in sorted(report.checks, key=lambda c: c.id):
        if check.ok and check.id in failed:
            continue
        word = "ok" if check.ok else "FAIL" if check.severity == "error" else "warn"
        message = "" if check.ok else check.message
        grouped.setdefault((word, check.id, message), []).append(check.run)
    lines = []
    for (word, id, message), runs in grouped.items():
        first = next(c for c in report.checks if c.id == id and c.run == runs[0])
        times = f"{len(runs)} run{'s' * (len(runs) != 1)}"
        where = ", ".join(runs) if word != "ok" else times
        where = f" [{where}]" if len(report.runs) > 1 else ""
        lines.append(f"{word:4} {id}{where} {message or first.message}")
    return lines


def _where(report: RehearsalReport) -> list[str]:
    first = report.runs[0]
    count = f"{first.output_files} file{'s' * (first.output_files != 1)}"
    return [
        f"outputs: {first.outputs} ({count}, {size(first.output_bytes)})",
        f"log: {first.log_path} ({size(first.log_bytes)})",
    ]
