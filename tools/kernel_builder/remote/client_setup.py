"""Where the Kaggle client is, and the environment it gets."""

import importlib.util
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from kernel_builder.errors import UsageError

# Any other KAGGLE_* variable becomes configuration of the client: a stray KAGGLE_PATH
# redirects downloads, a rehearsal's variables make it believe that it is on Kaggle.
KEPT_VARIABLES = frozenset(
    {
        "KAGGLE_API_TOKEN",
        "KAGGLE_USERNAME",
        "KAGGLE_KEY",
        "KAGGLE_CONFIG_DIR",
        "KAGGLE_API_ENVIRONMENT",
    }
)
INSTALL_HINT = (
    "pip install 'kaggle>=2.2.4,<3' six, or name the Python that has it: "
    "--client-python PATH (or KAGGLE_KIT_CLIENT_PYTHON)"
)


def client_environment(source: Mapping[str, str]) -> dict[str, str]:
    """The environment for the client: the user's, without stray KAGGLE_* variables.

    Raises:
        UsageError: KAGGLE_API_ENVIRONMENT is set to what the client ignores, so that
            it would talk to the real site.
    """
    site = source.get("KAGGLE_API_ENVIRONMENT")
    if site not in (None, "", "PROD", "LOCALHOST"):
        raise UsageError(
            f"KAGGLE_API_ENVIRONMENT={site}: the client ignores this value and would "
            "talk to the real Kaggle; use LOCALHOST or unset it"
        )
    env = {
        name: value
        for name, value in source.items()
        if not name.startswith("KAGGLE_") or name in KEPT_VARIABLES
    }
    return env | {"PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1"}


def find_client_python(given: str | None, env: Mapping[str, str]) -> str:
    """The Python that has the client.

    In this order: the one named, KAGGLE_KIT_CLIENT_PYTHON, this one, and the one that
    the `kaggle` command on the PATH starts with.

    Raises:
        UsageError: none is found.
    """
    named = given or env.get("KAGGLE_KIT_CLIENT_PYTHON")
    if named:
        found = shutil.which(named, path=env.get("PATH"))
        if found is None:
            raise UsageError(f"--client-python {named}: there is no such program")
        return found
    spec = importlib.util.find_spec("kaggle")
    # Without an origin it is a mere folder of that name.
    if spec is not None and spec.origin is not None:
        return sys.executable
    script = shutil.which("kaggle", path=env.get("PATH"))
    if script is not None:
        first = Path(script).read_bytes().split(b"\n", 1)[0].decode("utf-8", "replace")
        words = first.removeprefix("#!").split()
        found = shutil.which(words[-1], path=env.get("PATH")) if words else None
        if first.startswith("#!") and found and "python" in Path(found).name:
            return found
    raise UsageError(f"the Kaggle client is not installed: {INSTALL_HINT}")
