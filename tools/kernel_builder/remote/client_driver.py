"""The program that runs inside the Kaggle client's own Python, one per session.

It imports the unmodified `kaggle` package, asks its `KaggleApi` for one thing at a
time and answers with Kaggle's whole reply as a line of JSON. The command line of the
client is no substitute: it exits with 0 when a push was refused, never prints which
models were dropped, and hides the HTTP status.

One request per line on stdin, `{"op": "status", "args": {...}}`; one answer per line on
stdout, `{"ok": true, "value": ...}` or `{"ok": false, "kind": ..., "status": ...,
"message": ...}`. Before it come `{"started": VERSION}` once the client is imported,
and `{"event": ...}` while a file is downloaded or a log is followed. What the client
prints is captured and comes along as `said`.

This file imports nothing of kernel_builder: the client may live in another Python.
"""

import contextlib
import email.utils
import importlib
import io
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

# A chunk is read whole before it counts as a sign of life, so it must be small.
CHUNK = 1 << 14
EVENT_SECONDS = 0.2
COMPETITIONS = "kagglesdk.competitions.types.competition_api_service"
KERNELS = "kagglesdk.kernels.types.kernels_api_service"
# One session for all downloads: hundreds of small files need not connect anew.
SESSION: list[Any] = []
# The client's own objects: the kaggle package has no type information.
Foreign = Any
Emit = Callable[[dict[str, Any]], None]


class RefusedError(Exception):
    """An answer that is not an HTTP error, with the kind the caller tells apart."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Client:
    """The client's own API object, authenticated once."""

    def __init__(self) -> None:
        try:
            kaggle = importlib.import_module("kaggle")
        except ImportError as error:
            message = f"the Kaggle client cannot be imported: {error}"
            raise RefusedError("client", message) from error
        self.version = str(getattr(kaggle, "__version__", "unknown"))
        self.api: Foreign = kaggle.api
        # `import kaggle` swallows a failed authentication; ask again for the reason.
        if not self.api._authenticated:
            try:
                self.api.authenticate()
            except SystemExit as error:
                message = "no Kaggle credentials were found"
                raise RefusedError("credentials", message) from error
        self._refuse_shadowed_token()

    def _refuse_shadowed_token(self) -> None:
        """A token Kaggle refused is still sent with every call: say so at once."""
        env = importlib.import_module("kagglesdk.kaggle_env")
        token, source = env.get_access_token_from_env()
        method = str(self.api.config_values.get("auth_method", ""))
        # A login brings a token of its own, which is sent instead.
        if token and method.endswith("LEGACY_API_KEY"):
            raise RefusedError(
                "credentials",
                f"Kaggle does not accept the token in {source}, and the client would "
                "still send it instead of the legacy key",
            )

    def whoami(self) -> dict[str, Any]:
        """The client's version, user name and way of authenticating."""
        values = self.api.config_values
        return {
            "version": self.version,
            "username": values.get("username"),
            "method": str(values.get("auth_method", "")).rsplit(".", 1)[-1],
        }

    def clock(self) -> dict[str, Any]:
        """Seconds by which this machine's clock is ahead of Kaggle's."""
        env = importlib.import_module("kagglesdk.kaggle_env")
        requests = importlib.import_module("requests")
        local = "--local" in self.api.args
        site = env.get_endpoint(env.KaggleEnv.LOCAL if local else env.KaggleEnv.PROD)
        with requests.get(site, timeout=15, stream=True) as reply:
            date = reply.headers.get("Date")
        if not date:
            return {"skew": None}
        theirs = email.utils.parsedate_to_datetime(date).timestamp()
        return {"skew": time.time() - theirs}

    def push(self, folder: str, session_seconds: int | None) -> dict[str, Any]:
        """Save and run the kernel of `folder`; Kaggle's whole answer."""
        reply = self.api.kernels_push(folder, session_seconds)
        if reply is None:
            raise RefusedError("unreadable", "the client gave no answer to the push")
        return fields_of(reply)

    def status(self, kernel: str, version: int | None) -> dict[str, Any]:
        """State and failure message of a version's run (None: of the latest)."""
        request = self._request("ApiGetKernelSessionStatusRequest", kernel, version)
        with self.api.build_kaggle_client() as sdk:
            reply = sdk.kernels.kernels_api_client.get_kernel_session_status(request)
        state = getattr(reply.status, "name", str(reply.status)).upper()
        return {"status": state, "message": reply.failure_message or ""}

    def outputs(
        self, kernel: str, version: int | None, page: str, size: int
    ) -> dict[str, Any]:
        """One page of output files (name, url), the log, and the next page's token."""
        request = self._request("ApiListKernelSessionOutputRequest", kernel, version)
        request.page_size = size
        request.page_token = page
        with self.api.build_kaggle_client() as sdk:
            reply = sdk.kernels.kernels_api_client.list_kernel_session_output(request)
        return {
            "files": [[file.file_name, file.url] for file in reply.files or []],
            "log": reply.log or "",
            "next": reply.next_page_token or "",
        }

    def kernel(self, kernel: str) -> dict[str, Any]:
        """The latest saved version: its number, source and data sources."""
        request = self._request("ApiGetKernelRequest", kernel, None)
        with self.api.build_kaggle_client() as sdk:
            reply = sdk.kernels.kernels_api_client.get_kernel(request)
        return {
            "version": getattr(reply.metadata, "current_version_number", None),
            "source": getattr(reply.blob, "source", "") or "",
            "sources": [
                str(name)
                for kind in ("dataset", "competition", "kernel", "model")
                for name in getattr(reply.metadata, f"{kind}_data_sources", None) or []
            ],
        }

    def quota(self) -> dict[str, Any]:
        """Accelerator seconds used and allowed this week, as Kaggle states them."""
        reply = self.api.quota_view()
        return {
            name: {
                "used": getattr(part.time_used, "total_seconds", float)(),
                "allowed": getattr(part.total_time_allowed, "total_seconds", float)(),
            }
            for name in ("gpu_quota", "tpu_quota")
            if (part := getattr(reply, name, None)) is not None
        }

    def dataset_status(self, dataset: str) -> dict[str, Any]:
        """`ready`, or what Kaggle is still doing with a dataset's newest version."""
        return {"status": str(self.api.dataset_status(dataset))}

    def competition(self, name: str) -> dict[str, Any]:
        """Whether the user has entered, and whether only kernels may be submitted."""
        request = importlib.import_module(COMPETITIONS).ApiGetCompetitionRequest()
        request.competition_name = name
        with self.api.build_kaggle_client() as sdk:
            reply = sdk.competitions.competition_api_client.get_competition(request)
        return {
            "ref": reply.ref,
            "entered": reply.user_has_entered,
            "kernels_only": reply.is_kernels_submissions_only,
        }

    def limits(self, competition: str) -> dict[str, Any]:
        """Submissions made today and still allowed."""
        return fields_of(self.api.competition_get_submission_limits(competition))

    def submit_file(self, competition: str, path: str, message: str) -> dict[str, Any]:
        """Upload a submission file."""
        return fields_of(self.api.competition_submit(path, message, competition, True))

    def submit_code(
        self, competition: str, kernel: str, version: int, name: str, message: str
    ) -> dict[str, Any]:
        """Submit a kernel version to a code competition."""
        return fields_of(
            self.api.competition_submit_code(
                name, message, competition, kernel, version, True
            )
        )

    def submission(self, ref: int) -> dict[str, Any]:
        """A submission's state, scores and error description."""
        request = importlib.import_module(COMPETITIONS).ApiGetSubmissionRequest()
        request.ref = ref
        with self.api.build_kaggle_client() as sdk:
            reply = sdk.competitions.competition_api_client.get_submission(request)
        return {**fields_of(reply), "status": reply.status.name}

    def submissions(self, competition: str) -> list[dict[str, Any]]:
        """The newest submissions to a competition."""
        found = self.api.competition_submissions(competition) or []
        return [{**fields_of(s), "status": s.status.name} for s in found]

    def follow(self, kernel: str, version: int | None, emit: Emit) -> dict[str, Any]:
        """Emit each line of the running kernel's log until Kaggle ends the stream."""
        # 2.2.4 would look for a kernel called "slug/3".
        pinned = version and hasattr(self.api, "_kernel_version_label")
        name = f"{kernel}/{version}" if pinned else kernel
        for event in self.api.kernels_logs_stream(name):
            emit({"event": event})
        return {}

    def _request(self, kind: str, kernel: str, version: int | None) -> Foreign:
        """A request about `owner/slug`, pinned to a version.

        The command line of 2.2.4 ignores a version, its SDK does not.
        """
        request = getattr(importlib.import_module(KERNELS), kind)()
        request.user_name, request.kernel_slug = kernel.split("/")
        if version is not None:
            request.version_label = f"v{version}"
        return request


def fields_of(reply: Foreign) -> dict[str, Any]:
    """Every field of an answer, those at their default too, under its JSON name."""
    return dict(reply.to_dict(ignore_defaults=False))


def download(
    url: str, path: str, read_timeout: float, page: bool, emit: Emit
) -> dict[str, Any]:
    """Fetch `url` into `path`, going on from `path` where a former try broke off.

    Beside it `path`.part.json names the object (ETag or Last-Modified) the bytes are
    of, so that bytes of another object are never joined. A web page is taken only where
    `page` says that the file is one. Returns the size.

    Raises:
        RefusedError: the connection broke or the size is not the one announced.
    """
    requests = importlib.import_module("requests")
    target, note = Path(path), Path(path + ".part.json")
    known = _read_note(note)
    have = target.stat().st_size if target.exists() and known else 0
    # Without identity a proxy may compress, and Content-Length is another size.
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": known}
    if not SESSION:
        SESSION.append(requests.Session())
    with SESSION[0].get(
        url, stream=True, timeout=(15, read_timeout), headers=headers
    ) as reply:
        if have and reply.status_code == 416:
            target.unlink()
            note.unlink()
            raise RefusedError("network", f"{target.name}: the part here did not fit")
        reply.raise_for_status()
        if reply.headers.get("Content-Type", "").startswith("text/html") and not page:
            raise RefusedError("unreadable", "a web page came instead of the file")
        resumed = reply.status_code == 206
        identity = reply.headers.get("ETag") or reply.headers.get("Last-Modified")
        if not resumed:
            note.write_text(json.dumps({"identity": identity}), encoding="utf-8")
        size = reply.headers.get("Content-Length")
        plain = reply.headers.get("Content-Encoding", "identity") == "identity"
        expected = int(size) if size and plain else None
        done, told = 0, 0.0
        with target.open("ab" if resumed else "wb") as file:
            for chunk in reply.iter_content(CHUNK):
                file.write(chunk)
                done += len(chunk)
                if time.monotonic() - told > EVENT_SECONDS:
                    told = time.monotonic()
                    emit({"event": {"bytes": done}})
    if expected is not None and done != expected:
        raise RefusedError("network", f"{target.name}: {done} of {expected} bytes came")
    note.unlink(missing_ok=True)
    return {"size": target.stat().st_size, "verified": expected is not None}


def _read_note(note: Path) -> str:
    try:
        return str(json.loads(note.read_text(encoding="utf-8"))["identity"] or "")
    except (OSError, ValueError, KeyError):
        return ""


def failure(error: BaseException) -> dict[str, Any]:
    """An exception as an answer: its kind, and the HTTP status where there was one.

    The client turns a 401 or 403 into a ValueError about the slug; the HTTP error is
    still in the chain of causes.
    """
    if isinstance(error, RefusedError):
        return {"ok": False, "kind": error.kind, "message": str(error)}
    for cause in _chain(error):
        reply = getattr(cause, "response", None)
        if reply is not None:
            return {
                "ok": False,
                "kind": "http",
                "status": reply.status_code,
                "retry_after": reply.headers.get("Retry-After"),
                "where": where_of(error),
                "message": str(cause) or str(error),
            }
    # requests' errors are OSErrors too; a full disk is one that is no network's.
    network = any(
        type(cause).__module__.split(".")[0] in ("requests", "urllib3")
        or isinstance(cause, ConnectionError | TimeoutError)
        for cause in _chain(error)
    )
    strange = isinstance(error, LookupError)
    named = f"{type(error).__name__}: {error}"
    message = named if strange else str(error) or named
    # A page where JSON should be, or a state that this client does not know.
    if strange or (isinstance(error, ValueError) and "Expecting value" in message):
        return {"ok": False, "kind": "unreadable", "message": message}
    kind = "network" if network else "client"
    refused = "Connection refused" in message or "NameResolution" in message
    about = {"kind": kind, "unsent": refused, "where": where_of(error)}
    return {"ok": False, "message": message, **about}


def where_of(error: BaseException) -> str:
    """Kaggle's name of the call that failed, "" where the error does not tell."""
    asked = (getattr(cause, "request", None) for cause in _chain(error))
    url = next((str(request.url) for request in asked if request is not None), "")
    return url.partition("?")[0].rpartition("/")[2]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def answer(client: list[Client], line: str, emit: Emit) -> dict[str, Any]:
    """Do what one line asks; `client` holds the session's client once it is made."""
    asked = json.loads(line)
    op, args = asked["op"], asked.get("args", {})
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            if op in ("download", "follow"):
                args["emit"] = emit
            if op != "download" and not client:
                client.append(Client())
                emit({"started": client[0].version})
            value = (download if op == "download" else getattr(client[0], op))(**args)
        reply = {"ok": True, "value": value}
    except (Exception, SystemExit) as error:
        reply = failure(error)
    return {**reply, "said": said.getvalue()}


def read_lines(stream: TextIO, lines: "queue.Queue[str]") -> None:
    """Queue each line; at the end of input stop at once, even in a hung call.

    The end of input means that the tool is gone, killed perhaps: a client that went
    on alone would wait for a silent server for ever.
    """
    for line in stream:
        lines.put(line)
    os._exit(0)


def main() -> None:
    """Answer requests until the input ends."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    questions = os.fdopen(os.dup(0), "r", encoding="utf-8")
    # Whatever the client or a library writes to file descriptor 1 is not an answer,
    # and exit(), which the client calls without credentials, closes sys.stdin.
    os.dup2(2, 1)
    sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115

    def emit(reply: dict[str, Any]) -> None:
        out.write(json.dumps(reply) + "\n")
        out.flush()

    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=read_lines, args=(questions, lines), daemon=True).start()
    client: list[Client] = []
    while True:
        emit(answer(client, lines.get(), emit))


if __name__ == "__main__":
    main()
