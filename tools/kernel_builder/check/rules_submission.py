"""S13, S15, S28: whether a submission is written, where, and when."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from kernel_builder.check.conditions import RERUN
from kernel_builder.check.findings import Finding
from kernel_builder.check.program import Unit
from kernel_builder.check.rules_base import Rule, Subject
from kernel_builder.check.rules_text import basename
from kernel_builder.check.rules_writes import Write, find_writes
from kernel_builder.check.values import UNKNOWN

NAME: Final = "submission.csv"
_NAMES: Final = re.compile(r"submission\.(csv|parquet|json|csv\.gz|zip)")
_LOOKS: Final = re.compile(
    r"(?i)(^|[^a-z])(subm\w*|sub)([^a-z].*)?\.(csv|parquet|json)$"
)
SAMPLE: Final = re.compile(r"(?i)sample[_-]?sub")
_SERVERS: Final = ("serve", "run_local_gateway")
# An epoch loop this long is stopped by a clock or by early stopping, or by Kaggle.
_LONG_LOOP: Final = 100


def _tables(subject: Subject) -> list[Write]:
    """Give the writes of tables and texts, where a submission may be among them."""
    kinds = (
        "to_csv",
        "to_parquet",
        "to_json",
        "write_csv",
        "write_parquet",
        "sink_csv",
    )
    found = []
    for write in find_writes(subject):
        method = getattr(write.call.func, "attr", "")
        opened = write.name in ("builtins.open", "numpy.savetxt", "shutil.copy")
        copied = write.name.startswith("shutil.") and method.startswith(
            ("copy", "move")
        )
        text = method == "write_text" or method == "open"
        if method in kinds or opened or copied or text or _is_kit(write):
            found.append(write)
    return found


def _is_kit(write: Write) -> bool:
    return write.name.endswith("write_submission")


def find_submissions(subject: Subject) -> list[Write]:
    """Give the writes that produce the submission, or may."""
    return [w for w in _tables(subject) if _is_kit(w) or any(map(_may_be, w.paths))]


def _may_be(path: str) -> bool:
    name = basename(path)
    if UNKNOWN in name:
        return True
    folder = path.rpartition("/")[0]
    return bool(_NAMES.fullmatch(name)) and (
        folder == "/kaggle/working" or UNKNOWN in folder
    )


# -- S13


def check_name(subject: Subject) -> Iterator[Finding]:
    """S13: a submission under another name, or in another folder."""
    tables = _tables(subject)
    found = [w for w in tables if any(_LOOKS.search(basename(p)) for p in w.paths)]
    found = [w for w in found if not _is_kit(w) and not _reads_only(w)]
    if find_submissions(subject) or _is_served(subject):
        return
    for write in found[:1]:
        names = sorted({p for w in found for p in w.paths if UNKNOWN not in p})
        yield subject.found(
            "S13",
            "error",
            write.unit,
            write.call,
            f"expected /kaggle/working/{NAME}, found {', '.join(names)}",
            f"write {NAME} into /kaggle/working",
        )


def _reads_only(write: Write) -> bool:
    """A copy of the sample submission elsewhere is no submission."""
    return all(SAMPLE.search(basename(path)) for path in write.paths)


def _is_served(subject: Subject) -> bool:
    """Say whether Kaggle's own gateway asks for predictions and writes the file."""
    for unit in subject.program.units:
        for bindings in unit.scopes.top.names.values():
            for binding in bindings:
                if binding.target.partition(".")[0] in (
                    "kaggle_evaluation",
                    "kagglegym",
                ):
                    return True
    return False


# -- S15


def check_rerun(subject: Subject) -> Iterator[Finding]:
    """S15: a submission in only one of the visible run and the hidden rerun."""
    places = [(write.unit, write.call) for write in find_submissions(subject)]
    for unit, call, name in subject.program.calls():
        served = name.rpartition(".")[2] in _SERVERS or (
            isinstance(call.func, ast.Attribute) and call.func.attr in _SERVERS
        )
        if served:
            places.append((unit, call))
    if not places:
        return
    for rerun, word in ((True, "set"), (False, "unset")):
        reach = subject.reach_when(rerun)
        if not any(reach.live(unit, call) for unit, call in places):
            unit, call = places[0]
            yield subject.found(
                "S15",
                "error",
                unit,
                call,
                f"no submission when {RERUN} is {word}",
                "write one in both cases",
            )


# -- S28


def check_budget(subject: Subject) -> Iterator[Finding]:
    """S28: training that only Kaggle's limit would stop, before any submission."""
    submissions = find_submissions(subject)
    if not submissions or _watches_clock(subject):
        return
    hours = subject.profile.limits["session_s_cpu_gpu"] // 3600
    for unit, loop, rounds in _training_loops(subject):
        if _is_preceded(unit, loop, submissions):
            continue
        yield subject.found(
            "S28",
            "warning",
            unit,
            loop,
            f"no time check in a training loop of {rounds} rounds, and the submission "
            "comes after it",
            f"write a valid submission early and stop by {hours} h",
        )


def _watches_clock(subject: Subject) -> bool:
    clocks = (
        "time.time",
        "time.perf_counter",
        "time.monotonic",
        "datetime.datetime.now",
    )
    for unit, node in subject.program.nodes(ast.Compare):
        for part in ast.walk(node):
            if isinstance(part, ast.Call) and subject.dotted(unit, part.func) in clocks:
                return True
            if isinstance(part, ast.Name) and re.search(
                r"(?i)elapsed|time_left|deadline|budget|limit", part.id
            ):
                return True
    return any(name.endswith("TimeBudget") for _, _, name in subject.program.calls())


def _training_loops(
    subject: Subject,
) -> Iterator[tuple[Unit, ast.For | ast.While, str]]:
    for unit in subject.program.units:
        loops: list[ast.For | ast.While] = [*unit.nodes(ast.For)]
        for loop in [*loops, *unit.nodes(ast.While)]:
            rounds = _rounds(subject, unit, loop)
            if not rounds or not unit.own or not subject.live(unit, loop):
                continue
            inner = [n for n in ast.walk(loop) if isinstance(n, ast.For) and n != loop]
            trains = any(map(_steps, inner)) or _calls_training(subject, unit, loop)
            if trains and not _may_stop(loop, inner):
                yield unit, loop, rounds


def _calls_training(subject: Subject, unit: Unit, loop: ast.AST) -> bool:
    """Say whether a loop calls a function of the kernel that loops over batches."""
    for call in ast.walk(loop):
        if not isinstance(call, ast.Call):
            continue
        name = subject.dotted(unit, call.func).replace("()", "")
        found = subject.program.definition(name) if name else None
        if found is not None and any(
            _steps(node) for node in ast.walk(found[1]) if isinstance(node, ast.For)
        ):
            return True
    return False


def _rounds(subject: Subject, unit: Unit, loop: ast.For | ast.While) -> str:
    if isinstance(loop, ast.While):
        forever = isinstance(loop.test, ast.Constant) and bool(loop.test.value)
        return "endless" if forever else ""
    call = loop.iter
    if isinstance(call, ast.Call) and subject.dotted(unit, call.func) == (
        "builtins.range"
    ):
        count = subject.constant(unit, call.args[min(1, len(call.args) - 1)])
        return str(count) if isinstance(count, int) and count >= _LONG_LOOP else ""
    return ""


def _steps(loop: ast.For) -> bool:
    """Say whether a loop takes optimizer steps."""
    for node in ast.walk(loop):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("backward", "apply_gradients")
        ):
            return True
    return False


def _may_stop(loop: ast.For | ast.While, inner: list[ast.For]) -> bool:
    inside = {id(node) for part in inner for node in ast.walk(part)}
    return any(
        isinstance(node, ast.Break | ast.Return) and id(node) not in inside
        for node in ast.walk(loop)
    )


def _is_preceded(unit: Unit, loop: ast.stmt, submissions: list[Write]) -> bool:
    """Say whether a submission is written before the loop, or in it."""
    last = loop.end_lineno or loop.lineno
    return any(
        write.unit is not unit
        or write.call.lineno <= last
        or any(True for _ in write.unit.around(write.call, ast.FunctionDef))
        for write in submissions
    )


RULES: Final = (
    Rule("S13", "error", "submission in the wrong place", check_name),
    Rule("S15", "error", "no submission in the rerun", check_rerun),
    Rule("S28", "warning", "no time budget", check_budget),
)
