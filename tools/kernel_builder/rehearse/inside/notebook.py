"""Execute a notebook cell by cell, its output going to this process's output.

    python notebook.py NOTEBOOK.ipynb RESULT.ipynb

Like Kaggle's papermill: the working directory is the current one, the first error ends
the run with exit code 1, and the executed notebook is written in every case. Needs
nbclient and ipykernel in this Python.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError


class Runner(NotebookClient):
    """A client that shows what a cell prints while it runs."""

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:  # noqa: ANN401
        """Print streams and errors as they come; keep them in the notebook too."""
        kind, content = msg["msg_type"], msg["content"]
        if kind == "stream":
            target = sys.stderr if content["name"] == "stderr" else sys.stdout
            target.write(content["text"])
            target.flush()
        elif kind in ("execute_result", "display_data"):
            print(content["data"].get("text/plain", ""), flush=True)
        return super().process_message(msg, cell, cell_index)


def main(source: str, result: str) -> int:
    """Execute the notebook; the exit code says whether every cell succeeded."""
    text = Path(source).read_text(encoding="utf-8")
    notebook: Any = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]
    manager = AsyncKernelManager(kernel_name="python3")
    if sys.platform != "win32":
        # Kernel and client talk through socket files: there may be no loopback network.
        manager.transport = "ipc"
        manager.ip = f"{tempfile.mkdtemp()}/kernel"
    runner = Runner(notebook, km=manager, timeout=None, resources={})
    runner.owns_km = True  # so that the kernel is shut down, not left behind
    try:
        runner.execute()
    except CellExecutionError as error:
        print(error.traceback or error, file=sys.stderr, flush=True)
        return 1
    finally:
        Path(result).write_text(json.dumps(notebook, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
