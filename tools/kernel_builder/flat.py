"""Join a kernel and its modules into one file that reads as if written by hand.

Emitted only where it is provably the same program; otherwise `FlatRefused` names every
rule that is broken, with file, line and what to change.
"""

from kernel_builder.emitted import Emitted
from kernel_builder.flat_reach import Plan, make_plan
from kernel_builder.flat_rules import check_rules
from kernel_builder.flat_tables import FlatRefused, Refusal, build_tables
from kernel_builder.flat_text import write_flat
from kernel_builder.modules import Closure

__all__ = ["FlatRefused", "Refusal", "emit_flat", "plan_flat"]


def plan_flat(closure: Closure) -> Plan:
    """Decide what stays.

    Raises:
        FlatRefused: a rule is broken.
    """
    plan = make_plan(build_tables(closure))
    refusals = check_rules(plan)
    if refusals:
        raise FlatRefused(refusals)
    return plan


def emit_flat(closure: Closure) -> Emitted:
    """Join a closure into one file.

    Raises:
        FlatRefused: the result would not be provably the same program.
    """
    return write_flat(plan_flat(closure))
