"""Ask Kaggle what would make a push futile, before anything is sent.

A version that is still running, GPU or TPU time that is used up, rules that were not
accepted, a dataset that is still being processed, a code competition's conditions.
"""

import argparse
from dataclasses import replace

from kernel_builder.errors import PushRefused
from kernel_builder.profiles import load_profile
from kernel_builder.remote.asking import Patience, ask
from kernel_builder.remote.client import CallError, KaggleClient, as_error
from kernel_builder.remote.retrying import span
from kernel_builder.remote.saving import Prepared

RUNNING = ("QUEUED", "RUNNING", "CANCEL_REQUESTED")


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
            f"{kernel}: a version is {latest} on Kaggle already; `wait` for it, cancel "
            f"it at https://www.kaggle.com/code/{kernel}, or push over it with --force"
        )
    # What follows may go unanswered: the push does not depend on it.
    patience = replace(patience, tries=1)
    for kind in ("gpu", "tpu"):
        if prepared.uses(kind):
            _check_quota(client, kind, patience, args)
    for competition in prepared.metadata.get("competition_sources") or ():
        _check_competition(client, prepared, str(competition), patience, args)
    for dataset in prepared.metadata.get("dataset_sources") or ():
        _check_dataset(client, str(dataset), patience)


def _check_competition(
    client: KaggleClient,
    prepared: Prepared,
    name: str,
    patience: Patience,
    args: argparse.Namespace,
) -> None:
    """Warn of rules that were not accepted: Kaggle's own answer would not say so.

    A code competition runs the version again, without internet, on a test set that
    nobody has seen.
    """
    known = {}
    try:
        known = ask(client, "competition", patience, name=name)
        entered = known["entered"]
    except CallError as failure:
        entered = failure.status != 403
    if not entered:
        patience.log(
            f"warning: you have not joined {name}; its data is not mounted before you "
            f"accept https://www.kaggle.com/competitions/{name}/rules"
        )
    if not known.get("kernels_only"):
        return
    if prepared.metadata.get("enable_internet"):
        patience.log(
            f"warning: {name} takes no kernel that had internet: this version cannot "
            "be submitted (set enable_internet to false)"
        )
    if not args.rerun:
        patience.log(
            f"note: {name} runs a submitted version again on a hidden test; `push "
            "--rerun` or `rehearse --rerun` tries other test sets here"
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
    client: KaggleClient, kind: str, patience: Patience, args: argparse.Namespace
) -> None:
    """Refuse where no accelerator time is left; warn where it may not be enough."""
    name = kind.upper()
    try:
        quota = ask(client, "quota", patience).get(f"{kind}_quota") or {}
    except CallError as failure:
        patience.log(f"note: the {name} quota is not known ({failure})")
        return
    left = quota.get("allowed", 0.0) - quota.get("used", 0.0)
    if not quota.get("allowed"):
        return
    if left <= 0 and not args.force:
        raise PushRefused(
            f"no {name} time is left this week ({span(quota['used'])} of "
            f"{span(quota['allowed'])} used); --force pushes all the same"
        )
    patience.log(f"{name} time left this week: {span(max(0.0, left))}")
    if left <= 0:
        return
    limits = load_profile().limits
    longest = limits["session_s_tpu" if kind == "tpu" else "session_s_cpu_gpu"]
    if args.time_limit is None and left < longest:
        patience.log(
            f"warning: a session that hangs would take all of it (Kaggle stops one "
            f"after {span(longest)}); --time-limit MIN ends it earlier (P03)"
        )
    elif args.time_limit is not None and left < 60 * args.time_limit:
        patience.log(
            "warning: that is less than the time limit of "
            f"{args.time_limit:g} min (P03)"
        )
