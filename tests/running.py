"""Run a kernel as its user would: a Python program in a folder, nothing of Kaggle's."""

import os
import subprocess
import sys


def run_python(command, folder, **variables):
    """Run Python in a folder; the finished process with what it printed.

    As many threads as in the rehearsal, which takes no variables along: sums over other
    numbers of threads are rounded in another order.
    """
    clean = {
        key: value
        for key, value in os.environ.items()
        if "KAGGLE" not in key and "OMP" not in key
    }
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=folder,
        env=clean | variables,
        capture_output=True,
        text=True,
        check=False,
    )
