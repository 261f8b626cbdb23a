"""Join a kernel and its modules into one file that reads as if written by hand.

Emitted only where it is provably the same program; otherwise `FlatRefused` names every
rule that is broken, with file, line and what to change.
"""

import ast
import re
from typing import Final

from kernel_builder.emit.emitted import Emitted
from kernel_builder.emit.flat_reach import Plan, make_plan
from kernel_builder.emit.flat_rules import check_rules
from kernel_builder.emit.flat_seen import check_arguments
from kernel_builder.emit.flat_tables import FlatRefused, Refusal, build_tables
from kernel_builder.emit.flat_text import write_flat
from kernel_builder.read.modules import Closure

_STRING: Final = re.compile(r"[rRuU]?[\"']")

__all__ = ["FlatRefused", "Refusal", "emit_flat", "plan_flat"]


def plan_flat(closure: Closure, kernel_type: str = "script") -> Plan:
    """Decide what stays.

    Raises:
        FlatRefused: a rule is broken.
    """
    plan = make_plan(build_tables(closure))
    refusals = check_rules(plan)
    if kernel_type == "notebook":
        refusals += check_arguments(plan)
    if refusals:
        raise FlatRefused(refusals)
    return plan


def emit_flat(closure: Closure, kernel_type: str = "script") -> Emitted:
    """Join a closure into one file.

    Raises:
        FlatRefused: the result would not be provably the same program.
    """
    try:
        plan = plan_flat(closure, kernel_type)
        emitted = write_flat(plan)
    except RecursionError:
        why = "an expression is nested too deeply to be followed"
        fix = "split it"
        raise FlatRefused(
            [Refusal(closure.entry.label, 1, "depth", why, fix)]
        ) from None
    if _gains_docstring(emitted, closure):
        why = "a string would become the file's docstring"
        fix = "assign it to a name, or write it as a comment"
        raise FlatRefused([Refusal(closure.entry.label, 1, "docstring", why, fix)])
    return emitted


def _gains_docstring(emitted: Emitted, closure: Closure) -> bool:
    """Say whether the text starts with a string though the kernel does not."""
    code = (line for line in emitted.text.split("\n") if line and line[0] != "#")
    first = next((line for line in code if line.strip()), "")
    return _STRING.match(first) is not None and not ast.get_docstring(
        closure.entry.tree, clean=False
    )
