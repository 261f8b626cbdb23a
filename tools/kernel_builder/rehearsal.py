"""Run a built kernel alone, as Kaggle would, and judge what it did.

`rehearse KERNEL` builds the kernel, runs the one file in a sandbox laid out like
Kaggle's machine, checks its submission.csv, and keeps what it wrote in a fresh folder
`out/rehearsals/<slug>/<NNN>/`:

    output/       what was in /kaggle/working
    log.txt       what it printed (log.json: the same in Kaggle's form)
    report.json   every check and meter
    script.py     the built file that ran, with its source map
    runs/<name>/  the same for each further run (layouts, hidden tests, --twice)
"""

import argparse
import contextlib
import re
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernel_builder import isolation, mounts, sandbox
from kernel_builder.errors import UsageError
from kernel_builder.files import write_atomic
from kernel_builder.judge import Case, judge
from kernel_builder.livelog import LiveLog
from kernel_builder.meters import Limits, Outcome, folder_size, supervise
from kernel_builder.report import (
    RehearsalReport,
    RunReport,
    print_report,
)
from kernel_builder.runfolder import RunFolder, new_run_folder, scratch_folder
from kernel_builder.verify import find_sample

if TYPE_CHECKING:
    from kernel_builder.build import Built

LAYOUTS = {"new": ("new",), "old": ("old",), "both": ("new", "old")}


@dataclass(frozen=True)
class RehearsalOptions:
    """How to rehearse; the defaults are Kaggle's machine and one run.

    Attributes:
        input: a folder with the data, or the competition's own folder.
        run_id: the id that the built file prints with its end marker.
        submission: None asks the metadata: a competition wants a submission.csv.
        echo: gets every line of the kernel's log while it runs.
    """

    input: Path | None = None
    layout: str = "new"
    out: Path = Path("out")
    time_limit_s: float | None = None
    memory_bytes: int | None = None
    silence_s: float | None = None
    isolation: str = "auto"
    run_id: str | None = None
    submission: bool | None = None
    echo: Callable[[str], None] = lambda line: None


@dataclass(frozen=True)
class Plan:
    """One run: its layout, and the sources it sees."""

    name: str
    layout: str
    sources: tuple[mounts.Source, ...]
    rerun: bool = False


@dataclass(frozen=True)
class Stage:
    """What all runs of one rehearsal share."""

    built: "Built"
    options: RehearsalOptions
    config: mounts.Config
    python: sandbox.Python
    isolation: isolation.Isolation
    limits: Limits
    hidden_packages: tuple[str, ...]
    folder: RunFolder


def rehearse(built: "Built", options: RehearsalOptions) -> RehearsalReport:
    """Run the built kernel once for every layout asked for, and judge each run.

    Raises:
        UsageError: a data source has no local folder, or the isolation asked for does
            not work here.
        KeyboardInterrupt: Ctrl-C; the kernel is gone, and what it wrote until then is
            in a numbered folder like any other.
    """
    if options.layout not in LAYOUTS:
        raise UsageError(f"--layout {options.layout}: {', '.join(LAYOUTS)} are allowed")
    config = mounts.load_config(built.project.entry.parent)
    sources = find_sources(built, options, config)
    python = sandbox.current_python()
    way = isolation.choose(options.isolation, python)
    parent = options.out / "rehearsals" / built.project.slug
    stage = Stage(
        *(built, options, config, python, way, _limits(options)),
        hidden_packages=sandbox.packages_from_folders(),
        folder=new_run_folder(parent),
    )
    runs: list[RunReport] = []
    try:
        _keep_source(stage)
        for plan in _plans(options, sources):
            runs.append(_run(stage, plan, first=not runs))
    except KeyboardInterrupt:
        folder = stage.folder.finish()
        options.echo(f"\ninterrupted: what it wrote so far is in {folder}\n")
        raise
    except BaseException:
        shutil.rmtree(stage.folder.path, ignore_errors=True)
        raise
    return _finish(stage, runs)


def find_sources(
    built: "Built", options: RehearsalOptions, config: mounts.Config
) -> tuple[mounts.Source, ...]:
    """The local folder of each data source of the kernel."""
    project = built.project
    roots = (project.entry.parent / "input", project.root / "input", Path("input"))
    return mounts.find_sources(
        _metadata(built),
        config,
        tuple(dict.fromkeys(root.resolve() for root in roots)),
        options.input,
        (options.out,),
    )


def _metadata(built: "Built") -> Mapping[str, Any] | None:
    metadata = built.project.metadata
    return None if metadata is None else metadata.raw


def _limits(options: RehearsalOptions) -> Limits:
    """Kaggle's limits, lowered where the user asks for it."""
    usual = Limits()
    return replace(
        usual,
        wall_s=options.time_limit_s or usual.wall_s,
        memory_bytes=options.memory_bytes or usual.memory_bytes,
        silence_s=options.silence_s or usual.silence_s,
    )


def _plans(
    options: RehearsalOptions, sources: tuple[mounts.Source, ...]
) -> Sequence[Plan]:
    return [
        Plan(f"{layout} layout", layout, sources) for layout in LAYOUTS[options.layout]
    ]


def _keep_source(stage: Stage) -> None:
    """Put the file that runs beside its outputs: the log's line numbers mean it."""
    built, folder = stage.built, stage.folder.path
    shutil.copyfile(built.code_path, folder / built.code_path.name)
    if built.map_path is not None and built.map_path.is_file():
        shutil.copyfile(built.map_path, folder / built.map_path.name)


def _run(stage: Stage, plan: Plan, first: bool) -> RunReport:
    """Run the kernel once and judge it."""
    folder = stage.folder.path
    if not first:
        folder = folder / "runs" / re.sub(r"[^a-z0-9]+", "-", plan.name).strip("-")
    working = folder / "output"
    working.mkdir(parents=True)
    with scratch_folder() as scratch:
        spec = _spec(stage, plan, working, scratch)
        outcome = _supervised(stage, spec, folder)
        executed = scratch / "io/executed.ipynb"
        if executed.is_file():
            shutil.copyfile(executed, folder / "executed.ipynb")
    return _reported(stage, plan, outcome, working)


def _spec(stage: Stage, plan: Plan, working: Path, scratch: Path) -> sandbox.Spec:
    project = stage.built.project
    hidden = {project.root, *project.search, Path.home(), Path.cwd()}
    variables = {"KAGGLE_IS_COMPETITION_RERUN": "1"} if plan.rerun else {}
    (scratch / "sources").mkdir()
    return sandbox.Spec(
        code=stage.built.code_path,
        working=working,
        scratch=scratch,
        python=stage.python,
        mounts=mounts.mounts(plan.sources, plan.layout, scratch / "sources"),
        hidden=tuple(sorted(p for p in hidden if p.resolve() != Path("/"))),
        hidden_packages=stage.hidden_packages,
        variables=variables,
        gpu=_wants_gpu(stage.built),
        cpus=stage.limits.cpus,
    )


def _wants_gpu(built: "Built") -> bool:
    metadata = _metadata(built) or {}
    shape = str(metadata.get("machine_shape") or "")
    return metadata.get("enable_gpu") is True or shape.startswith("Nvidia")


def _supervised(stage: Stage, spec: sandbox.Spec, folder: Path) -> Outcome:
    sandbox.prepare(spec)
    command = stage.isolation.command(spec)
    log = LiveLog(stage.options.echo)
    try:
        return supervise(
            command,
            limits=stage.limits,
            log=log,
            exit_file=sandbox.exit_file(spec),
            events_file=sandbox.events_file(spec),
            end_marker=_end_marker(stage.options),
        )
    finally:
        log.write(folder)


def _end_marker(options: RehearsalOptions) -> str | None:
    return None if options.run_id is None else f"kaggle-kit run {options.run_id} end"


def _reported(stage: Stage, plan: Plan, outcome: Outcome, working: Path) -> RunReport:
    competition = next((s for s in plan.sources if s.kind == "competition"), None)
    wants = stage.options.submission
    if wants is None:
        wants = stage.config.submission and competition is not None
    sample = None
    if competition is not None and wants:
        sample = find_sample(competition.folder, stage.config.sample)
    case = Case(
        name=plan.name,
        outcome=outcome,
        working=working,
        limits=stage.limits,
        rerun=plan.rerun,
        end_marker=_end_marker(stage.options),
        sample=sample,
        wants_submission=wants,
    )
    total, files = folder_size(working)
    return RunReport(
        name=plan.name,
        outputs=working,
        log_path=working.parent / "log.txt",
        wall_s=outcome.wall_s,
        cpu_s=outcome.cpu_s,
        peak_bytes=outcome.peak_bytes,
        output_bytes=total,
        output_files=files,
        log_bytes=outcome.log.bytes,
        checks=judge(case),
        traceback=_traceback(stage.built, outcome),
    )


def _traceback(built: "Built", outcome: Outcome) -> str:
    """The kernel's last traceback, its lines led back to the source."""
    if outcome.returncode in (0, None):
        return ""
    text = outcome.log.text()
    start = text.rfind("Traceback (most recent call last)")
    if start < 0:
        return ""
    from kernel_builder.trace import map_log

    return map_log(text[start:].rstrip(), built.source_map)


def _finish(stage: Stage, runs: Sequence[RunReport]) -> RehearsalReport:
    """Number the folder, point the report into it and store the report there."""
    partial = stage.folder.path
    folder = stage.folder.finish()

    def moved(path: Path) -> Path:
        return folder / path.relative_to(partial)

    report = RehearsalReport(
        kernel=stage.built.project.slug,
        folder=folder,
        isolation=stage.isolation.name,
        python=stage.python.version,
        not_isolated=stage.isolation.open,
        notes=_notes(stage),
        runs=tuple(
            replace(run, outputs=moved(run.outputs), log_path=moved(run.log_path))
            for run in runs
        ),
    )
    write_atomic(folder / "report.json", report.to_json())
    return report


def _notes(stage: Stage) -> tuple[str, ...]:
    notes = []
    if stage.isolation.tried:
        notes.append("better isolation failed: " + "; ".join(stage.isolation.tried))
    if _wants_gpu(stage.built) and not list(Path("/dev").glob("nvidia*")):
        notes.append("the kernel asks for a GPU; this machine has none: ran on CPU")
    return tuple(notes)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `rehearse`."""
    add = parser.add_argument
    add("kernel", metavar="KERNEL", help="kernel folder, or a .py file")
    add("--input", type=Path, metavar="DIR", help="the data (default: input/)")
    add("--layout", choices=sorted(LAYOUTS), default="new", help="mounts of the input")
    add("--out", type=Path, default=Path("out"), metavar="DIR", help="default: out/")
    add("--path", action="append", default=[], metavar="DIR", help="more modules")
    add("--inline", action="append", default=[], metavar="PKG", help="see build")
    add("--form", choices=("auto", "flat", "embed"), default="auto")
    add("--type", choices=("script", "notebook"), default=None)
    add("--time-limit", type=float, metavar="MIN", help="default: 720, as on Kaggle")
    add("--memory", type=float, metavar="GB", help="default: 32.2, as on Kaggle")
    add("--silence", type=float, metavar="MIN", help="a hang after this long (10)")
    add("--isolation", choices=("auto", *isolation.WAYS), default="auto")
    add("--no-submission", action="store_true", help="expect no submission.csv")
    add("--json", action="store_true", help="the report as JSON on stdout")


def options_of(args: argparse.Namespace, run_id: str | None) -> RehearsalOptions:
    """The options that the command line asks for."""
    for name in ("time_limit", "memory", "silence"):
        value = getattr(args, name)
        if value is not None and value <= 0:
            flag = name.replace("_", "-")
            raise UsageError(f"--{flag} {value:g}: must be more than 0")
    return RehearsalOptions(
        input=args.input,
        layout=args.layout,
        out=args.out,
        time_limit_s=None if args.time_limit is None else args.time_limit * 60,
        memory_bytes=None if args.memory is None else int(args.memory * 1e9),
        silence_s=None if args.silence is None else args.silence * 60,
        isolation=args.isolation,
        run_id=run_id,
        submission=False if args.no_submission else None,
        echo=printer(sys.stderr if args.json else sys.stdout),
    )


def printer(stream: Any) -> Callable[[str], None]:  # noqa: ANN401 - any text stream
    """Write lines to `stream` at once, whatever characters its encoding lacks."""

    def show(line: str) -> None:
        encoding = getattr(stream, "encoding", None) or "utf-8"
        safe = line.encode(encoding, "backslashreplace").decode(encoding)
        with contextlib.suppress(BrokenPipeError):
            stream.write(safe)
            stream.flush()

    return show


def run(args: argparse.Namespace) -> int:
    """Build, rehearse, report; the exit code says which kind of failure it was."""
    from kernel_builder.build import build
    from kernel_builder.project import load_project

    project = load_project(args.kernel, paths=args.path, inline=args.inline)
    run_id = uuid.uuid4().hex[:12]
    with tempfile.TemporaryDirectory(prefix="kaggle-kit-build-") as folder:
        built = build(
            project,
            out=Path(folder),
            form=args.form,
            kernel_type=args.type,
            run_id=run_id,
        )
        report = rehearse(built, options_of(args, run_id))
    show = printer(sys.stdout)
    if args.json:
        show(report.to_json())
    else:
        print_report(report, lambda line: show(line + "\n"))
    return report.exit_code
