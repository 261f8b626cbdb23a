"""Read the log of a run on Kaggle: a JSON array of small pieces of output."""

import json
import re
from dataclasses import dataclass
from typing import Literal

from kernel_builder.profiles import load_profile

# Kaggle drops what is over its limit without a word; where exactly, is not known.
NEARLY = 0.98
# What a kernel printed before without a line end stands before the mark on its line;
# nothing stands behind it, unlike where a kernel prints its own source.
_MARK = re.compile(r"kaggle-kit run (\S+) (start|end)[ \t\r]*$", re.MULTILINE)


@dataclass(frozen=True)
class LogLine:
    """A piece of output: which stream, seconds since the start, the text."""

    stream: str
    seconds: float
    text: str


def parse_log(raw: str) -> list[LogLine]:
    """The pieces of a log, also of one that was cut in the middle.

    Text that is not Kaggle's JSON is taken as it stands.

    >>> parse_log('[{"stream_name": "stdout", "time": 1.5, "data": "hi"}, {"str')
    [LogLine(stream='stdout', seconds=1.5, text='hi')]
    """
    if not raw.lstrip().startswith("["):
        return [LogLine("stdout", 0.0, line) for line in raw.splitlines(keepends=True)]
    decoder, pieces, at = json.JSONDecoder(), [], raw.index("[") + 1
    while (at := raw.find("{", at)) != -1:
        try:
            value, at = decoder.raw_decode(raw, at)
        except ValueError:
            break
        pieces.append(_piece(value))
    return pieces


def _piece(value: dict[str, object]) -> LogLine:
    try:
        seconds = float(str(value.get("time", 0.0)))
    except ValueError:
        seconds = 0.0
    return LogLine(
        str(value.get("stream_name", "stdout")), seconds, str(value.get("data", ""))
    )


def log_text(raw: str) -> str:
    """The log as the person would have seen it on a terminal."""
    text = "".join(_with_line_end(piece.text) for piece in parse_log(raw))
    return text.replace("\r\n", "\n")


def _with_line_end(text: str) -> str:
    # Kaggle's pieces are lines, but some sources leave the line end out.
    return text if text.endswith(("\n", "\r")) or not text else text + "\n"


def was_cut(raw: str) -> bool:
    """True when the log is as long as Kaggle keeps, so that its end is missing."""
    kept = load_profile().limits["log_bytes"]
    return len(raw.encode("utf-8", "replace")) >= kept * NEARLY


Owner = Literal["ours", "another", "nobody"]


def owner_of(raw: str, run_id: str) -> tuple[Owner, bool]:
    """Whose run the log is of, and whether that run reached its last line.

    A built kernel prints `kaggle-kit run ID start` first and `... end` last.
    """
    pieces = [piece.text for piece in parse_log(raw)]
    # A line may be spread over pieces, and pieces may lack their line ends.
    marks = {mark for glue in ("", "\n") for mark in _MARK.findall(glue.join(pieces))}
    if any(name == run_id for name, _ in marks):
        return "ours", (run_id, "end") in marks
    return ("another" if marks else "nobody"), False


def seconds_of_run(raw: str) -> float:
    """The time stamp of the last piece: how long the kernel ran, about."""
    return max((piece.seconds for piece in parse_log(raw)), default=0.0)
