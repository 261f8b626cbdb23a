"""Which runs a rehearsal consists of: layouts, a repetition, hidden test sets."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from kernel_builder.errors import UsageError
from kernel_builder.rehearse import mounts, mutate
from kernel_builder.rehearse.compare import hidden_answers, nondeterminism, projection
from kernel_builder.rehearse.report import RunReport
from kernel_builder.rehearse.staging import (
    Plan,
    Stage,
    competition,
    count_rows,
    run_plan,
    sample_of,
)

LAYOUTS = {"new": ("new",), "old": ("old",), "both": ("new", "old")}


def all_runs(
    stage: Stage, sources: tuple[mounts.Source, ...], hidden: Path
) -> tuple[list[RunReport], list[str]]:
    """The plain runs; then, if these succeeded, the repeated and the hidden ones.

    Args:
        stage: what the runs share.
        sources: the kernel's data.
        hidden: an empty folder for hidden test sets.

    Returns:
        The runs in their order, and notes for the report.

    Raises:
        UsageError: no hidden test set can be made of the visible one.
    """
    options = stage.options
    # Made first: a test set that cannot be imitated is found out before a long run.
    tests = _hidden_tests(stage, sources, hidden) if options.rerun else []
    runs: list[RunReport] = []
    for layout in LAYOUTS[options.layout]:
        plan = Plan(f"{layout} layout", layout, sources)
        runs.append(_announced(stage, plan, first=not runs))
    base = Plan("second run", LAYOUTS[options.layout][0], sources)
    if any(run.returncode != 0 for run in runs):
        more = options.twice or options.rerun
        why = "no further runs were made, because the plain one failed"
        return runs, [why] if more else []
    if options.twice:
        second = _announced(stage, base, first=False)
        check = nondeterminism(runs[0], second)
        runs.append(replace(second, checks=(*second.checks, check)))
    return [*runs, *_hidden_runs(stage, base, tests, runs[0])], []


def _announced(stage: Stage, plan: Plan, first: bool) -> RunReport:
    """Run a plan; with several runs the log says where each begins."""
    options = stage.options
    if options.twice or options.rerun or options.layout == "both":
        options.echo(f"--- {plan.name}\n")
    return run_plan(stage, plan, first)


def _hidden_tests(
    stage: Stage, sources: tuple[mounts.Source, ...], folder: Path
) -> list[mutate.Mutation]:
    """The hidden test sets that were asked for, ready to be mounted."""
    source = competition(sources)
    if source is None:
        raise UsageError(
            "--rerun: the kernel has no competition whose test could change"
        )
    kinds = stage.options.hidden_tests or mutate.USUAL
    return list(mutate.mutations(source.folder, stage.config, folder, kinds))


def _hidden_runs(
    stage: Stage, base: Plan, tests: Sequence[mutate.Mutation], visible: RunReport
) -> list[RunReport]:
    """One run for each hidden test set; the last gets the projected time."""
    sizes = [(count_rows(sample_of(stage, base)), visible)]
    runs: list[RunReport] = []
    for test in tests:
        plan = replace(
            base,
            name=f"hidden test, {test.kind}",
            rerun=True,
            sample=test.sample,
            sources=tuple(_swapped(base.sources, test)),
        )
        run = _announced(stage, plan, first=False)
        checks = hidden_answers(visible, run, test.origin)
        runs.append(replace(run, checks=(*run.checks, *checks)))
        sizes.append((count_rows(test.sample), run))
    hidden_rows = stage.options.hidden_rows or stage.config.hidden_rows
    check = projection(sizes, hidden_rows, stage.limits.rerun_s)
    if check is not None and runs:
        last = runs[-1]
        others = [c for c in last.checks if c.id != "R06"]
        runs[-1] = replace(last, checks=(*others, replace(check, run=last.name)))
    return runs


def _swapped(
    sources: tuple[mounts.Source, ...], test: mutate.Mutation
) -> Iterator[mounts.Source]:
    """The sources with the competition's test set exchanged."""
    for each in sources:
        if each is competition(sources):
            yield replace(each, replaced=test.entries, removed=test.removed)
        else:
            yield each
