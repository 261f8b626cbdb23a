"""The server: kernels, their runs, output files, submissions, and faults on request.

Speaks the dialect of the client 2.2.4 and 2.2.5. It takes requests in absolute form,
as a proxy gets them, because that is how the client is pointed here without root:
KAGGLE_API_ENVIRONMENT=LOCALHOST and http_proxy.
"""

import base64
import json
import re
import socket
import struct
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from stand_in.running import Outcome, run_source

LAST_MODIFIED = "Wed, 21 Oct 2026 07:28:00 GMT"


@dataclass
class Version:
    """One saved version of a kernel and its run."""

    number: int
    request: dict
    outcome: Outcome | None = None
    stage: str = "QUEUED"


@dataclass
class Fault:
    """What to do instead of, or to, an answer."""

    status: int = 500
    body: str = ""
    content_type: str = "text/html"
    headers: dict[str, str] = field(default_factory=dict)
    hang: float = 0.0  # seconds of silence
    reset: bool = False  # close the connection in the middle
    cut: int | None = None  # send only this many bytes of a file, and close
    drip: float = 0.0  # seconds between two pieces of 4 KiB of a file
    after: bool = False  # do what was asked first, then fail
    times: int = 1


class Server(ThreadingHTTPServer):
    """A port of 127.0.0.1 that serves whichever pretended Kaggle is open."""

    daemon_threads = True
    kaggle: "StandIn"

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is no news."""
        if not isinstance(sys.exc_info()[1], ConnectionError | ValueError):
            super().handle_error(request, client_address)


class StandIn:
    """State of the pretended Kaggle; `with StandIn() as kaggle:` serves it."""

    def __init__(self, server: Server | None = None) -> None:
        self.kernels: dict[str, list[Version]] = {}
        self.requests: list[tuple[str, dict]] = []
        self.gets: list[tuple[str, dict[str, str]]] = []
        self.strangers: list[str] = []
        self.faults: dict[str, list[Fault]] = {}
        self.answers: dict[str, dict] = {}
        self.run: Callable[[str], Outcome] = run_source
        self.keys = {("tester", "0123456789abcdef0123456789abcdef")}
        self.tokens: dict[str, str] = {}
        self.page_size = 20
        self.pins_versions = True
        self.tells_versions = True
        self.polls_queued = 1
        self.slow: dict[str, float] = {}  # seconds that an answer takes
        self.quota = {"timeUsed": "3600s", "totalTimeAllowed": "108000s"}
        self.submissions: dict[int, list[dict]] = {}
        self.listed: list[dict] = []
        self.uploads: dict[str, bytes] = {}
        self.scores: list[dict] = [{"status": "COMPLETE", "publicScore": "0.98765"}]
        self.now: float | None = None  # what the clock of the server says
        self.lock = threading.RLock()
        self.closing = threading.Event()
        self.server = server or Server()
        self.own = server is None
        self.port = self.server.server_address[1]

    def __enter__(self) -> "StandIn":
        self.server.kaggle = self
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        if self.own:
            self.server.shutdown()
            self.server.server_close()

    def fail(self, method: str, **how: object) -> None:
        """Meet the next calls of `method` ("GET" for downloads) with a fault."""
        self.faults.setdefault(method, []).append(Fault(**how))

    def take_fault(self, method: str) -> Fault | None:
        with self.lock:
            waiting = self.faults.get(method, [])
            if not waiting:
                return None
            fault = waiting[0]
            fault.times -= 1
            if fault.times <= 0:
                waiting.pop(0)
            return fault

    def asked(self, method: str) -> list[dict]:
        """The bodies of all calls of `method`, oldest first."""
        return [body for name, body in self.requests if name == method]

    def add_version(
        self, kernel: str, outcome: Outcome | None = None, **request: object
    ) -> Version:
        """Save a version as if it had been pushed before."""
        versions = self.kernels.setdefault(kernel, [])
        version = Version(len(versions) + 1, {"text": "", **request}, outcome)
        versions.append(version)
        return version

    # The methods of Kaggle's API, by their last part.

    def IntrospectToken(self, body: dict, _: str) -> dict:  # noqa: N802
        user = self.tokens.get(body["token"])
        return {"active": user is not None, "username": user or ""}

    def SaveKernel(self, body: dict, _: str) -> dict:  # noqa: N802
        kernel = body["slug"]
        version = self.add_version(kernel)
        version.request = body
        version.stage = "QUEUED"
        threading.Thread(target=self._execute, args=(version,), daemon=True).start()
        number = {"versionNumber": version.number} if self.tells_versions else {}
        return {
            "ref": f"/code/{kernel}",
            "url": f"https://www.kaggle.com/code/{kernel}",
            **number,
            "kernelId": 12345,
        }

    def _execute(self, version: Version) -> None:
        version.outcome = self.run(version.request["text"])

    def _find(self, body: dict) -> Version:
        versions = self.kernels.get(f"{body['userName']}/{body['kernelSlug']}")
        if not versions:
            raise KeyError("Permission 'kernels.get' was denied")
        label = body.get("versionLabel", "")
        if label and self.pins_versions:
            return versions[int(label.removeprefix("v")) - 1]
        return versions[-1] if self.pins_versions else self._settled(versions)

    @staticmethod
    def _settled(versions: list[Version]) -> Version:
        """Without pins the newest finished run answers: that is the trap."""
        done = [v for v in versions if v.outcome is not None and v.stage != "QUEUED"]
        return done[-1] if done else versions[-1]

    def GetKernelSessionStatus(self, body: dict, _: str) -> dict:  # noqa: N802
        version = self._find(body)
        newest = self.kernels[f"{body['userName']}/{body['kernelSlug']}"][-1]
        self.polls_queued -= 1
        if self.polls_queued <= 0:
            newest.stage = "RUNNING"
        if version.outcome is None or (version.stage == "QUEUED" and version is newest):
            return {"status": version.stage}
        answer = {"status": version.outcome.status}
        if version.outcome.message:
            answer["failureMessage"] = version.outcome.message
        return answer

    def ListKernelSessionOutput(self, body: dict, _: str) -> dict:  # noqa: N802
        version = self._find(body)
        outcome = version.outcome or Outcome("RUNNING", "")
        size = min(self.page_size, body.get("pageSize", 20))
        start = int(body.get("pageToken") or 0)
        names = sorted(outcome.files)
        base = f"http://localhost/files/{body['userName']}/{body['kernelSlug']}"
        files = [
            {"url": f"{base}/{version.number}/{names.index(name)}", "fileName": name}
            for name in names[start : start + size]
        ]
        more = start + size < len(names)
        return {
            "files": files,
            "log": outcome.log if start == 0 else "[]",
            "nextPageToken": str(start + size) if more else "",
        }

    def GetKernel(self, body: dict, _: str) -> dict:  # noqa: N802
        self._find(body)
        newest = self.kernels[f"{body['userName']}/{body['kernelSlug']}"][-1]
        return {
            "metadata": {
                "ref": f"{body['userName']}/{body['kernelSlug']}",
                "currentVersionNumber": newest.number,
                "datasetDataSources": newest.request.get("datasetDataSources", []),
            },
            "blob": {"source": newest.request["text"], "language": "python"},
        }

    def GetAcceleratorQuotaStatistics(self, body: dict, _: str) -> dict:  # noqa: N802
        return {"quotaRefreshTime": "2026-11-28T00:00:00Z", "gpuQuota": self.quota}

    def GetDatasetStatus(self, body: dict, _: str) -> dict:  # noqa: N802
        return {"status": "READY"}

    def GetCompetition(self, body: dict, _: str) -> dict:  # noqa: N802
        return {"ref": body["competitionName"], "userHasEntered": True}

    def StartSubmissionUpload(self, body: dict, _: str) -> dict:  # noqa: N802
        return {"token": "TOK1", "createUrl": "http://localhost/upload/TOK1"}

    def CreateSubmission(self, body: dict, _: str) -> dict:  # noqa: N802
        return self._submitted(777, body)

    def CreateCodeSubmission(self, body: dict, _: str) -> dict:  # noqa: N802
        return self._submitted(778, body)

    def _submitted(self, ref: int, body: dict) -> dict:
        self.submissions[ref] = list(self.scores)
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        text = body.get("submissionDescription", "")
        self.listed.append({"ref": ref, "description": text, "date": now})
        return {"message": "Successfully submitted to Test", "ref": ref}

    def GetSubmission(self, body: dict, _: str) -> dict:  # noqa: N802
        states = self.submissions[body["ref"]]
        state = states.pop(0) if len(states) > 1 else states[0]
        return {
            "ref": body["ref"],
            "date": "2026-10-21T07:28:00.123Z",
            "fileName": "submission.csv",
            **state,
        }

    def ListSubmissions(self, body: dict, _: str) -> dict:  # noqa: N802
        return {"submissions": self.listed}

    def GetSubmissionLimits(self, body: dict, _: str) -> dict:  # noqa: N802
        return {"numToday": 1, "numTotal": 1, "numAllowedNow": 4}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are two writes; Nagle would hold the second back for 40 ms.
    disable_nagle_algorithm = True
    server: Server

    @property
    def kaggle(self) -> StandIn:
        return self.server.kaggle

    def log_message(self, *_: object) -> None:
        pass

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string(timestamp or self.kaggle.now)

    def do_CONNECT(self) -> None:
        # Somebody wants TLS to a real host through this proxy.
        self.kaggle.strangers.append(self.path)
        self.send_error(403)

    def do_POST(self) -> None:
        body = json.loads(self._body() or b"{}")
        found = re.fullmatch(r"(?:/api)?/v1/([\w.]+)/(\w+)", self._path())
        if found is None:
            self._send(404, {"code": 404, "message": f"no such path: {self.path}"})
            return
        method = found.group(2)
        self.kaggle.requests.append((method, body))
        fault = self.kaggle.take_fault(method)
        if fault is not None and not fault.after:
            self._fail(fault)
            return
        self.kaggle.closing.wait(self.kaggle.slow.get(method, 0.0))
        if method != "IntrospectToken" and not self._known():
            self._send(401, {"code": 401, "message": "Unauthenticated"})
            return
        if method in self.kaggle.answers:
            self._send(200, self.kaggle.answers[method])
            return
        try:
            with self.kaggle.lock:
                answer = getattr(self.kaggle, method)(body, self._path())
        except (KeyError, IndexError) as error:
            self._send(403, {"code": 403, "message": str(error.args[0])})
            return
        if fault is not None:
            self._fail(fault)
            return
        self._send(200, answer)

    def do_GET(self) -> None:
        path = self._path()
        self.kaggle.gets.append((path, dict(self.headers)))
        stream = re.fullmatch(r"(?:/api)?/v1/kernels/logs/stream/([^/]+)/([^/]+)", path)
        if stream is not None:
            self._stream(*stream.groups())
            return
        found = re.fullmatch(r"/files/([^/]+)/([^/]+)/(\d+)/(\d+)", path)
        fault = self.kaggle.take_fault("GET")
        if fault is not None and fault.cut is None and not fault.drip:
            self._fail(fault)
            return
        if found is None:
            self._send(404, {"code": 404, "message": "no such file"})
            return
        owner, slug, version, index = found.groups()
        outcome = self.kaggle.kernels[f"{owner}/{slug}"][int(version) - 1].outcome
        files = outcome.files if outcome is not None else {}
        content = files[sorted(files)[int(index)]]
        self._send_file(content, f'"{version}-{index}"', fault)

    def do_PUT(self) -> None:
        self.kaggle.uploads[self._path().rsplit("/", 1)[-1]] = self._body()
        fault = self.kaggle.take_fault("PUT")
        if fault is not None:
            self._fail(fault)
            return
        self._send(200, {})

    def _stream(self, owner: str, slug: str) -> None:
        versions = self.kaggle.kernels.get(f"{owner}/{slug}", [])
        if not versions or not self._known():
            self._send(404, {"code": 404, "message": "no such session"})
            return
        while versions[-1].outcome is None and not self.kaggle.closing.wait(0.02):
            pass
        outcome = versions[-1].outcome
        events = json.loads(outcome.log) if outcome is not None else []
        lines = [f"data: {json.dumps(event)}\n\n" for event in events]
        data = "".join([*lines, "data: END_OF_LOG\n\n"]).encode()
        self._send_raw(200, data, "text/event-stream", {})

    def _path(self) -> str:
        parts = urllib.parse.urlsplit(self.path)
        host = parts.hostname or self.headers.get("Host", "").split(":")[0]
        if host not in ("localhost", "127.0.0.1"):
            self.kaggle.strangers.append(self.path)
            return "/not-here"
        return parts.path

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _known(self) -> bool:
        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        if kind == "Bearer":
            return value in self.kaggle.tokens
        try:
            user, _, key = base64.b64decode(value).decode().partition(":")
        except ValueError:
            return False
        return (user, key) in self.kaggle.keys

    def _send(self, status: int, answer: dict) -> None:
        self._send_raw(status, json.dumps(answer).encode(), "application/json", {})

    def _send_raw(
        self, status: int, data: bytes, kind: str, headers: dict[str, str]
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _send_file(self, content: bytes, etag: str, fault: Fault | None) -> None:
        start, status = 0, 200
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked is not None and self.headers.get("If-Range") == etag:
            start, status = int(asked.group(1)), 206
        data = content[start:]
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Last-Modified", LAST_MODIFIED)
        self.send_header("ETag", etag)
        self.send_header("Accept-Ranges", "bytes")
        if status == 206:
            last = len(content) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(content)}")
        self.end_headers()
        if fault is not None and fault.drip:
            for start in range(0, len(data), 4096):
                self.wfile.write(data[start : start + 4096])
                if self.kaggle.closing.wait(fault.drip):
                    return
            return
        if fault is not None and fault.cut is not None:
            self.wfile.write(data[: fault.cut])
            self.wfile.flush()
            self._drop(reset=fault.reset)
            return
        self.wfile.write(data)

    def _fail(self, fault: Fault) -> None:
        if fault.hang:
            self.kaggle.closing.wait(fault.hang)
        if fault.reset or fault.hang:
            self._drop(reset=fault.reset)
            return
        headers = {**fault.headers}
        body = fault.body or f"<html><h1>{fault.status} Server Error</h1></html>"
        self._send_raw(fault.status, body.encode(), fault.content_type, headers)

    def _drop(self, *, reset: bool) -> None:
        if reset:
            # What was sent must be read first: a reset throws it away.
            time.sleep(0.1)
            # No linger: the peer sees a reset, not an orderly end.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True
        self.connection.close()


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for another thread or process to get somewhere."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("what the test waits for did not happen")
        time.sleep(0.01)
