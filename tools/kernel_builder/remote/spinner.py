"""Show on a terminal that the tool is waiting and not stuck."""

import itertools
import threading
import time
from collections.abc import Callable
from typing import TextIO

from kernel_builder.remote.retrying import span

FRAMES = "|/-\\"
FRAME_SECONDS = 0.2
ERASE = "\r\x1b[K"


class Spinner:
    """Prints lines, and between them a mark that turns while the tool sleeps.

    Where `stream` is no terminal it prints lines and nothing else.
    """

    def __init__(
        self, stream: TextIO, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.stream = stream
        self.turns = stream.isatty()
        self._sleep = sleep
        self._began = time.monotonic()
        self._shown = 0.0
        self._frames = itertools.cycle(FRAMES)
        # The live log prints from a thread of its own.
        self._lock = threading.Lock()

    def line(self, text: str) -> None:
        """Print one line at once, in place of the mark."""
        with self._lock:
            self.stream.write((ERASE if self.turns else "") + text + "\n")
            self.stream.flush()

    def sleep(self, seconds: float) -> None:
        """Sleep, and turn."""
        if not self.turns:
            self._sleep(seconds)
            return
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._draw(f"{next(self._frames)} {span(time.monotonic() - self._began)}")
            self._sleep(min(FRAME_SECONDS, left))
        self._draw("")

    def show(self, text: str) -> None:
        """Show how far something is, in place of the mark; not more than needed."""
        now = time.monotonic()
        if self.turns and now - self._shown >= FRAME_SECONDS:
            self._shown = now
            self._draw(f"{next(self._frames)} {text}")

    def _draw(self, text: str) -> None:
        with self._lock:
            self.stream.write(ERASE + text)
            self.stream.flush()
