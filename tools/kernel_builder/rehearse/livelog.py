"""Read a program's output while it runs: show it, store it, measure it.

Kaggle's log is a JSON array of `{stream_name, time, data}`; `LiveLog` stores the same,
beside plain text, so that whatever reads a downloaded log reads a rehearsed one.
"""

import codecs
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from kernel_builder.files import write_atomic

CHUNK = 65536
# Kaggle cuts a log at 10 MB; a runaway log must not fill this disk either.
MOST_STORED_BYTES = 100_000_000


class LiveLog:
    """Lines of two streams in the order they came, each with its second."""

    def __init__(
        self, echo: Callable[[str], None], now: Callable[[], float] = time.monotonic
    ) -> None:
        self.bytes = 0
        self.last_output = now()
        self._echo, self._now, self._start = echo, now, now()
        self._entries: list[tuple[str, float, str]] = []
        self._stored = 0
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def follow(self, stream: IO[bytes], name: str) -> None:
        """Read `stream` to its end on a thread of its own."""
        thread = threading.Thread(target=self._read, args=(stream, name), daemon=True)
        thread.start()
        self._threads.append(thread)

    def join(self, timeout: float) -> None:
        """Wait until both streams ended, for at most `timeout` seconds."""
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def text(self) -> str:
        """The whole log as plain text."""
        with self._lock:
            return "".join(data for _, _, data in self._entries)

    def seconds_of(self, part: str) -> float | None:
        """When the first line holding `part` came, in seconds from the start."""
        with self._lock:
            return next((t for _, t, data in self._entries if part in data), None)

    def write(self, folder: Path) -> Path:
        """Store `log.json` (Kaggle's form) and `log.txt`; returns the latter."""
        with self._lock:
            rows = [
                {"stream_name": name, "time": round(seconds, 6), "data": data}
                for name, seconds, data in self._entries
            ]
        write_atomic(folder / "log.json", json.dumps(rows, indent=0) + "\n")
        write_atomic(folder / "log.txt", self.text())
        return folder / "log.txt"

    def _read(self, stream: IO[bytes], name: str) -> None:
        with stream:
            for line in _lines(self._chunks(stream)):
                self._add(name, line)

    def _chunks(self, stream: IO[bytes]) -> Iterator[bytes]:
        while chunk := os.read(stream.fileno(), CHUNK):
            self.bytes += len(chunk)
            self.last_output = self._now()
            yield chunk

    def _add(self, name: str, line: str) -> None:
        with self._lock:
            if self._stored < MOST_STORED_BYTES:
                self._stored += len(line)
                self._entries.append((name, self._now() - self._start, line))
            self._echo(line)


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    """Cut chunks of UTF-8 into lines that keep their end; the last may have none."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    for chunk in chunks:
        rest += decoder.decode(chunk)
        *whole, rest = rest.split("\n")
        yield from (line + "\n" for line in whole)
        if len(rest) > CHUNK:  # a progress bar that never ends its line
            yield rest
            rest = ""
    rest += decoder.decode(b"", final=True)
    if rest:
        yield rest
