"""S21, S24, S26: figures and failures that nobody sees, and logs cut short."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from kernel_builder.check.findings import Finding
from kernel_builder.check.names import FunctionNode
from kernel_builder.check.program import Unit
from kernel_builder.check.rules_base import Rule, Subject, caught_names
from kernel_builder.check.rules_commands import (
    RUNNERS,
    Command,
    commands_of,
    is_checked,
)

_HARMLESS: Final = frozenset(
    (
        "nvidia-smi",
        "ls",
        "df",
        "du",
        "free",
        "lscpu",
        "echo",
        "pwd",
        "cat",
        "head",
        "whoami",
        "uname",
        "mkdir",
        "rm",
        "tree",
        "date",
        "which",
        "tail",
        "wc",
        "touch",
        "sleep",
        "kill",
        "pkill",
        "find",
        "env",
        "printenv",
        "export",
        "clear",
    )
)
_CLEANING: Final = frozenset(
    (
        "close",
        "unlink",
        "remove",
        "rmtree",
        "rmdir",
        "empty_cache",
        "kill",
        "terminate",
        "shutdown",
        "set_memory_growth",
        "set_visible_devices",
        "collect",
        "clear",
        "set_start_method",
        "style",
        "set_option",
        "show",
        "display",
        "run_line_magic",
        "magic",
        "reconfigure",
        "set_float32_matmul_precision",
        "use",
        "setlocale",
        "ion",
        "disable",
        "set_verbosity_error",
        "init",
        "seed",
        "manual_seed",
        "tick",
    )
)
_NOTEBOOK_ONLY: Final = (
    *("undefined.display", "IPython.display.display", "IPython.core.display.display"),
    *("undefined.get_ipython", "IPython.get_ipython"),
)
_LOADERS: Final = re.compile(r"(?i)(loader|_dl|^dl|batches|dataset)$")


# -- S21


def check_figures(subject: Subject) -> Iterator[Finding]:
    """S21: figures and displays that a script shows to nobody."""
    if subject.notebook:
        return
    for unit in subject.program.units:
        if unit.own:
            yield from _unseen(subject, unit)
    for unit, call, name in subject.live_calls():
        if name in _NOTEBOOK_ONLY:
            if subject.caught(unit, call, ("NameError", "ImportError")):
                continue
            if _asks_for_ipython(unit, call, name):
                continue
            message = f"{name.rpartition('.')[2]}() needs a notebook"
            fix = "print, or use kernel_type notebook"
            yield subject.found("S21", "warning", unit, call, message, fix)


def _asks_for_ipython(unit: Unit, call: ast.Call, name: str) -> bool:
    above = unit.parent(call)
    return name == "IPython.get_ipython" and isinstance(above, ast.Compare)


def _unseen(subject: Subject, unit: Unit) -> Iterator[Finding]:
    shows: list[ast.Call] = []
    for where, call, name in subject.live_calls():
        if where is not unit:
            continue
        method = getattr(call.func, "attr", "")
        if method in ("savefig", "write_html", "write_image", "imsave"):
            return
        if name == "matplotlib.pyplot.show":
            shows.append(call)
    if shows:
        many = f" ({len(shows)} times)" if len(shows) > 1 else ""
        yield subject.found(
            "S21",
            "warning",
            unit,
            shows[0],
            f"scripts show no figures: plt.show(){many}",
            "savefig to /kaggle/working",
        )


# -- S24


def check_hidden(subject: Subject) -> Iterator[Finding]:
    """S24: failures that nobody would see."""
    for unit, node in subject.program.nodes(ast.ExceptHandler):
        if _swallows(node) and subject.live(unit, node):
            tried = unit.parent(node)
            if isinstance(tried, ast.Try) and not _is_harmless(tried.body):
                what = ast.unparse(tried.body[0]).split("\n")[0]
                yield _hidden(subject, unit, node, what)
    for unit, call, name in subject.live_calls():
        if name in RUNNERS and _is_unchecked(subject, unit, call, name):
            commands = list(commands_of(subject, unit, call, name))
            words = [c.words[0].rpartition("/")[2] for c in commands if c.words]
            if not words or not all(word in _HARMLESS for word in words):
                shown = "; ".join(c.text for c in commands) or ast.unparse(call)
                yield _hidden(subject, unit, call, shown)


def _hidden(subject: Subject, unit: Unit, node: ast.AST, what: str) -> Finding:
    shown = what if len(what) <= 60 else f"{what[:57]}..."
    handler = isinstance(node, ast.ExceptHandler)
    return subject.found(
        "S24",
        "warning",
        unit,
        node,
        f"failure of `{shown}` would be hidden",
        "catch the exception you expect, or print it" if handler else "use check=True",
    )


def _swallows(handler: ast.ExceptHandler) -> bool:
    wide = {"", "Exception", "BaseException"} & set(caught_names(handler))
    empty = all(
        isinstance(statement, ast.Pass)
        or (
            isinstance(statement, ast.Expr)
            and isinstance(statement.value, ast.Constant)
        )
        for statement in handler.body
    )
    return bool(wide) and empty


def _is_harmless(body: list[ast.stmt]) -> bool:
    """Say whether nothing is lost if a block does not work: imports, cleaning up."""
    for statement in body:
        if isinstance(statement, ast.Import | ast.ImportFrom | ast.Pass):
            continue
        calls = [n for n in ast.walk(statement) if isinstance(n, ast.Call)]
        names = {getattr(c.func, "attr", getattr(c.func, "id", "")) for c in calls}
        if not calls or not names & _CLEANING:
            return False
    return True


def _is_unchecked(subject: Subject, unit: Unit, call: ast.Call, name: str) -> bool:
    if is_checked(subject, Command(unit, call, name, ())):
        return False
    # Whoever keeps the result can look at it.
    return isinstance(unit.parent(call), ast.Expr)


# -- S26


def check_prints(subject: Subject) -> Iterator[Finding]:
    """S26: a line of log for every batch."""
    limit = subject.profile.limits["log_bytes"] // 10**6
    for unit, call, name in subject.live_calls():
        if name != "builtins.print":
            continue
        loop = _batch_loop(subject, unit, call)
        if loop is not None:
            yield subject.found(
                "S26",
                "warning",
                unit,
                call,
                f"prints for every step of {ast.unparse(loop.iter)[:40]}: Kaggle keeps "
                f"{limit} MB of log",
                "print once an epoch, or every n steps",
            )


def _batch_loop(subject: Subject, unit: Unit, call: ast.Call) -> ast.For | None:
    """Give the loop over batches, inside another loop, that always prints."""
    for above, child in unit.scopes.ancestors(call):
        if isinstance(above, ast.If | ast.While | FunctionNode | ast.ExceptHandler):
            return None
        if isinstance(above, ast.For) and child is not above.iter:
            names = [n.id for n in ast.walk(above.iter) if isinstance(n, ast.Name)]
            names += [
                n.attr for n in ast.walk(above.iter) if isinstance(n, ast.Attribute)
            ]
            stops = any(isinstance(n, ast.Break) for n in ast.walk(above))
            batches = any(_LOADERS.search(name) for name in names) and not stops
            return above if batches and _repeats(subject, unit, above) else None
    return None


def _repeats(subject: Subject, unit: Unit, loop: ast.For) -> bool:
    """Say whether a loop over batches trains, or runs inside another loop."""
    if any(True for _ in unit.around(loop, ast.For)):
        return True
    return any(
        isinstance(n, ast.Attribute) and n.attr == "backward" for n in ast.walk(loop)
    )


RULES: Final = (
    Rule("S21", "warning", "figures nobody sees", check_figures),
    Rule("S24", "warning", "hidden failures", check_hidden),
    Rule("S26", "warning", "a log line for every batch", check_prints),
)
