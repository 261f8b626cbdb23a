"""Build a kernel, check it, push it through the Kaggle client, and see it through.

The push is judged by Kaggle's whole answer: refused pushes and dropped sources fail.
With --wait the tool waits for exactly the version it pushed (with the clients 2.2.4 and
2.2.5 alike), brings log and outputs to OUT/runs/<slug>/v<N>/ and checks submission.csv.

Exit codes: 0 all went well, 2 usage, 3 check, 4 rehearsal, 5 refused, 6 the kernel
failed, 7 out of time, 8 network, 9 submission, 10 credentials, 130 Ctrl-C.
"""

import argparse
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kernel_builder.emit.build import Built, add_build_options, build
from kernel_builder.errors import RehearsalFailed, UsageError
from kernel_builder.profiles import load_profile
from kernel_builder.read.project import Project, load_project
from kernel_builder.remote.client import KaggleClient
from kernel_builder.remote.conclude import finish_run, require_reader
from kernel_builder.remote.looking import look_before
from kernel_builder.remote.runs import Run, from_root, git_state, new_run_id, read_cfg
from kernel_builder.remote.saving import Prepared, push
from kernel_builder.remote.shared import (
    add_result_arguments,
    bundle_run,
    kernel_id,
    live_log,
    open_client,
    patience_of,
    say_what_runs_on,
)
from kernel_builder.signals import ended_like_ctrl_c


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `push`."""
    add_build_options(parser)
    parser.add_argument(
        "--wait", action="store_true", help="wait, download and check as well"
    )
    parser.add_argument(
        "--force", action="store_true", help="push over a run, without quota"
    )
    parser.add_argument(
        "--time-limit",
        type=float,
        metavar="MIN",
        help="Kaggle stops the run after MIN (default: Kaggle's own limit, 12 hours)",
    )
    parser.add_argument("--no-check", action="store_true", help="skip the static check")
    parser.add_argument("--profile", default="", help="the image to check against")
    parser.add_argument(
        "--ignore", action="append", default=[], metavar="ID", help="silence a rule"
    )
    parser.add_argument(
        "--rehearse", action="store_true", help="rehearse what is pushed, before"
    )
    parser.add_argument(
        "--rerun", action="store_true", help="rehearse it on hidden test sets as well"
    )
    add_result_arguments(parser)


def run(args: argparse.Namespace, log: Callable[[str], None] = print) -> int:
    """Build, push and, with --wait, see the kernel through."""
    patience = patience_of(args, log)
    log = patience.log
    project = load_project(args.kernel, args.path, args.inline)
    kernel_id(project)
    if not args.no_check:
        check(args, project, log)
    if args.wait:
        require_reader(args, project)
    with open_client(args) as client, ended_like_ctrl_c():
        prepared = prepare(args, project, client, log)
        try:
            if args.rehearse or args.rerun:
                rehearse_built(args, prepared, log)
            look_before(client, prepared, patience, args)
        except BaseException:
            # Nothing was sent: a folder of a push that never was would mislead.
            shutil.rmtree(prepared.folder, ignore_errors=True)
            raise
        pushed = push(client, prepared, patience, args)
        if not args.wait:
            log(f"not waiting; `wait {args.kernel}` brings the result")
            return 0
        with say_what_runs_on(pushed, log):
            live = live_log(args, pushed, log)
            finish_run(client, bundle_run(args, project, pushed), patience, live)
    return 0


def check(
    args: argparse.Namespace, project: Project, log: Callable[[str], None]
) -> None:
    """Run the static check; warnings are shown, errors stop the push.

    Raises:
        CheckFailed: Kaggle would refuse the kernel, or its run would fail.
    """
    # Only a push pays for loading the rules.
    from kernel_builder.check.preflight import run_checks, stop_on_errors

    profile = load_profile(args.profile)
    ignore = [rule for item in args.ignore for rule in item.split(",") if rule]
    findings = run_checks(
        project,
        profile=profile,
        ignore=ignore,
        kernel_type=args.kernel_type,
        form=args.form,
    )
    stop_on_errors(project, profile, findings)
    for finding in findings:
        log(str(finding))


def rehearse_built(
    args: argparse.Namespace, prepared: Prepared, log: Callable[[str], None]
) -> None:
    """Rehearse the very file that is going to be pushed.

    Raises:
        RehearsalFailed: Kaggle would fail it.
    """
    from kernel_builder.rehearse.rehearsal import (
        RehearsalOptions,
        print_report,
        rehearse,
    )

    options = RehearsalOptions(
        input=Path(args.input) if args.input else None,
        out=Path(args.out),
        rerun=args.rerun,
        run_id=prepared.run.run_id,
        submission=False if args.no_submission else None,
        real=args.real,
        echo=lambda text: log(text.rstrip("\n")),
    )
    report = rehearse(prepared.built, options)
    print_report(report, log)
    if not report.ok:
        reason = report.kaggle or "see above"
        raise RehearsalFailed(
            f"the rehearsal failed, nothing was pushed: {reason}; its log is "
            f"{report.log_path}"
        )


def prepare(
    args: argparse.Namespace,
    project: Project,
    client: KaggleClient,
    log: Callable[[str], None],
) -> Prepared:
    """Build the kernel into a folder of its own, stamped with a new run id.

    Raises:
        UsageError: there is no usable metadata, or the source holds a credential.
        ToolError: the build or the check refused.
    """
    kernel = kernel_id(project)
    run_id = new_run_id()
    out = Path(args.out) / "pushed" / project.slug / run_id
    built = build(
        project, out=out, form=args.form, kernel_type=args.kernel_type, run_id=run_id
    )
    source = built.code_path.read_text(encoding="utf-8")
    if any(secret in source for secret in client.secrets):
        shutil.rmtree(built.code_path.parent)
        raise UsageError(
            f"{project.entry}: the kernel holds your Kaggle key; remove it"
        )
    if built.metadata_path is None:
        raise UsageError(f"{project.kernel}: no kernel-metadata.json beside it")
    metadata = json.loads(built.metadata_path.read_text(encoding="utf-8"))
    commit, dirty = git_state(project.root)
    prepared = Run(
        run_id,
        kernel,
        built=from_root(project.root, built.code_path.parent),
        commit=commit,
        dirty=dirty,
        sha256=source_hash(built),
        accelerator=accelerator_of(metadata),
        competition=next(iter(metadata.get("competition_sources") or ()), ""),
        cfg=read_cfg(project.entry.read_text(encoding="utf-8")),
    )
    size = built.code_path.stat().st_size
    log(f"built {built.code_path} ({built.form}, {size:,} bytes)")
    for note in built.notes:
        log(f"  {note}")
    return Prepared(prepared, project, built, metadata)


def source_hash(built: Built) -> str:
    """The sha256 of all sources that went in: the same for every push of them."""
    texts = json.dumps(dict(built.source_map.sources), sort_keys=True)
    return hashlib.sha256(texts.encode("utf-8")).hexdigest()


def accelerator_of(metadata: dict[str, Any]) -> str:
    """What hardware the metadata asks for, in one word."""
    shape = str(metadata.get("machine_shape") or "")
    if shape:
        return shape
    if metadata.get("enable_gpu"):
        return "gpu"
    return "tpu" if metadata.get("enable_tpu") else "cpu"
