"""Find what Kaggle would refuse, before anything is sent.

Every finding has an id, a severity and a place in your own source. Errors stop a push,
warnings do not. `--ignore ID` or a comment `# kaggle-kit: ignore[ID]` on the line
silences one; a silence that silences nothing is reported.
"""

import argparse
import ast
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from kernel_builder.check.findings import (
    UNUSED,
    Finding,
    apply_silences,
    find_silences,
)
from kernel_builder.check.program import Program, find_program
from kernel_builder.check.rules import CLIENT_RULES, RULES
from kernel_builder.check.rules_base import Subject
from kernel_builder.check.rules_source import check_files, shown_path
from kernel_builder.emit.build import add_form_options, emit
from kernel_builder.emit.emitted import Emitted
from kernel_builder.errors import CheckFailed, ToolError, UsageError
from kernel_builder.metadata import FILE_NAME, load_metadata
from kernel_builder.profiles import (
    Profile,
    default_profile,
    load_profile,
    profile_names,
)
from kernel_builder.read.closure import find_closure
from kernel_builder.read.modules import MAIN, Closure, Module
from kernel_builder.read.project import Project, load_project
from kernel_builder.read.sources import Source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `check`."""
    parser.add_argument(
        "kernel", metavar="KERNEL", nargs="?", help="kernel folder or .py file"
    )
    parser.add_argument(
        "--profile",
        default="",
        metavar="NAME",
        help=f"the image to check against: {', '.join(profile_names())} "
        f"(default {default_profile()})",
    )
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="ID",
        help="silence a rule, such as S24 (repeatable, or several with commas)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for machines")
    parser.add_argument(
        "--list", action="store_true", help="print every rule, and check nothing"
    )
    add_form_options(parser)


def run(args: argparse.Namespace) -> int:
    """Check a kernel and print what was found.

    Raises:
        CheckFailed: there are errors (with --json they are printed, and 3 is returned).
        UsageError: no such kernel, profile or rule.
    """
    profile = load_profile(args.profile)
    if args.list:
        sys.stdout.write("".join(f"{r.id} {r.severity:<7} {r.title}\n" for r in RULES))
        return 0
    if args.kernel is None:
        raise UsageError("check: no KERNEL given; name a kernel folder or a .py file")
    try:
        project = load_project(args.kernel, args.path, args.inline)
    except UsageError:
        _tell_of_notebook(Path(args.kernel), profile)
        raise
    findings = run_checks(
        project,
        profile=profile,
        ignore=[rule for item in args.ignore for rule in item.split(",") if rule],
        kernel_type=args.kernel_type,
        form=args.form,
    )
    if args.json:
        sys.stdout.write(to_json(project, profile, findings))
        return CheckFailed.exit_code if has_errors(findings) else 0
    for finding in findings:
        sys.stdout.write(f"{finding}\n")
    summary = summarise(project, profile, findings)
    if has_errors(findings):
        raise CheckFailed(summary)
    sys.stdout.write(f"{summary}\n")
    return 0


def _tell_of_notebook(kernel: Path, profile: Profile) -> None:
    """Print what is wrong with a notebook and its metadata; it cannot be built."""
    path = kernel / FILE_NAME
    metadata = load_metadata(path) if path.is_file() else None
    if metadata is None or not metadata.code_file.endswith(".ipynb"):
        return
    entry = kernel / metadata.code_file
    if not entry.is_file():
        return
    project = Project(kernel, entry, metadata.slug, kernel, metadata, search=())
    closure = _stub(project)
    subject = _subject(project, closure, profile, None, "auto", True)
    subject.sent = entry.read_bytes()
    for rule in (rule for rule in RULES if rule.id.startswith("M")):
        for finding in rule.check(subject):
            sys.stdout.write(f"{finding}\n")


def run_checks(
    project: Project,
    *,
    profile: Profile | None = None,
    ignore: Sequence[str] = (),
    kernel_type: str | None = None,
    form: str = "auto",
) -> list[Finding]:
    """Run every rule on a kernel; what was found, by file and line.

    Raises:
        UsageError: the kernel cannot be read, or `ignore` names no rule.
    """
    _check_ids(ignore)
    profile = profile or load_profile()
    names: dict[Path, str] = {}
    texts = check_files(project, profile, names)
    broken = has_errors(texts)
    closure = _stub(project) if broken else find_closure(project)
    subject = _subject(project, closure, profile, kernel_type, form, broken)
    findings = list(texts)
    for rule in RULES:
        findings.extend(rule.check(subject))
    silences = [
        silence
        for unit in subject.program.units
        if unit.own
        for silence in find_silences(unit.path, unit.module.text)
    ]
    kept = apply_silences(dict.fromkeys(findings), silences, ignore)
    return sorted(kept, key=_order)


def _order(finding: Finding) -> tuple[bool, str, int, str]:
    return (finding.id == UNUSED, finding.path, finding.line, finding.id)


def has_errors(findings: Iterable[Finding]) -> bool:
    """Say whether a push must stop."""
    return any(finding.severity == "error" for finding in findings)


def stop_on_errors(
    project: Project, profile: Profile, findings: Sequence[Finding]
) -> None:
    """Refuse to go on where there are errors.

    Raises:
        CheckFailed: there are; the message lists them.
    """
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        lines = [str(finding) for finding in errors]
        lines.append(summarise(project, profile, findings))
        raise CheckFailed("\n".join(lines))


def summarise(project: Project, profile: Profile, findings: Sequence[Finding]) -> str:
    """Sum the findings up in one line."""
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = len(findings) - errors
    where = f"{shown_path(project.entry)} against {profile.name}"
    if not findings:
        return f"{where}: nothing to complain about ({len(RULES)} rules)"
    counts = [
        f"{count} {word}{'' if count == 1 else 's'}"
        for count, word in ((errors, "error"), (warnings, "warning"))
        if count
    ]
    return f"{where}: {' and '.join(counts)}"


def to_json(project: Project, profile: Profile, findings: Sequence[Finding]) -> str:
    """Give the findings as JSON text."""
    errors = sum(finding.severity == "error" for finding in findings)
    value = {
        "kernel": shown_path(project.entry),
        "profile": profile.name,
        "errors": errors,
        "warnings": len(findings) - errors,
        "findings": [finding.as_json() for finding in findings],
    }
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _check_ids(ignore: Iterable[str]) -> None:
    known = [*(rule.id for rule in RULES), *CLIENT_RULES]
    for rule in ignore:
        if rule not in known:
            raise UsageError(
                f"--ignore {rule}: no such rule; the rules are "
                f"{', '.join(sorted(known))}"
            )


def _stub(project: Project) -> Closure:
    """Make a closure without code, for the rules on text and metadata."""
    data = project.entry.read_bytes()
    text = data.decode("utf-8-sig", "replace")
    source = Source(project.entry, project.label(project.entry), text, "utf-8", "")
    entry = Module(MAIN, source, ast.Module([], []), False, ())
    return Closure(project, entry, ())


def _subject(
    project: Project,
    closure: Closure,
    profile: Profile,
    kernel_type: str | None,
    form: str,
    broken: bool,
) -> Subject:
    metadata = project.metadata
    kind = kernel_type or (metadata.kernel_type if metadata else "script")
    emitted = None if broken else _emitted(closure, form)
    return Subject(
        project=project,
        profile=profile,
        metadata=metadata,
        metadata_path=shown_path(metadata.path) if metadata else "",
        metadata_text=metadata.path.read_text("utf-8-sig") if metadata else "",
        notebook=kind == "notebook",
        program=_program(project, closure, emitted),
        sent=_sent(emitted, kind) if emitted else None,
        parts=_parts(closure),
        closure=closure,
    )


def _emitted(closure: Closure, form: str) -> Emitted | None:
    """Build in memory, to see what is sent; None where the build refuses."""
    try:
        return emit(closure, form)
    except ToolError:
        return None  # `build` says why; the rules still apply


def _sent(emitted: Emitted, kind: str) -> bytes:
    """Give the source as the client sends it: a notebook is written anew."""
    if kind == "script":
        return emitted.text.encode()
    from kernel_builder.emit.notebook import to_notebook

    document = json.loads(to_notebook(emitted).text)
    for cell in document["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = []
        if isinstance(cell["source"], list):
            cell["source"] = "".join(cell["source"])
    return json.dumps(document).encode()


def _parts(closure: Closure) -> tuple[tuple[str, int], ...]:
    """Name the largest sources and how many bytes each has."""
    sizes = [(module.label, len(module.text.encode())) for module in closure.everything]
    return tuple(sorted(sizes, key=lambda part: -part[1])[:5])


def _program(project: Project, closure: Closure, emitted: Emitted | None) -> Program:
    paths = {module.name: shown_path(module.path) for module in closure.everything}
    program = find_program(closure, paths, set(project.named))
    if emitted is not None and emitted.form == "flat":
        _drop_unreached(program, emitted)
    return program


def _drop_unreached(program: Program, emitted: Emitted) -> None:
    """Mark the definitions that the flat form leaves out."""
    kept: dict[str, set[int]] = {}
    for origin in emitted.lines:
        if origin is not None:
            kept.setdefault(origin.path, set()).add(origin.line)
    for unit in program.units:
        lines = kept.get(unit.module.label, set())
        for node in unit.tree.body:
            definition = isinstance(
                node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
            )
            if definition and not unit.is_entry and node.lineno not in lines:
                program.dropped.add(id(node))
