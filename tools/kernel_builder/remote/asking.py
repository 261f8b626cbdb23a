"""Ask Kaggle again where that helps: after a 429 or 5xx, a lost line, a silence."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from kernel_builder.remote.client import CallError, Json, KaggleClient
from kernel_builder.remote.retrying import Deadline, backoff, span

TRIES = 4
# A silence has cost a whole time-out already.
TRIES_AFTER_SILENCE = 2
LONGEST_DELAY = 60.0


@dataclass(frozen=True)
class Patience:
    """How long to go on: the step's deadline and the first delay between questions."""

    deadline: Deadline
    first_delay: float = 2.0
    tries: int = TRIES
    log: Callable[[str], None] = print
    sleep: Callable[[float], None] = time.sleep
    progress: Callable[[str], None] = lambda text: None

    def pause(self, seconds: float) -> None:
        """Sleep, but not past the deadline."""
        self.sleep(self.deadline.within(seconds))


def ask(
    client: KaggleClient,
    op: str,
    patience: Patience,
    on_event: Callable[[Json], None] | None = None,
    **args: Json,
) -> Json:
    """Call `op`; after a failure that may pass, wait and call once more.

    For questions that change nothing on Kaggle. Retry-After is honoured where it is
    shorter than the time left. No call outlives the deadline.

    Raises:
        CallError: the last failure, when the tries or the time are used up.
    """
    delays = backoff(patience.first_delay, LONGEST_DELAY)
    for attempt in range(1, patience.tries + 1):
        # A call begun in the last moment still gets time to be answered.
        limit = max(1.0, patience.deadline.within(client.call_timeout))
        try:
            return client.call(op, timeout=limit, on_event=on_event, **args)
        except CallError as failure:
            delay = failure.wait if failure.wait is not None else next(delays)
            spent = patience.deadline.left() <= delay
            most = patience.tries
            if failure.kind == "timeout":
                most = min(most, TRIES_AFTER_SILENCE)
            if attempt >= most or spent or not failure.passing:
                raise
            patience.log(f"  {op}: {failure}; asking again in {span(delay)}")
            patience.pause(delay)
    raise AssertionError("unreachable: the last try returns or raises")
