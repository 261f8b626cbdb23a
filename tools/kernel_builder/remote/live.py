"""Show a running kernel's log while it is written, where Kaggle streams it."""

import threading
from collections.abc import Callable

from kernel_builder.remote.client import CallError, Json, KaggleClient
from kernel_builder.remote.kernel_log import owner_of
from kernel_builder.remote.runs import Run

# How long the last lines may take to come once the run has ended.
LAST_LINES = 2.0


class LiveLog:
    """Prints the log of one run from a thread of its own, until stopped.

    The stream has a client of its own: the session that polls the state must not wait
    for it. Nothing is printed before the run id of this push was seen, because the
    client 2.2.4 streams whichever run is the latest. A stream that fails is no error:
    the whole log comes with the outputs.
    """

    def __init__(
        self, run: Run, client: KaggleClient, log: Callable[[str], None]
    ) -> None:
        self.run = run
        self.client = client
        self.log = log
        self.ours = False
        self.complete = False  # all of this run's log was shown
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to follow; once is enough."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._follow, daemon=True)
            self._thread.start()

    def finish(self) -> None:
        """The run has ended: let the last lines come."""
        if self._thread is not None:
            self._thread.join(LAST_LINES)

    def stop(self) -> None:
        """End the stream at once."""
        if self._thread is not None:
            self.client.close()
            self._thread.join(LAST_LINES)

    def _follow(self) -> None:
        try:
            self.client.call(
                "follow",
                timeout=1e6,
                on_event=self._show,
                kernel=self.run.kernel,
                version=self.run.version,
            )
        except CallError:
            return
        self.complete = self.ours

    def _show(self, event: Json) -> None:
        text = str(event.get("data") or "") if isinstance(event, dict) else str(event)
        if owner_of(text, self.run.run_id)[0] == "ours":
            self.ours = True
            return
        if self.ours:
            for line in self.client.clean(text).splitlines():
                self.log(f"  | {line}")
