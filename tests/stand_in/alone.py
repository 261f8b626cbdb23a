"""A push in a network of its own, where port 80 is the stand-in's.

Run inside `unshare -rn`: there the client needs no proxy, and nothing but this machine
exists. Prints the exit code of the push and what came home.
"""

import subprocess
import sys
from pathlib import Path

from stand_in.safety import safe_environment
from stand_in.server import Server, StandIn


def main(folder: Path, kernel: str) -> int:
    with StandIn(Server(80)) as kaggle:
        env = safe_environment(80, folder / "home")
        env = {name: v for name, v in env.items() if "proxy" not in name.lower()}
        tool = Path(__file__).parents[2] / "tools" / "build_kernel.py"
        command = [sys.executable, str(tool), "push", kernel, "--wait", "--poll", "0.1"]
        done = subprocess.run(command, cwd=folder, env=env, check=False)
        print("paths:", *sorted({method for method, _ in kaggle.requests}))
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
