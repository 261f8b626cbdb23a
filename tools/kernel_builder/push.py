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
from dataclasses import replace
from pathlib import Path
from typing import Any

from kernel_builder.asking import Patience, ask
from kernel_builder.build import Built, add_build_options, build
from kernel_builder.client import CallError, KaggleClient, as_error
from kernel_builder.conclude import finish_run, require_reader
from kernel_builder.errors import PushRefused, RehearsalFailed, UsageError
from kernel_builder.profiles import load_profile
from kernel_builder.project import Project, load_project
from kernel_builder.remote import (
    add_result_arguments,
    bundle_run,
    kernel_id,
    live_log,
    open_client,
    patience_of,
    say_what_runs_on,
)
from kernel_builder.retrying import span
from kernel_builder.runs import Run, from_root, git_state, new_run_id, read_cfg
from kernel_builder.saving import Prepared, push

RUNNING = ("QUEUED", "RUNNING", "CANCEL_REQUESTED")


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
        "--time-limit", type=float, metavar="MIN", help="Kaggle stops the run after MIN"
    )
    parser.add_argument("--no-check", action="store_true", help="skip the static check")
    parser.add_argument("--profile", default="", help="the image to check against")
    parser.add_argument(
        "--ignore", action="append", default=[], metavar="ID", help="silence a rule"
    )
    parser.add_argument(
        "--rehearse", action="store_true", help="rehearse what is pushed, before"
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
    with open_client(args) as client:
        prepared = prepare(args, project, client, log)
        try:
            if args.rehearse:
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
    from kernel_builder.preflight import run_checks, stop_on_errors

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
    from kernel_builder.rehearsal import RehearsalOptions, print_report, rehearse

    options = RehearsalOptions(
        input=Path(args.input) if args.input else None,
        out=Path(args.out),
        run_id=prepared.run.run_id,
        submission=False if args.no_submission else None,
        real=args.real,
        echo=lambda text: log(text.rstrip("\n")),
    )
    report = rehearse(prepared.built, options)
    print_report(report, log)
    if not report.ok:
        raise RehearsalFailed(
            f"the rehearsal failed, nothing was pushed: {report.kaggle}"
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


def look_before(
    client: KaggleClient,
    prepared: Prepared,
    patience: Patience,
    args: argparse.Namespace,
) -> None:
    """Refuse to push over a run that is still going, or without GPU time left.

    Raises:
        PushRefused: one of these holds and --force was not given.
        ToolError: Kaggle did not answer, or refused the credentials.
    """
    kernel = prepared.run.kernel
    try:
        latest = ask(client, "status", patience, kernel=kernel, version=None)["status"]
    except CallError as failure:
        # A kernel that does not exist yet is answered like one that is not ours.
        if not failure.absent and failure.kind == "http" and failure.status != 401:
            patience.log(f"note: the state of {kernel} is not known ({failure})")
        elif not failure.absent:
            raise as_error(failure, f"push of {kernel}") from failure
        latest = ""
    if latest in RUNNING and not args.force:
        raise PushRefused(
            f"{kernel}: a version is {latest} on Kaggle already; `wait` for it, stop "
            f"it at https://www.kaggle.com/code/{kernel}, or push over it with --force"
        )
    # What follows may go unanswered: the push does not depend on it.
    patience = replace(patience, tries=1)
    if prepared.uses_gpu:
        _check_quota(client, patience, args)
    for competition in prepared.metadata.get("competition_sources") or ():
        _check_competition(client, str(competition), patience)
    for dataset in prepared.metadata.get("dataset_sources") or ():
        _check_dataset(client, str(dataset), patience)


def _check_competition(client: KaggleClient, name: str, patience: Patience) -> None:
    """Warn of rules that were not accepted: Kaggle's own answer would not say so."""
    try:
        entered = ask(client, "competition", patience, name=name)["entered"]
    except CallError as failure:
        entered = failure.status != 403
    if not entered:
        patience.log(
            f"warning: you have not joined {name}; its data is not mounted before you "
            f"accept https://www.kaggle.com/competitions/{name}/rules"
        )


def _check_dataset(client: KaggleClient, dataset: str, patience: Patience) -> None:
    """Warn of a dataset still being processed; a missing one is named by the push."""
    try:
        status = ask(client, "dataset_status", patience, dataset=dataset)["status"]
    except CallError:
        return
    if status != "ready":
        patience.log(
            f"warning: dataset {dataset} is {status}: the run would get the version "
            "before (P02)"
        )


def _check_quota(
    client: KaggleClient, patience: Patience, args: argparse.Namespace
) -> None:
    try:
        gpu = ask(client, "quota", patience).get("gpu_quota") or {}
    except CallError as failure:
        patience.log(f"note: the GPU quota is not known ({failure})")
        return
    left = gpu.get("allowed", 0.0) - gpu.get("used", 0.0)
    if not gpu.get("allowed"):
        return
    if left <= 0 and not args.force:
        raise PushRefused(
            f"no GPU time is left this week ({span(gpu['used'])} of "
            f"{span(gpu['allowed'])} used); --force pushes all the same"
        )
    patience.log(f"GPU time left this week: {span(left)}")
    if args.time_limit is not None and left < 60 * args.time_limit:
        patience.log(
            f"warning: that is less than the time limit of {args.time_limit:g} min"
        )
