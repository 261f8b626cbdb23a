"""The environment in which tests run the client: it can reach this machine alone."""

import os
from pathlib import Path

GUARD = Path(__file__).with_name("guard")
KEY = "0123456789abcdef0123456789abcdef"
# Nothing listens on port 9: TLS to a real host ends there, before a name is looked up.
DEAD_PROXY = "http://127.0.0.1:9"


def safe_environment(port: int, home: Path, *first: Path) -> dict[str, str]:
    """Environment for a process that may start the client.

    Four walls, each enough alone: the client is told to talk to localhost; http goes to
    the stand-in and https to a dead port; the home folder is empty, so that there are
    no real credentials; and the guard ends any process that looks up or connects to
    another host.

    Args:
        port: the stand-in's.
        home: an empty folder.
        first: folders for PYTHONPATH before the guard's (another client).
    """
    home.mkdir(parents=True, exist_ok=True)
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(("KAGGLE_", "PYTHON"))
        and "PROXY" not in name.upper()
    }
    proxy = f"http://127.0.0.1:{port}"
    return env | {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
        "KAGGLE_USERNAME": "tester",
        "KAGGLE_KEY": KEY,
        "http_proxy": proxy,
        "https_proxy": DEAD_PROXY,
        "HTTP_PROXY": proxy,
        "HTTPS_PROXY": DEAD_PROXY,
        "all_proxy": DEAD_PROXY,
        "PYTHONPATH": os.pathsep.join([str(p) for p in (GUARD, *first)]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "KK_GUARD_LOG": str(home / "guard.log"),
    }
