"""S11, S12: what a script or a notebook does not get in a batch run."""

import ast
from collections.abc import Iterator
from typing import Final

from kernel_builder.check.findings import Finding
from kernel_builder.check.program import Unit
from kernel_builder.check.rules_base import (
    Rule,
    Subject,
    argument,
    keyword,
)
from kernel_builder.check.values import UNKNOWN

_EXITS: Final = ("sys.exit", "builtins.exit", "builtins.quit", "os._exit")
_PARSER: Final = "argparse.ArgumentParser()"
# Set by the system or by launchers in every process of theirs.
_ALWAYS_SET: Final = frozenset(
    (
        "PATH",
        "HOME",
        "LANG",
        "LC_ALL",
        "PYTHONPATH",
        "PWD",
        "MPLBACKEND",
        "SHELL",
        "HOSTNAME",
        "TMPDIR",
        "USER",
    )
)

# -- S11


def check_notebook(subject: Subject) -> Iterator[Finding]:
    """S11: names and exits that work in a script and fail in a notebook."""
    if not subject.notebook:
        return
    for unit, node in subject.program.nodes(ast.Name):
        if (
            node.id == "__file__"
            and unit.is_entry
            and subject.live(unit, node)
            and not subject.caught(unit, node, ("NameError",))
        ):
            message = "__file__ does not exist in a notebook"
            fix = "use a path of your own, or kernel_type script"
            yield subject.found("S11", "error", unit, node, message, fix)
    for unit, call, name in subject.live_calls():
        if name == f"{_PARSER}.parse_args" and _takes_argv(subject, unit, call):
            message = "parse_args() fails in a notebook: it gets `-f kernel.json`"
            fix = "use parse_known_args"
            yield subject.found("S11", "error", unit, call, message, fix)
        if (
            name in _EXITS
            and _fails(call.args)
            and not subject.caught(unit, call, ("SystemExit",))
        ):
            yield _exit(subject, unit, call, f"{ast.unparse(call.func)}()")
    for unit, leave in subject.program.nodes(ast.Raise):
        raised = leave.exc.func if isinstance(leave.exc, ast.Call) else leave.exc
        if raised is None or subject.dotted(unit, raised) != "builtins.SystemExit":
            continue
        codes = leave.exc.args if isinstance(leave.exc, ast.Call) else []
        if _fails(codes) and subject.live(unit, leave):
            yield _exit(subject, unit, leave, "raise SystemExit")


def _fails(codes: list[ast.expr]) -> bool:
    """Say whether an exit is an error; a built notebook takes a success for one."""
    code = codes[0] if codes else None
    return isinstance(code, ast.JoinedStr) or (
        isinstance(code, ast.Constant) and code.value not in (None, 0)
    )


def _exit(subject: Subject, unit: Unit, node: ast.AST, what: str) -> Finding:
    message = f"{what} with an error ends the notebook at this cell"
    return subject.found(
        "S11", "error", unit, node, message, "no sys.exit in notebooks: let it end"
    )


def _takes_argv(subject: Subject, unit: Unit, call: ast.Call) -> bool:
    first = argument(call, 0, "args")
    if first is None:
        return True
    return subject.dotted(unit, first) == "sys.argv" or (
        isinstance(first, ast.Subscript)
        and subject.dotted(unit, first.value) == "sys.argv"
    )


# -- S12


def check_arguments(subject: Subject) -> Iterator[Finding]:
    """S12: arguments and environment variables that nobody gives on Kaggle."""
    yield from _argv(subject)
    yield from _required(subject)
    yield from _environment(subject)


def _missing(subject: Subject, unit: Unit, node: ast.AST, what: str) -> Finding:
    kind = "notebooks" if subject.notebook else "scripts"
    return subject.found(
        "S12",
        "warning",
        unit,
        node,
        f"{kind} get no arguments or env on Kaggle: {what}",
        "bake its value into the file",
    )


def _argv(subject: Subject) -> Iterator[Finding]:
    for unit, node in subject.program.nodes(ast.Subscript):
        if subject.dotted(unit, node.value) != "sys.argv":
            continue
        index = subject.constant(unit, node.slice)
        if not isinstance(index, int) or index < 1 or not subject.live(unit, node):
            continue
        if subject.caught(unit, node, ("IndexError", "LookupError")):
            continue
        if not _length_asked(subject, unit, node):
            yield _missing(subject, unit, node, f"sys.argv[{index}]")


def _length_asked(subject: Subject, unit: Unit, node: ast.AST) -> bool:
    """Say whether a condition around, or before, asks for the arguments."""
    tests = [above.test for above in unit.around(node, ast.If)]
    tests += [above.test for above in unit.around(node, ast.IfExp)]
    tests += [other.test for other in unit.nodes(ast.If) if _leaves(other)]
    return any(
        subject.dotted(unit, part) == "sys.argv" and not _is_item(unit, part)
        for test in tests
        for part in ast.walk(test)
        if isinstance(part, ast.Name | ast.Attribute)
    )


def _is_item(unit: Unit, node: ast.AST) -> bool:
    """Say whether `sys.argv` stands before an index: that asks for nothing."""
    above = unit.parent(node)
    return isinstance(above, ast.Subscript) and not isinstance(above.slice, ast.Slice)


def _leaves(node: ast.If) -> bool:
    return isinstance(node.body[-1], ast.Return | ast.Raise | ast.Assign | ast.Expr)


def _required(subject: Subject) -> Iterator[Finding]:
    for unit, call, name in subject.live_calls():
        method = getattr(call.func, "attr", "")
        if method != "add_argument" or not call.args:
            continue
        if name and not name.startswith("argparse."):
            continue
        flag = subject.texts(unit, call.args[0])[0]
        needed = subject.constant(unit, keyword(call, "required")) is True
        optional = {"?", "*"} & {str(subject.constant(unit, keyword(call, "nargs")))}
        positional = not flag.startswith(("-", UNKNOWN)) and not optional
        if needed or (positional and keyword(call, "default") is None):
            yield _missing(subject, unit, call, f"the required argument {flag}")


def _environment(subject: Subject) -> Iterator[Finding]:
    for unit, node in subject.program.nodes(ast.Subscript):
        if (
            subject.dotted(unit, node.value) == "os.environ"
            and isinstance(node.ctx, ast.Load)
            and subject.live(unit, node)
        ):
            yield from _variable(subject, unit, node, node.slice)
    for unit, call, name in subject.live_calls():
        if name not in ("os.environ.get", "os.getenv") or len(call.args) != 1:
            continue
        if not call.keywords and _is_needed(subject, unit, call):
            yield from _variable(subject, unit, call, call.args[0])


def _variable(
    subject: Subject, unit: Unit, node: ast.expr, key: ast.expr
) -> Iterator[Finding]:
    name = subject.constant(unit, key)
    if not isinstance(name, str) or name in _ALWAYS_SET or name.startswith("KAGGLE_"):
        return
    if name in subject.profile.runtime["env"] or subject.sets_variable(name):
        return
    if subject.caught(unit, node, ("KeyError", "TypeError", "LookupError")):
        return
    tests = [above.test for above in unit.around(node, ast.If)]
    tests += [above.test for above in unit.around(node, ast.IfExp)]
    for test in tests:
        if name in [n.value for n in ast.walk(test) if isinstance(n, ast.Constant)]:
            return
    yield _missing(subject, unit, node, f"the environment variable {name}")


def _is_needed(subject: Subject, unit: Unit, call: ast.Call) -> bool:
    """Say whether None would be wrong where the value goes."""
    above = unit.parent(call)
    if isinstance(above, ast.Call) and call in above.args:
        return subject.dotted(unit, above.func) not in (
            "builtins.bool",
            "builtins.print",
        )
    if isinstance(above, ast.BinOp):
        return True
    return isinstance(above, ast.Attribute | ast.Subscript) and above.value is call


RULES: Final = (
    Rule("S11", "error", "fails in a notebook", check_notebook),
    Rule("S12", "warning", "arguments or variables nobody gives", check_arguments),
)
