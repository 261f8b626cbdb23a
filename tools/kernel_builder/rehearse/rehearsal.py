"""Run a built kernel alone, as Kaggle would, and judge what it did.

The kernel is built and its one file runs in a sandbox laid out like Kaggle's machine.
Then submission.csv is checked, and what the kernel wrote is kept in a fresh folder,
out/rehearsals/<slug>/<NNN>/:

    output/       what was in /kaggle/working
    log.txt       what it printed (log.json: the same in Kaggle's form)
    report.json   every check and meter
    kernel.py     the built file that ran, with its source map
    runs/<name>/  the same for each further run (layouts, hidden tests, --twice)

The data comes from --input DIR, or from input/ beside the kernel, in the repository or
here: competitions/<slug>, datasets/<owner>/<slug>, models/..., notebooks/...
`rehearsal.toml` beside the kernel may hold

    submission = false    for a kernel of a competition that writes none
    real = true           answers are real numbers though the sample shows whole ones
    sample, test, id      file names (a pattern for test) and id column of the test set
    hidden_rows = 28000   for the projected time
    mutate = "hidden.py"  makes hidden tests: mutate(folder, out, kind, seed)
    [sources]             "datasets/owner/slug" = "folder", and so on

Exit codes: 0 passed, 4 failed, 9 only submission.csv is wrong, 2 wrong usage.
"""

import argparse
import contextlib
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernel_builder.errors import UsageError
from kernel_builder.files import write_atomic
from kernel_builder.profiles import Profile, load_profile
from kernel_builder.rehearse import isolation, mounts, mutate, profile_env, sandbox
from kernel_builder.rehearse.cases import LAYOUTS, all_runs
from kernel_builder.rehearse.meters import Limits
from kernel_builder.rehearse.report import RehearsalReport, RunReport, print_report
from kernel_builder.rehearse.runfolder import new_run_folder
from kernel_builder.rehearse.staging import RehearsalOptions, Stage, wants_tpu
from kernel_builder.signals import ended_like_ctrl_c

if TYPE_CHECKING:
    from kernel_builder.emit.build import Built
    from kernel_builder.read.project import Project

__all__ = ["RehearsalOptions", "add_arguments", "print_report", "rehearse", "run"]

NONE = ("", "none")


def rehearse(built: "Built", options: RehearsalOptions) -> RehearsalReport:
    """Run the built kernel once for every case asked for, and judge each run.

    Raises:
        UsageError: a data source has no local folder, or what the options ask for
            does not work here.
        KeyboardInterrupt: Ctrl-C; the kernel is gone, and what it wrote until then is
            in a numbered folder like any other.
    """
    if options.layout not in LAYOUTS:
        raise UsageError(f"--layout {options.layout}: {', '.join(LAYOUTS)} are allowed")
    config = mounts.load_config(built.project.entry.parent)
    sources = find_sources(built, options, config)
    profile = load_profile("" if options.profile in NONE else options.profile)
    python, differences = _python(built, options, profile)
    stage = Stage(
        built=built,
        options=options,
        config=config,
        python=python,
        isolation=_isolation(options, python),
        limits=_limits(built, options, profile),
        hidden_packages=sandbox.packages_from_folders(),
        folder=new_run_folder(options.out / "rehearsals" / built.project.slug),
    )
    try:
        _keep_source(stage)
        with tempfile.TemporaryDirectory(prefix="kaggle-kit-hidden-") as hidden:
            runs, notes = all_runs(stage, sources, Path(hidden))
    except KeyboardInterrupt:
        folder = stage.folder.finish()
        options.echo(f"\ninterrupted: what it wrote so far is in {folder}\n")
        raise
    except BaseException:
        shutil.rmtree(stage.folder.path, ignore_errors=True)
        raise
    return _finish(stage, runs, notes, _image(options, profile), differences)


def find_sources(
    built: "Built", options: RehearsalOptions, config: mounts.Config
) -> tuple[mounts.Source, ...]:
    """The local folder of each data source of the kernel."""
    project = built.project
    roots = (project.entry.parent / "input", project.root / "input", Path("input"))
    return mounts.find_sources(
        None if project.metadata is None else project.metadata.raw,
        config,
        tuple(dict.fromkeys(root.resolve() for root in roots)),
        options.input,
        (options.out,),
    )


def _python(
    built: "Built", options: RehearsalOptions, profile: Profile
) -> tuple[sandbox.Python, tuple[str, ...]]:
    """The interpreter to run under, and how it differs from the image."""
    if options.docker:
        from kernel_builder.rehearse.docker import image_python

        return image_python(), ()
    modules = profile_env.imported_modules(built.source_map.sources.values())
    wanted = profile_env.distributions(profile, modules)
    if options.profile in NONE:
        python = sandbox.current_python()
        _require_notebook_runner(built, python)
        versions = {name: profile_env.installed_version(name) for name in wanted}
    else:
        needed = modules | _notebook_modules(built)
        python, known = profile_env.profile_python(profile, needed, options.echo)
        versions = dict(known)
    return python, profile_env.differences(profile, python.version, versions, wanted)


def _image(options: RehearsalOptions, profile: Profile) -> str:
    """What the report says its versions are of, or are compared with."""
    if options.docker:
        return options.docker
    return profile.name + (", which are approximate" if profile.approximate else "")


def _notebook_modules(built: "Built") -> frozenset[str]:
    notebook = built.code_path.suffix == ".ipynb"
    return frozenset(("nbclient", "ipykernel") if notebook else ())


def _require_notebook_runner(built: "Built", python: sandbox.Python) -> None:
    """A notebook needs nbclient and ipykernel in the Python that runs it."""
    import importlib.util

    if built.code_path.suffix != ".ipynb" or python.executable != Path(sys.executable):
        return
    needed = ("nbformat", "nbclient", "ipykernel")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"rehearsing a notebook needs {', '.join(missing)} in {python.executable}: "
            f"pip install {' '.join(missing)}, or rehearse it with --type script"
        )


def _isolation(
    options: RehearsalOptions, python: sandbox.Python
) -> isolation.Isolation:
    if options.docker:
        from kernel_builder.rehearse.docker import isolation as in_docker

        return in_docker(options.docker)
    return isolation.choose(options.isolation, python)


def _limits(built: "Built", options: RehearsalOptions, profile: Profile) -> Limits:
    """The limits of Kaggle's machine, or what the user asks for."""
    metadata = built.project.metadata
    usual = Limits.of(profile.limits, wants_tpu(metadata.raw if metadata else {}))
    return replace(
        usual,
        wall_s=options.time_limit_s or usual.wall_s,
        rerun_s=options.time_limit_s or usual.rerun_s,
        memory_bytes=options.memory_bytes or usual.memory_bytes,
        silence_s=options.silence_s or usual.silence_s,
    )


def _keep_source(stage: Stage) -> None:
    """Put the file that runs beside its outputs: the log's line numbers mean it."""
    built, folder = stage.built, stage.folder.path
    shutil.copyfile(built.code_path, folder / built.code_path.name)
    if built.map_path.is_file():
        shutil.copyfile(built.map_path, folder / built.map_path.name)


def _finish(
    stage: Stage,
    runs: Sequence[RunReport],
    notes: Sequence[str],
    image: str,
    differences: tuple[str, ...],
) -> RehearsalReport:
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
        image=image,
        differences=differences,
        notes=(*notes, *_notes(stage)),
        runs=tuple(
            replace(run, outputs=moved(run.outputs), log_path=moved(run.log_path))
            for run in runs
        ),
    )
    write_atomic(folder / "report.json", report.to_json())
    return report


def _notes(stage: Stage) -> Iterator[str]:
    if stage.isolation.tried:
        yield "better isolation failed: " + "; ".join(stage.isolation.tried)
    named = any(stage.metadata.get(key) for key in mounts.KINDS.values())
    if stage.options.input is not None and stage.metadata and not named:
        yield (
            f"kernel-metadata.json names no data source, so --input "
            f"{stage.options.input} was not mounted, as on Kaggle"
        )
    if stage.wants_gpu and not stage.options.docker and not sandbox.gpu_devices():
        yield "the kernel asks for a GPU; this machine has none: it ran on the CPU"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `rehearse`."""
    from kernel_builder.emit.build import add_build_options

    add_build_options(parser)
    add = parser.add_argument
    add("--input", type=Path, metavar="DIR", help="the data (default: input/)")
    add("--layout", choices=sorted(LAYOUTS), default="new", help="how input is mounted")
    add("--rerun", action="store_true", help="run again on hidden test sets")
    add(
        "--hidden-tests",
        metavar="KINDS",
        default="",
        help=f"with --rerun, comma-separated: {', '.join(mutate.KINDS)}",
    )
    add(
        "--hidden-rows", type=int, default=0, metavar="N", help="for the projected time"
    )
    add("--twice", action="store_true", help="run twice and compare the answers")
    add("--profile", default="none", metavar="NAME", help="an image's Python, or none")
    add("--docker", default="", metavar="IMAGE", help="run in this image by Docker")
    add("--time-limit", type=float, metavar="MIN", help="default: Kaggle's, 12 hours")
    add("--memory", type=float, metavar="GB", help="default: Kaggle's, 32.2")
    add("--silence", type=float, metavar="MIN", help="a hang after this long (10)")
    add("--isolation", choices=("auto", *isolation.WAYS), default="auto")
    add("--no-submission", action="store_true", help="expect no submission.csv")
    add("--real", action="store_true", help="answers are real, the sample whole")
    add("--out", type=Path, default=Path("out"), metavar="DIR", help="default: out/")
    add("--json", action="store_true", help="the report as JSON on stdout")


def options_of(args: argparse.Namespace, run_id: str | None) -> RehearsalOptions:
    """The options that the command line asks for."""
    for name in ("time_limit", "memory", "silence"):
        value = getattr(args, name)
        if value is not None and not value > 0:
            flag = name.replace("_", "-")
            raise UsageError(f"--{flag} {value:g}: must be more than 0")
    kinds = [kind.strip().replace("-", " ") for kind in args.hidden_tests.split(",")]
    return RehearsalOptions(
        input=args.input,
        layout=args.layout,
        out=args.out,
        rerun=args.rerun or any(kinds),
        hidden_tests=tuple(kind for kind in kinds if kind),
        twice=args.twice,
        profile=args.profile,
        docker=args.docker,
        hidden_rows=args.hidden_rows,
        time_limit_s=None if args.time_limit is None else args.time_limit * 60,
        memory_bytes=None if args.memory is None else int(args.memory * 1e9),
        silence_s=None if args.silence is None else args.silence * 60,
        isolation=args.isolation,
        run_id=run_id,
        submission=False if args.no_submission else None,
        real=args.real,
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


def _tell_findings(
    project: "Project", args: argparse.Namespace, options: RehearsalOptions
) -> None:
    """Say what `check` finds; the rehearsal goes on, it shows what comes of it."""
    from kernel_builder.check.preflight import run_checks

    profile = load_profile("" if args.profile in NONE else args.profile)
    findings = run_checks(
        project, profile=profile, kernel_type=args.kernel_type, form=args.form
    )
    for finding in findings:
        options.echo(f"check: {finding}\n")


def run(args: argparse.Namespace) -> int:
    """Build, rehearse, report; the exit code says which kind of failure it was."""
    from kernel_builder.emit.build import build
    from kernel_builder.read.project import load_project

    run_id = uuid.uuid4().hex[:12]
    options = options_of(args, run_id)
    project = load_project(args.kernel, paths=args.path, inline=args.inline)
    with (
        ended_like_ctrl_c(),
        tempfile.TemporaryDirectory(prefix="kaggle-kit-build-") as folder,
    ):
        built = build(
            project,
            out=Path(folder),
            form=args.form,
            kernel_type=args.kernel_type,
            run_id=run_id,
        )
        _tell_findings(project, args, options)
        report = rehearse(built, options)
    show = printer(sys.stdout)
    if args.json:
        show(report.to_json())
    else:
        print_report(report, lambda line: show(line + "\n"))
    return report.exit_code
