"""Compare the answers of several runs: constant, misplaced, or never the same twice."""

import contextlib
import csv
from collections.abc import Mapping
from pathlib import Path

from kernel_builder.rehearse.judge import TIMEOUT
from kernel_builder.rehearse.report import Check, RunReport, duration
from kernel_builder.rehearse.verify import NAME

Answers = Mapping[str, tuple[str, ...]]
TOLERANCE = 1e-3
# Kernels that train differ a little from run to run; a wrong order differs nearly
# everywhere.
MISPLACED_SHARE = 0.5
FEWEST_ROWS = 5


def read_answers(folder: Path) -> Answers:
    """The submission of a run by id (its first column); empty when unreadable."""
    answers: dict[str, tuple[str, ...]] = {}
    with (
        contextlib.suppress(OSError, UnicodeDecodeError, csv.Error),
        (folder / NAME).open(encoding="utf-8", newline="") as file,
    ):
        rows = csv.reader(file)
        next(rows, None)
        answers.update((row[0], tuple(row[1:])) for row in rows if row)
    return answers


def _same(one: str, other: str) -> bool:
    if one == other:
        return True
    with contextlib.suppress(ValueError):
        return abs(float(one) - float(other)) <= TOLERANCE * max(1.0, abs(float(one)))
    return False


def _agree(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return len(one) == len(other) and all(map(_same, one, other))


def nondeterminism(first: RunReport, second: RunReport) -> Check:
    """R11: do two equal runs give the same answers, to the last digit?"""
    one, two = read_answers(first.outputs), read_answers(second.outputs)
    if not one or not two:
        return _check("R11", False, "no two submissions to compare", second.name)
    different = [id for id in one if one[id] != two.get(id)]
    if not different and one.keys() == two.keys():
        return _check("R11", True, f"two runs gave the same {len(one)} answers", "")
    text = (
        f"not deterministic: {len(different)} of {len(one)} answers differ between two "
        f"equal runs, first id {different[0] if different else min(two)!r}"
    )
    return _check("R11", False, text, second.name)


def hidden_answers(
    base: RunReport, hidden: RunReport, origin: Mapping[str, str]
) -> list[Check]:
    """R10: are the answers for the same content the same under other ids and orders?"""
    old, new = read_answers(base.outputs), read_answers(hidden.outputs)
    known = {id: old[source] for id, source in origin.items() if source in old}
    answered = {id: new[id] for id in known if id in new}
    if len(answered) < FEWEST_ROWS or len({known[id] for id in answered}) < 2:
        return []  # nothing can be told from a few rows, or from equal answers
    if len(set(answered.values())) == 1:
        answer = ",".join(next(iter(answered.values())))
        text = f"every answer is {answer!r}: looked up by an id that is not there?"
        return [_check("R10", False, text, hidden.name)]
    wrong = sum(not _agree(known[id], answer) for id, answer in answered.items())
    if wrong > MISPLACED_SHARE * len(answered):
        text = (
            f"{wrong} of {len(answered)} answers differ from those that the same "
            "content got in the visible test: do they follow the row's place or its id?"
        )
        return [_check("R10", False, text, hidden.name)]
    return [_check("R10", True, "same content, same answers in hidden tests", "")]


def projection(
    sizes: list[tuple[int, RunReport]], hidden_rows: int, limit_s: float
) -> Check | None:
    """R06 from two sizes: fixed cost plus time per row, to the hidden row count."""
    usable = sorted((rows, run.wall_s) for rows, run in sizes if run.returncode == 0)
    if not hidden_rows or len({rows for rows, _ in usable}) < 2:
        return None
    (few, fast), (many, slow) = usable[0], usable[-1]
    per_row = max(0.0, (slow - fast) / (many - few))
    expected = max(slow, fast + per_row * (hidden_rows - few))
    text = (
        f"~{duration(expected)} of {duration(limit_s)} for {hidden_rows} hidden rows "
        f"({duration(fast)} for {few}, {duration(slow)} for {many}, on this machine)"
    )
    if expected > limit_s:
        return Check("R06", False, "warning", f"{TIMEOUT}: {text}", TIMEOUT)
    return Check("R06", True, "warning", text)


def _check(id: str, ok: bool, message: str, run: str) -> Check:
    return Check(id, ok, "warning", message, run=run)
