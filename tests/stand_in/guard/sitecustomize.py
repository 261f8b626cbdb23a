"""Imported by every Python that a test starts: no connection may leave this machine.

Tests put this folder on PYTHONPATH. Should a setting be wrong, so that the client goes
to the real Kaggle, the process ends here, before the name is even looked up.
"""

import os
import sys

LOOPBACK = ("127.0.0.1", "::1", "localhost", "")
REFUSED = 97


def _hosts(event: str, args: tuple) -> list[str]:
    if event in ("socket.connect", "socket.sendto"):
        address = args[1]
        return [address[0]] if isinstance(address, tuple) else []
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        return [args[0]]
    return []


def refuse_the_world(event: str, args: tuple) -> None:
    for host in _hosts(event, args):
        name = host.decode() if isinstance(host, bytes) else str(host or "")
        if name not in LOOPBACK:
            note = os.environ.get("KK_GUARD_LOG")
            if note:
                handle = os.open(note, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
                os.write(handle, f"{event} {name}\n".encode())
            os._exit(REFUSED)


sys.addaudithook(refuse_the_world)
