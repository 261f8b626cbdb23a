"""Bring a run's log and output files home, whole, into a folder of their own."""

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kernel_builder.errors import NetworkFailed, TimedOut, ToolError
from kernel_builder.files import locked, write_atomic
from kernel_builder.remote.asking import Patience, ask
from kernel_builder.remote.client import CallError, Json, KaggleClient, as_error
from kernel_builder.remote.kernel_log import log_text, owner_of
from kernel_builder.remote.runs import Run

PAGE_SIZE = 200
MOST_PAGES = 10_000
RECORD = "kaggle-kit-run.json"
# Seconds without a byte after which a download is broken off and taken up again.
SILENCE = 60.0
LOCK_SECONDS = 0.5
PAGES = (".html", ".htm", ".xhtml")
GOES_ON = "`fetch` goes on where it stopped"
_DRIVE = re.compile(r"^[A-Za-z]:")


@dataclass(frozen=True)
class Fetched:
    """A run at home: its folder, the log file in it, the names and sizes of outputs."""

    folder: Path
    log_path: Path
    sizes: dict[str, int]


def list_outputs(
    client: KaggleClient, run: Run, patience: Patience
) -> tuple[dict[str, str], str]:
    """All output files of a run (name -> URL) from all pages, and its raw log.

    Raises:
        CallError: Kaggle did not answer.
        NetworkFailed: the pages do not end, or a name would leave the folder.
    """
    urls: dict[str, str] = {}
    raw_log, token, seen = "", "", set[str]()
    for page in range(MOST_PAGES):
        answer = ask(
            client,
            "outputs",
            patience,
            kernel=run.kernel,
            version=run.version,
            page=token,
            size=PAGE_SIZE,
        )
        # Only the first page's log counts: the client saves that one too.
        raw_log = raw_log or (answer["log"] if page == 0 else "")
        for name, url in answer["files"]:
            check_name(name)
            urls[name] = url
        token = answer["next"]
        if not token:
            return urls, raw_log
        if token in seen:
            break
        seen.add(token)
    raise NetworkFailed(f"{run.label}: the list of output files does not end")


def check_name(name: str) -> None:
    """Refuse a file name that would not stay inside the folder of the run.

    Raises:
        NetworkFailed: the name is absolute, climbs, or is no plain relative path.
    """
    parts = PurePosixPath(name).parts
    bad = (
        not parts
        or name.startswith(("/", "~"))
        or "\\" in name
        or ".." in parts
        or _DRIVE.match(name)
        or any(ord(letter) < 32 for letter in name)
        or name.endswith("/")
    )
    if bad:
        raise NetworkFailed(
            f"output file {name!r}: the name leaves the folder of the run; refused, "
            "nothing was downloaded"
        )


def fetch_run(
    client: KaggleClient,
    run: Run,
    runs_folder: Path,
    patience: Patience,
    status: str,
    proven: bool = True,
) -> Fetched:
    """Download a run's outputs and log to `runs_folder`/v<N>, all or nothing.

    `proven` demands that the log beside the outputs is of this push.

    Files come into a hidden folder beside it, where an interrupted fetch goes on, and
    the whole is renamed at the end. A folder of an earlier fetch is never touched:
    that of the same run is returned as it is, another one gets a longer name.

    Raises:
        NetworkFailed: a file cannot be had or has the wrong size.
        ToolError: a call failed.
    """
    target = _folder_for(run, runs_folder)
    if (target / RECORD).exists():
        return _read_record(target)
    partial = runs_folder / f".partial-{run.run_id}"
    store = partial / "outputs"
    try:
        store.mkdir(parents=True, exist_ok=True)
        with _alone(partial, patience):
            if not (target / RECORD).exists():
                sizes, text = _download_all(client, run, partial, patience, proven)
                _write_record(run, store, sizes, text, status)
                os.replace(store, target)  # noqa: PTH105 - a whole folder moves
    except CallError as failure:
        error = as_error(failure, f"fetch of {run.label}")
        raise type(error)(f"{error}; {GOES_ON}") from failure
    except OSError as error:
        raise ToolError(f"{partial}: {error.strerror or error}") from error
    shutil.rmtree(partial, ignore_errors=True)
    return _read_record(target)


@contextlib.contextmanager
def _alone(folder: Path, patience: Patience) -> Iterator[None]:
    """Let one process at a time fetch into `folder`: `wait` may run in two terminals.

    Raises:
        TimedOut: another one is still at it when the deadline passes.
    """

    def wait() -> None:
        if patience.deadline.passed:
            raise TimedOut(f"{folder}: another process fetches it; try again later")
        patience.pause(LOCK_SECONDS)

    with locked(folder / "lock", wait):
        yield


def _download_all(
    client: KaggleClient, run: Run, partial: Path, patience: Patience, proven: bool
) -> tuple[dict[str, int], str]:
    """Have every output file in the store; their sizes, and the log as text."""
    store = partial / "outputs"
    urls, raw_log = list_outputs(client, run, patience)
    if proven and owner_of(raw_log, run.run_id)[0] != "ours":
        raise NetworkFailed(
            f"{run.label}: the outputs Kaggle lists now are of another run; nothing "
            "was downloaded; `fetch` asks again"
        )
    sizes = {}
    count = f"{len(urls)} file{'s' * (len(urls) != 1)}"
    patience.log(f"{run.label}: downloading {count}")
    for name in sorted(urls):
        urls = _fetch_file(client, run, name, urls, partial, patience)
        sizes[name] = (store / name).stat().st_size
    for stale in sorted(store.rglob("*"), reverse=True):
        if stale.is_file() and stale.relative_to(store).as_posix() not in sizes:
            stale.unlink()
    return sizes, client.clean(log_text(raw_log))


def _write_record(
    run: Run, store: Path, sizes: dict[str, int], text: str, status: str
) -> None:
    """Put the log and what is known of the run beside the outputs."""
    log_name = f"{run.kernel.rsplit('/', 1)[-1]}.log"
    if log_name in sizes:
        log_name = f"{run.run_id}.log"
    write_atomic(store / log_name, text)
    record = {
        "run": run.run_id,
        "kernel": run.kernel,
        "version": run.version,
        "status": status,
        "log": log_name,
        "files": sizes,
    }
    write_atomic(store / RECORD, json.dumps(record, indent=2) + "\n")


def _folder_for(run: Run, runs_folder: Path) -> Path:
    """v<N>, or a longer name where v<N> holds another run (a kernel made anew)."""
    plain = runs_folder / f"v{'0' if run.version is None else run.version}"
    if not plain.exists():
        return plain
    try:
        held = json.loads((plain / RECORD).read_text(encoding="utf-8"))["run"]
    except (OSError, ValueError, KeyError):
        held = ""
    return (
        plain if held == run.run_id else plain.with_name(f"{plain.name}-{run.run_id}")
    )


def _read_record(folder: Path) -> Fetched:
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    return Fetched(folder, folder / record["log"], record["files"])


def _fetch_file(
    client: KaggleClient,
    run: Run,
    name: str,
    urls: dict[str, str],
    partial: Path,
    patience: Patience,
) -> dict[str, str]:
    """Have one file complete in the store; returns the URLs, asked for anew if old."""
    final = partial / "outputs" / name
    if final.exists():
        return urls

    def watch(event: Json) -> None:
        # Bytes that keep dripping are a sign of life, but not for ever.
        if patience.deadline.passed:
            raise TimedOut(
                f"{run.label}: {name}: the deadline passed while it came; {GOES_ON}"
            )
        patience.progress(f"{name} {event['bytes'] / 1e6:.0f} MB")

    part = partial / hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
    for renewed in (False, True):
        try:
            ask(
                client,
                "download",
                patience,
                on_event=watch,
                url=urls[name],
                path=str(part.absolute()),
                read_timeout=min(SILENCE, client.call_timeout),
                page=name.lower().endswith(PAGES),
            )
            break
        except CallError as failure:
            # The links are signed and expire; a new list has fresh ones.
            expired = failure.kind == "http" and failure.status in (400, 403, 404, 410)
            if renewed or not expired:
                kind = TimedOut if failure.kind == "timeout" else NetworkFailed
                raise kind(f"{run.label}: {name}: {failure}; {GOES_ON}") from failure
            urls = list_outputs(client, run, patience)[0]
            if name not in urls:
                raise NetworkFailed(f"{run.label}: {name} is gone") from failure
    final.parent.mkdir(parents=True, exist_ok=True)
    part.replace(final)
    return urls
