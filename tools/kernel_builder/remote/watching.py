"""Wait for exactly the run that was pushed, and for no older one's result."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from kernel_builder.errors import TimedOut, ToolError
from kernel_builder.remote.asking import Patience, ask
from kernel_builder.remote.client import CallError, Json, KaggleClient, as_error
from kernel_builder.remote.kernel_log import owner_of, was_cut
from kernel_builder.remote.outputs import PAGE_SIZE
from kernel_builder.remote.retrying import backoff, span
from kernel_builder.remote.runs import Run

ENDED = ("COMPLETE", "ERROR", "CANCEL_ACKNOWLEDGED")
LONGEST_POLL = 30.0
# How long Kaggle may go without a usable answer before waiting is given up.
LONGEST_TROUBLE = 300.0
# How long an end may lack the proof that it is this run's: the log comes a little
# later than the state, and an unpinned answer is of the run before.
LONGEST_DOUBT = 600.0
# The same for a failure that left no log, asked for by its version.
SHORT_DOUBT = 20.0


@dataclass(frozen=True)
class Ended:
    """How the run on Kaggle ended: final state, failure message, raw log."""

    status: str
    message: str
    raw_log: str
    finished: bool  # the kernel reached its last line
    proven: bool = True  # the log bears this push's run id


class _Watch:
    """Polls one run until it has ended, and can prove that it is that run."""

    def __init__(
        self,
        client: KaggleClient,
        run: Run,
        patience: Patience,
        on_running: Callable[[], None] | None = None,
    ) -> None:
        self.client = client
        self.run = run
        self.patience = patience
        self.on_running = on_running
        self.began = time.monotonic()
        self.state = ""
        self.alive = False
        self.trouble_since: float | None = None
        self.last_trouble: CallError | None = None
        self.doubt_since: float | None = None
        self.doubts = 0
        self.unfinished = 0

    def wait(self) -> Ended:
        """Poll until the end.

        Raises:
            TimedOut: the deadline passed.
            ToolError: Kaggle refused to answer, or did not for too long.
        """
        delays = backoff(self.patience.first_delay, LONGEST_POLL)
        while True:
            pause = 0.0
            try:
                ended = self._look()
                if ended is not None:
                    return ended
                self.trouble_since = None
            except CallError as failure:
                self._put_up_with(failure)
                pause = failure.wait or 0.0
            if self.patience.deadline.passed:
                raise self._out_of_time()
            self.patience.pause(max(pause, next(delays)))

    def _look(self) -> Ended | None:
        answer = self._ask("status")
        status, message = answer["status"], self.client.clean(answer["message"])
        self._show(status)
        if status not in ENDED:
            self.alive = True
            return None
        raw = self._ask("outputs", page="", size=PAGE_SIZE)["log"]
        return self._judge(status, message, raw)

    def _ask(self, op: str, **args: Json) -> Json:
        limit = max(1.0, self.patience.deadline.within(self.client.call_timeout))
        return self.client.call(
            op,
            timeout=limit,
            kernel=self.run.kernel,
            version=self.run.version,
            **args,
        )

    def _judge(self, status: str, message: str, raw: str) -> Ended | None:
        """The end, when it is proven to be of this push; None to go on asking."""
        owner, finished = owner_of(raw, self.run.run_id)
        if self.doubt_since is None:
            self.doubt_since = time.monotonic()
        self.doubts += 1
        if owner == "ours":
            # The log may still be growing when the state is final already.
            self.unfinished += 1
            cut = was_cut(raw)
            if finished or cut or status != "COMPLETE" or self.unfinished >= 4:
                return Ended(status, message, raw, finished or cut)
            return None
        # A run that fails before its first line (a syntax error, no memory for the
        # image) leaves no mark.
        if owner == "nobody" and status != "COMPLETE" and self._surely_ours():
            return Ended(status, message, raw, False, False)
        if self.doubts == 1:
            what = "is of another run" if owner == "another" else "does not show it"
            self._line(
                f"{status}, but is it this push, run {self.run.run_id}? The log "
                f"{what}: an older run's answer is not taken, asking again"
            )
        if self._doubted() > LONGEST_DOUBT:
            raise self._out_of_time()
        return None

    def _surely_ours(self) -> bool:
        """Whether an end without a mark can be of no other run than this one."""
        if self.run.version is None or self.doubts < 2:
            return False
        # There was no run before the first; one seen alive since the push is this one.
        return self.run.version == 1 or self.alive or self._doubted() > SHORT_DOUBT

    def _doubted(self) -> float:
        return time.monotonic() - (self.doubt_since or time.monotonic())

    def _put_up_with(self, failure: CallError) -> None:
        now = time.monotonic()
        if self.trouble_since is None:
            self.trouble_since = now
            self._line(f"no answer ({failure}), asking again")
        self.last_trouble = failure
        # Right after a push the new version may not be readable everywhere yet.
        young = failure.absent and now - self.began < 60.0
        if not (failure.passing or young):
            raise self._still_running(as_error(failure, f"status of {self.run.label}"))
        if now - self.trouble_since > LONGEST_TROUBLE:
            raise self._still_running(as_error(failure, f"status of {self.run.label}"))

    def _show(self, status: str) -> None:
        if status != self.state:
            self._line(status)
            self.state = status
            if status == "RUNNING" and self.on_running is not None:
                self.on_running()

    def _line(self, text: str) -> None:
        elapsed = span(time.monotonic() - self.began)
        self.patience.log(f"[{elapsed:>5}] {self.run.label}: {text}")

    def _out_of_time(self) -> ToolError:
        if self.trouble_since is not None and self.last_trouble is not None:
            failure = as_error(self.last_trouble, f"status of {self.run.label}")
            return self._still_running(failure)
        waited = span(time.monotonic() - self.began)
        if self.doubts:
            return TimedOut(
                f"{self.run.label}: after {waited} Kaggle still shows the end of "
                f"another run: the log is not of this push (run {self.run.run_id}); "
                "`wait` picks up again"
            )
        return self._still_running(
            TimedOut(
                f"{self.run.label}: still {self.state or 'unknown'} after {waited}"
            )
        )

    def _still_running(self, error: ToolError) -> ToolError:
        return type(error)(f"{error}. {still_running(self.run)}")


def still_running(run: Run) -> str:
    """What a person must know who stops looking, and how the run is ended.

    The client can end a run only by deleting the kernel with all its versions.
    """
    page = run.url or f"https://www.kaggle.com/code/{run.kernel}"
    return (
        f"{run.label} still runs on Kaggle and uses quota; `wait` picks it up again. "
        f"To stop it: cancel the run at {page} (from here there is only `kaggle "
        f"kernels delete {run.kernel}`, which deletes the kernel and all its versions)"
    )


def await_end(
    client: KaggleClient,
    run: Run,
    patience: Patience,
    on_running: Callable[[], None] | None = None,
) -> Ended:
    """Wait until the pushed run has ended.

    `on_running` is called when the run has left the queue.

    Raises:
        TimedOut: the deadline passed.
        ToolError: Kaggle refused to answer, or did not for too long.
    """
    return _Watch(client, run, patience, on_running).wait()


def look_once(
    client: KaggleClient, run: Run, patience: Patience, proven: bool = True
) -> Ended | None:
    """How the run ended, None while it goes on.

    Without `proven` the log need not show that the run is of this push.

    Raises:
        TimedOut: it ended, but the log shown is of another run.
        ToolError: Kaggle did not answer.
    """
    about: dict[str, Json] = {"kernel": run.kernel, "version": run.version}
    try:
        answer = ask(client, "status", patience, **about)
        if answer["status"] not in ENDED:
            return None
        page = ask(client, "outputs", patience, **about, page="", size=PAGE_SIZE)
    except CallError as failure:
        raise as_error(failure, f"status of {run.label}") from failure
    owner, finished = owner_of(page["log"], run.run_id)
    failed = owner == "nobody" and answer["status"] != "COMPLETE"
    if proven and owner != "ours" and not failed:
        raise TimedOut(
            f"{run.label}: Kaggle shows the end of another run: the log is not of run "
            f"{run.run_id}; `wait` goes on asking"
        )
    message = client.clean(answer["message"])
    return Ended(
        answer["status"],
        message,
        page["log"],
        finished or not proven,
        owner == "ours",
    )
