"""Let `kill`, `timeout` and a closed terminal end the tool as Ctrl-C does."""

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def ended_like_ctrl_c() -> Iterator[None]:
    """Raise KeyboardInterrupt for SIGTERM and SIGHUP too: everybody cleans up then."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread gets signals
        return
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    kinds = [getattr(signal, name) for name in names]
    before = {
        kind: signal.signal(kind, signal.default_int_handler)
        for kind in kinds
        # `nohup` has a run outlive its terminal on purpose.
        if signal.getsignal(kind) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
