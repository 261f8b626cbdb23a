"""Talk to Kaggle through the unmodified `kaggle` client, in a process of its own.

The client runs in a subprocess (`client_driver.py`, in the Python that has `kaggle`)
for four reasons: importing it already sends a request and writes to the home folder;
none of its calls has a time-out, so a silent server can only be answered by killing
it; it may be installed in another Python; and its environment can be made clean.

Every answer is judged by content. A call that fails raises `CallError`, which knows
whether Kaggle may have acted on it all the same.
"""

import contextlib
import email.utils
import json
import os
import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from kernel_builder.errors import (
    CredentialsRefused,
    NetworkFailed,
    TimedOut,
    ToolError,
    UsageError,
)
from kernel_builder.remote.client_setup import (
    INSTALL_HINT,
    client_environment,
    find_client_python,
)
from kernel_builder.remote.redaction import known_secrets, redact
from kernel_builder.remote.retrying import span

DRIVER = Path(__file__).with_name("client_driver.py")
CALL_TIMEOUT = 30.0
# Starting Python and importing the client takes this long at most, beside the call.
START_SECONDS = 20.0
# What Kaggle answered, decoded from JSON.
Json = Any


class CallError(Exception):
    """A call that brought no answer, with what is known about the reason.

    `kind` is one of http, network, timeout, credentials, unreadable, client; `where` is
    Kaggle's name of the call that failed, such as "SaveKernel", "" where unknown.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        status: int = 0,
        retry_after: str | None = None,
        unsent: bool = False,
        where: str = "",
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.status = status
        self.unsent = unsent
        self.where = where
        self.wait = seconds_of(retry_after)

    @property
    def passing(self) -> bool:
        """True when the same call may succeed later."""
        if self.kind == "http":
            return self.status in (408, 425, 429) or self.status >= 500
        return self.kind in ("network", "timeout", "unreadable")

    @property
    def maybe_done(self) -> bool:
        """True when Kaggle may have done what was asked although no answer came."""
        if self.kind == "http":
            return self.status >= 500
        return not self.unsent and self.kind in ("network", "timeout", "unreadable")

    @property
    def absent(self) -> bool:
        """True when Kaggle says that there is no such kernel (or it is not ours)."""
        return self.kind == "http" and self.status in (403, 404)


class KaggleClient:
    """A session with the client; use it in a `with` block.

    Args:
        python: the Python that has `kaggle`; found when not given.
        call_timeout: seconds any single call may take.
        env: the environment to start from.
    """

    def __init__(
        self,
        python: str | None = None,
        call_timeout: float = CALL_TIMEOUT,
        env: Mapping[str, str] | None = None,
    ) -> None:
        source = os.environ if env is None else env
        self.env = client_environment(source)
        self.python = find_client_python(python, source)
        self.call_timeout = call_timeout
        self.secrets = known_secrets(source)
        self.notes: list[str] = []
        self._accepted = False
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[bytes] | None = None
        self._answers: queue.Queue[str | None] = queue.Queue()

    def __enter__(self) -> "KaggleClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(
        self,
        op: str,
        timeout: float | None = None,
        on_event: Callable[[Json], None] | None = None,
        **args: Json,
    ) -> Json:
        """Ask for one thing and return Kaggle's answer.

        `timeout` counts from the last sign of life: an event restarts it.

        Raises:
            CallError: no answer came, or an error.
        """
        limit = self.call_timeout if timeout is None else min(timeout, 1e6)
        answer = self._exchange(op, limit, on_event, args)
        if answer.get("status") == 401 and self._accepted:
            # The token of a login lives for 12 hours; a new process gets a new one.
            self.close()
            answer = self._exchange(op, limit, on_event, args)
        if answer["ok"]:
            self._accepted = True
            return answer["value"]
        raise CallError(
            answer["kind"],
            self.clean(answer["message"]),
            answer.get("status", 0),
            answer.get("retry_after"),
            answer.get("unsent", False),
            answer.get("where", ""),
        )

    def _exchange(
        self,
        op: str,
        limit: float,
        on_event: Callable[[Json], None] | None,
        args: dict[str, Json],
    ) -> dict[str, Any]:
        starting = self._process is None
        self._send({"op": op, "args": args})
        while True:
            answer = self._receive(limit + START_SECONDS * starting)
            if "started" in answer:
                starting = False
                continue
            if "event" not in answer:
                self._keep_notes(answer.get("said", ""))
                return answer
            if on_event is not None:
                try:
                    on_event(answer["event"])
                except BaseException:
                    # The rest of the answer must not be taken for the next one's.
                    self.close()
                    raise

    def clean(self, text: str) -> str:
        """`text` without credentials."""
        return redact(text, self.secrets)

    def close(self) -> None:
        """End the client's process, in the middle of a call too."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, self._errors):
            if stream is not None:
                # What could not be written to a dead process is lost anyway.
                with contextlib.suppress(OSError):
                    stream.close()

    def _send(self, request: dict[str, Any]) -> None:
        if self._process is None:
            self._start()
        stdin = self._process.stdin if self._process is not None else None
        if stdin is None:
            raise CallError("client", "the client's process could not be started")
        try:
            stdin.write(json.dumps(request) + "\n")
            stdin.flush()
        except OSError:
            raise self._ended() from None

    def _start(self) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - close() closes it
        # -P: a folder called `kaggle` where the user stands must not be imported.
        command = [self.python, "-P", str(DRIVER)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=self.env,
            encoding="utf-8",
            # Ctrl-C is for the tool alone, so that it can say what is still running.
            start_new_session=True,
        )
        self._answers = queue.Queue()
        stdout = self._process.stdout or ()
        threading.Thread(
            target=_forward, args=(stdout, self._answers), daemon=True
        ).start()

    def _receive(self, timeout: float) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=timeout)
        except queue.Empty:
            self.close()
            raise CallError("timeout", f"no answer within {span(timeout)}") from None
        except BaseException:
            self.close()
            raise
        if line is None:
            raise self._ended()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _ended(self) -> CallError:
        """The process ended by itself: say how."""
        code = self._process.wait() if self._process is not None else None
        last = self._last_error()
        self.close()
        message = f"the client's process ended (exit code {code}){last}"
        return CallError("client", message)

    def _last_error(self) -> str:
        """What the process wrote last before it died, such as a wrong option."""
        errors = self._errors
        if errors is None:
            return ""
        try:
            errors.seek(0)
            lines = errors.read().decode("utf-8", "replace").split("\n")
        except ValueError:  # another thread has closed the session
            return ""
        last = next((line for line in reversed(lines) if line.strip()), "")
        return f": {self.clean(last.strip())}" if last else ""

    def _keep_notes(self, said: str) -> None:
        for line in self.clean(said).splitlines():
            if line.strip() and line not in self.notes:
                self.notes.append(line)


def _forward(stream: Iterable[str], answers: "queue.Queue[str | None]") -> None:
    try:
        for line in stream:
            answers.put(line)
    except (OSError, ValueError):  # closed by KaggleClient.close
        pass
    answers.put(None)


def seconds_of(retry_after: str | None) -> float | None:
    """A Retry-After header, seconds or a date, as seconds from now."""
    if not retry_after:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        moment = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())


def as_error(failure: CallError, doing: str) -> ToolError:
    """The failure of a call as the error of a step, with what to do next."""
    said = str(failure)
    if failure.kind == "credentials" or failure.status == 401:
        return CredentialsRefused(
            f"{doing}: Kaggle does not accept the credentials ({said}); "
            "`doctor` shows which ones the client uses"
        )
    if failure.kind == "timeout":
        return TimedOut(f"{doing}: {said}; is Kaggle reachable? (`doctor` tries)")
    if failure.status == 403:
        return CredentialsRefused(
            f"{doing}: Kaggle refused access (403: {said}): the id is misspelt or "
            "belongs to another user, or the competition's rules are not accepted "
            "(open https://www.kaggle.com/competitions/<slug>/rules)"
        )
    if failure.status == 404:
        return UsageError(f"{doing}: Kaggle knows nothing of that name (404: {said})")
    if failure.status == 429:
        return NetworkFailed(
            f"{doing}: Kaggle asks to slow down (429: {said}); try again later"
        )
    if failure.kind == "client":
        hint = f"; {INSTALL_HINT}" if "cannot be imported" in said else ""
        return UsageError(f"{doing}: the client refused: {said}{hint}")
    return NetworkFailed(f"{doing}: {said}")
