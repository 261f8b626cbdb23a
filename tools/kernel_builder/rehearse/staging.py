"""One run of a rehearsal: lay out the room, run the kernel in it, judge it."""

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernel_builder.rehearse import isolation, mounts, sandbox
from kernel_builder.rehearse.judge import Case, judge
from kernel_builder.rehearse.livelog import LiveLog
from kernel_builder.rehearse.meters import Limits, Outcome, folder_size, supervise
from kernel_builder.rehearse.report import RunReport
from kernel_builder.rehearse.runfolder import RunFolder, scratch_folder
from kernel_builder.rehearse.verify import find_sample

if TYPE_CHECKING:
    from kernel_builder.emit.build import Built


ANSI = re.compile(r"\x1b\[[0-9;]*m")  # IPython colours its tracebacks


@dataclass(frozen=True)
class RehearsalOptions:
    """How to rehearse; the defaults are Kaggle's machine and one run.

    Attributes:
        input: a folder with the data, or the competition's own folder.
        layout: "new", "old" or "both" (one run each).
        rerun: further runs on hidden test sets; `hidden_tests` says which kinds.
        twice: a second, equal run, to see whether the answers are the same.
        profile: run under this image's Python and packages; "" or "none": the current.
        docker: run in this image with an installed Docker.
        hidden_rows: rows of the hidden sample submission, for the projected time.
        run_id: the id that the built file prints with its end marker.
        submission: None asks the metadata: a competition wants a submission.csv.
        real: the answers are real numbers although the sample shows whole ones.
        echo: gets every line of the kernel's log while it runs.
    """

    input: Path | None = None
    layout: str = "new"
    out: Path = Path("out")
    rerun: bool = False
    hidden_tests: tuple[str, ...] = ()
    twice: bool = False
    profile: str = ""
    docker: str = ""
    hidden_rows: int = 0
    time_limit_s: float | None = None
    memory_bytes: int | None = None
    silence_s: float | None = None
    isolation: str = "auto"
    run_id: str | None = None
    submission: bool | None = None
    real: bool = False
    echo: Callable[[str], None] = lambda line: None


@dataclass(frozen=True)
class Plan:
    """One run: its layout, the sources it sees, and whether it is a rerun."""

    name: str
    layout: str
    sources: tuple[mounts.Source, ...]
    rerun: bool = False
    sample: Path | None = None


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

    @property
    def metadata(self) -> Mapping[str, Any]:
        """kernel-metadata.json; empty for a bare script."""
        metadata = self.built.project.metadata
        return {} if metadata is None else metadata.raw

    @property
    def wants_gpu(self) -> bool:
        """Whether the metadata asks for a GPU."""
        shape = str(self.metadata.get("machine_shape") or "")
        return self.metadata.get("enable_gpu") is True or shape.startswith("Nvidia")

    @property
    def end_marker(self) -> str | None:
        """The line the built file prints last, if it prints one."""
        run_id = self.options.run_id
        return None if run_id is None else f"kaggle-kit run {run_id} end"

    def limits_of(self, plan: Plan) -> Limits:
        """The limits of one run: a rerun on the hidden test gets less time."""
        wall = self.limits.rerun_s if plan.rerun else self.limits.wall_s
        return replace(self.limits, wall_s=wall)

    def wants_submission(self, plan: Plan) -> bool:
        """Whether this run must leave a submission.csv."""
        if self.options.submission is not None:
            return self.options.submission
        return self.config.submission and competition(plan.sources) is not None


def wants_tpu(metadata: Mapping[str, Any]) -> bool:
    """Whether the metadata asks for a TPU, whose sessions are shorter."""
    shape = str(metadata.get("machine_shape") or "")
    return metadata.get("enable_tpu") is True or shape.startswith("Tpu")


def competition(sources: tuple[mounts.Source, ...]) -> mounts.Source | None:
    """The first competition among the sources."""
    return next((s for s in sources if s.kind == "competition"), None)


def sample_of(stage: Stage, plan: Plan) -> Path | None:
    """What this run's submission must look like; None when nothing says it."""
    if plan.sample is not None:
        return plan.sample
    source = competition(plan.sources)
    if source is None or not stage.wants_submission(plan):
        return None
    return find_sample(source.folder, stage.config.sample)


def count_rows(sample: Path | None) -> int:
    """Rows of a sample submission without its header, 0 for none."""
    if sample is None:
        return 0
    with sample.open("rb") as file:
        return max(0, sum(1 for line in file if line.strip()) - 1)


def run_plan(stage: Stage, plan: Plan, first: bool) -> RunReport:
    """Run the kernel once and judge it."""
    folder = stage.folder.path
    if not first:
        folder = folder / "runs" / re.sub(r"[^a-z0-9]+", "-", plan.name).strip("-")
    working = folder / "output"
    working.mkdir(parents=True)
    with scratch_folder() as scratch:
        spec = _spec(stage, plan, working, scratch)
        outcome = _supervised(stage, plan, spec, folder)
        executed = scratch / "io/executed.ipynb"
        if executed.is_file():
            shutil.copyfile(executed, folder / "executed.ipynb")
    # A kernel may delete its folder where that is no mount point.
    working.mkdir(exist_ok=True)
    return _reported(stage, plan, outcome, working)


def _spec(stage: Stage, plan: Plan, working: Path, scratch: Path) -> sandbox.Spec:
    project = stage.built.project
    hidden = {project.root, *project.search, Path.home(), Path.cwd()}
    (scratch / "sources").mkdir()
    return sandbox.Spec(
        code=stage.built.code_path,
        working=working,
        scratch=scratch,
        python=stage.python,
        mounts=mounts.mounts(plan.sources, plan.layout, scratch / "sources"),
        hidden=tuple(sorted(p for p in hidden if p.resolve() != Path("/"))),
        hidden_packages=stage.hidden_packages,
        variables={"KAGGLE_IS_COMPETITION_RERUN": "1"} if plan.rerun else {},
        gpu=stage.wants_gpu,
        cpus=stage.limits.cpus,
        memory_bytes=stage.limits.memory_bytes,
    )


def _supervised(stage: Stage, plan: Plan, spec: sandbox.Spec, folder: Path) -> Outcome:
    sandbox.prepare(spec)
    log = LiveLog(stage.options.echo)
    try:
        return supervise(
            stage.isolation.command(spec),
            limits=stage.limits_of(plan),
            log=log,
            working=spec.working,
            exit_file=sandbox.exit_file(spec),
            events_file=sandbox.events_file(spec),
            end_marker=stage.end_marker,
        )
    finally:
        log.write(folder)


def _reported(stage: Stage, plan: Plan, outcome: Outcome, working: Path) -> RunReport:
    sample = sample_of(stage, plan)
    case = Case(
        name=plan.name,
        outcome=outcome,
        working=working,
        limits=stage.limits_of(plan),
        rerun=plan.rerun,
        end_marker=stage.end_marker,
        sample=sample,
        wants_submission=stage.wants_submission(plan),
        real=stage.options.real or stage.config.real,
        rows=count_rows(sample),
        hidden_rows=stage.options.hidden_rows or stage.config.hidden_rows,
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
        returncode=outcome.returncode,
        traceback=_traceback(stage.built, outcome),
    )


def _traceback(built: "Built", outcome: Outcome) -> str:
    """The kernel's last traceback, its lines led back to the source."""
    if outcome.returncode in (0, None):
        return ""
    text = outcome.log.text()
    starts = [text.rfind(mark) for mark in ("Traceback (most recent", "\n-----------")]
    if max(starts) < 0:
        return ""
    from kernel_builder.emit.trace import map_log

    return map_log(ANSI.sub("", text[max(starts) :]).strip(), built.source_map)
