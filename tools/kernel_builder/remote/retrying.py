"""Deadlines, and waiting a little longer before each new try."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Deadline:
    """A moment in the future; `Deadline.after(seconds)` makes one."""

    at: float
    seconds: float
    now: Callable[[], float] = field(default=time.monotonic, compare=False)

    @classmethod
    def after(
        cls, seconds: float, now: Callable[[], float] = time.monotonic
    ) -> "Deadline":
        """The deadline `seconds` from now."""
        return cls(now() + seconds, seconds, now)

    def left(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - self.now())

    @property
    def passed(self) -> bool:
        """True when no time is left."""
        return self.left() <= 0

    def within(self, seconds: float) -> float:
        """`seconds`, or what is left when that is less."""
        return min(seconds, self.left())


def backoff(
    first: float, cap: float, factor: float = 1.6, rng: random.Random | None = None
) -> Iterator[float]:
    """Growing delays in seconds, each between 75 % and 125 % of its nominal value.

    The jitter keeps many waiting tools from asking in step.

    >>> steps = backoff(1, 30, rng=random.Random(0))
    >>> [next(steps) > 0 for _ in range(3)]
    [True, True, True]
    """
    draw = rng or random.Random()
    delay = first
    while True:
        yield min(delay, cap) * draw.uniform(0.75, 1.25)
        delay = min(delay * factor, cap)


def span(seconds: float) -> str:
    """Seconds as a person writes them.

    >>> span(0.84), span(7), span(75), span(7325)
    ('0.8 s', '7 s', '1 min 15 s', '2 h 02 min')
    """
    whole = round(seconds)
    if seconds < 10 and abs(seconds - whole) > 0.05:
        return f"{seconds:.1f} s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
