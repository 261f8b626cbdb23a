"""One finding of `check`, and the comments that silence findings."""

import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Severity = Literal["error", "warning"]

# Reported about the silences themselves, never silenced by one.
UNUSED: Final = "I01"

_COMMENT: Final = re.compile(r"#.*?\bkaggle-kit:\s*ignore\b(?:\s*\[([^\]]*)\])?")
_ID: Final = re.compile(r"[A-Z]\d\d")


@dataclass(frozen=True)
class Finding:
    """Something Kaggle would refuse, or that would surprise its owner there.

    `path` is the file as a person would open it, `line` counts from 1 (0 where a file
    as a whole is meant). `message` names the thing, `fix` what to do.
    """

    id: str
    severity: Severity
    path: str
    line: int
    message: str
    fix: str = ""
    # The last line of what was found: a comment there silences it too.
    end_line: int = field(default=0, compare=False)

    def __str__(self) -> str:
        """`path:line: S05 error: message; fix`."""
        where = f"{self.path}:{self.line}" if self.line else self.path
        text = f"{where}: {self.id} {self.severity}: {self.message}"
        return f"{text}; {self.fix}" if self.fix else text

    def as_json(self) -> dict[str, Any]:
        """Give the finding as plain values."""
        return {
            "id": self.id,
            "severity": self.severity,
            "path": self.path,
            "line": self.line,
            "message": self.message,
            "fix": self.fix,
        }


@dataclass(frozen=True)
class Silence:
    """A comment `# kaggle-kit: ignore[S05, S24]` and the line it stands on."""

    path: str
    line: int
    ids: tuple[str, ...]


def find_silences(path: str, text: str) -> Iterator[Silence]:
    """Find the silencing comments of one source; text inside strings is none."""
    if "kaggle-kit:" not in text:
        return
    for line, comment in _comments(text):
        match = _COMMENT.search(comment)
        if match:
            yield Silence(path, line, tuple(_ID.findall(match.group(1) or "")))


def _comments(text: str) -> Iterator[tuple[int, str]]:
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string
    except (tokenize.TokenError, SyntaxError):
        # The file does not parse, which is a finding of its own; what stands before
        # the broken place was given already.
        return


def apply_silences(
    findings: Iterable[Finding], silences: Iterable[Silence], ignore: Iterable[str]
) -> list[Finding]:
    """Drop what is silenced, and report the silences that silence nothing."""
    by_line: dict[tuple[str, int], list[Silence]] = {}
    pending: dict[tuple[str, int, str], None] = {}
    for silence in silences:
        by_line.setdefault((silence.path, silence.line), []).append(silence)
        for rule in silence.ids or ("",):
            pending[silence.path, silence.line, rule] = None
    options = dict.fromkeys(ignore)
    used_options: set[str] = set()
    kept: list[Finding] = []
    for finding in findings:
        comment = _silence_of(finding, by_line)
        if comment is not None:
            pending.pop((comment.path, comment.line, finding.id), None)
        if finding.id in options:
            used_options.add(finding.id)
        if comment is None and finding.id not in options:
            kept.append(finding)
    kept.extend(_unused_comment(*key) for key in pending)
    kept.extend(_unused_option(rule) for rule in options if rule not in used_options)
    return kept


def _silence_of(
    finding: Finding, by_line: dict[tuple[str, int], list[Silence]]
) -> Silence | None:
    last = max(finding.line, finding.end_line)
    for line in range(finding.line, last + 1):
        for silence in by_line.get((finding.path, line), ()):
            if finding.id in silence.ids:
                return silence
    return None


def _unused_comment(path: str, line: int, rule: str) -> Finding:
    message = (
        f"the comment silences nothing: {rule} finds nothing here"
        if rule
        else "the comment names no rule"
    )
    fix = "remove it" if rule else "write # kaggle-kit: ignore[S05]"
    return Finding(UNUSED, "warning", path, line, message, fix)


def _unused_option(rule: str) -> Finding:
    return Finding(
        UNUSED,
        "warning",
        f"--ignore {rule}",
        0,
        f"silences nothing: {rule} finds nothing in this kernel",
        "remove it",
    )
