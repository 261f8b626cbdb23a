"""Build a file system from a plan and run a command in it, without bubblewrap.

    unshare --user --map-root-user --mount --net --pid --ipc --uts --fork \
        --kill-child python -I -S enter.py PLAN.json

The plan holds `root` (an empty folder to build in), `steps` (each `[kind, source,
target]`, parents before children), `cwd`, `environment` and `command`.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import socket
import struct
import sys

MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
PR_CAPBSET_DROP = 24
# What a container's root normally keeps of the capabilities that matter to a kernel.
KEPT_CAPABILITIES = {
    0,
    1,
    3,
    4,
    5,
    6,
    7,
}  # chown, dac, fowner, fsetid, kill, setgid/uid
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")

_libc = ctypes.CDLL(None, use_errno=True)


def _mount(source: str, target: str, kind: str, flags: int = 0) -> None:
    done = _libc.mount(
        source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), None
    )
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount {source}: {os.strerror(number)}", target)


def _make_point(source: str, target: str) -> None:
    """Make the file or folder that something is to be mounted on."""
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if not os.path.exists(target):
        with open(target, "x", encoding="utf-8"):
            pass


def _bind(source: str, target: str, read_only: bool) -> None:
    _make_point(source, target)
    _mount(source, target, "", MS_BIND | MS_REC)
    if read_only:
        # A remount may not drop flags that the mount already has (nosuid, nodev, ...).
        kept = os.statvfs(target).f_flag & 0x040F
        _mount("none", target, "", MS_REMOUNT | MS_BIND | MS_RDONLY | kept)


def _devices(target: str) -> None:
    os.makedirs(target, exist_ok=True)
    _mount("tmpfs", target, "tmpfs")
    for name in DEVICES:
        if os.path.exists(f"/dev/{name}"):
            _bind(f"/dev/{name}", f"{target}/{name}", read_only=False)
    os.makedirs(f"{target}/shm", mode=0o1777)
    for name, link in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        os.symlink(f"/proc/self/fd{link}", f"{target}/{name}")


def _apply(root: str, kind: str, source: str, target: str) -> None:
    """Carry out one step of the plan below `root`."""
    place = root + target
    if kind in ("ro", "rw", "dev"):
        _bind(source, place, read_only=kind == "ro")
    elif kind == "symlink":
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.symlink(source, place)
    elif kind == "devices":
        _devices(place)
    else:  # "dir", "tmpfs", "proc"
        os.makedirs(place, exist_ok=True)
        if kind != "dir":
            _mount(kind, place, kind)


def _loopback_up() -> None:
    """Bring up `lo`, as Kaggle's machines have it; nothing else is reachable."""
    siocgifflags, siocsifflags, iff_up = 0x8913, 0x8914, 1
    with contextlib.suppress(OSError), socket.socket() as handle:
        request = struct.pack("16sH14s", b"lo", 0, b"")
        answer = fcntl.ioctl(handle, siocgifflags, request)
        flags = struct.unpack("16sH14s", answer)[1] | iff_up
        fcntl.ioctl(handle, siocsifflags, struct.pack("16sH14s", b"lo", flags, b""))


def _drop_capabilities() -> None:
    for number in range(64):
        if number not in KEPT_CAPABILITIES:
            _libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)


def main(plan_path: str) -> None:
    """Build the plan's file system and become its command."""
    with open(plan_path, encoding="utf-8") as file:
        plan = json.load(file)
    root = plan["root"]
    _mount("none", "/", "", MS_REC | MS_PRIVATE)
    _mount("tmpfs", root, "tmpfs")
    for kind, source, target in plan["steps"]:
        _apply(root, kind, source, target)
    _loopback_up()
    socket.sethostname("kaggle")  # as under bubblewrap; /etc/hosts knows it
    os.chroot(root)
    os.chdir(plan["cwd"])
    _drop_capabilities()
    os.execve(plan["command"][0], plan["command"], plan["environment"])


if __name__ == "__main__":
    main(sys.argv[1])
