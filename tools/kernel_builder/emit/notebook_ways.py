"""Where a notebook would treat a script's code differently, and what to do about it.

A notebook's process has the server's arguments and a running event loop, and cleans
every cell as if somebody had pasted it: recent IPython takes prompts and blanks out of
strings, too. A kernel runs as the script does because of the few lines added here, each
only where its code needs it. How a script ends is the business of `notebook_ends`.
"""

import ast
import re
from typing import Final

from kernel_builder.emit.emitted import Cell
from kernel_builder.emit.notebook_ends import AT_EXIT, CELLS, RUN_AT_EXIT

_ARGUMENTS: Final = re.compile(
    r"\bargv\b|\b(?:argparse|optparse|getopt|click|typer|fire|docopt|absl|tyro|unittest)\b"
)
_LOOP: Final = re.compile(r"\basyncio\b")
_ENDS: Final = re.compile(
    r"\b(?:exit|quit)\b|\b(?:SystemExit|excepthook)\b|\bunittest\.main\b"
)
_AT_EXIT: Final = re.compile(r"\batexit\b")

_SET_ARGUMENTS: Final = """\
# The arguments of this process are the notebook server's; a kernel gets none.
__import__("sys").argv[1:] = []"""
_OWN_LOOP: Final = '''\
# A notebook already runs an event loop: asyncio.run works in a thread beside it.
def _kk_own_loop():
    import asyncio
    import contextvars
    from concurrent.futures import ThreadPoolExecutor

    run_here = asyncio.run

    def run(main, **options):
        """Run a coroutine to its end, in a thread of its own."""
        context = contextvars.copy_context()
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(context.run, run_here, main, **options).result()

    asyncio.run = run


_kk_own_loop()
del _kk_own_loop'''
_WORKERS: Final = re.compile(r"\b(?:Thread|Process|Timer)\(")
_BEFORE: Final = """\
# The threads of the notebook server, which nobody waits for in the end.
_kk_before = __import__("threading").enumerate()"""
_WAIT: Final = """\
# A script ends when its threads and worker processes have; so does this notebook.
for _kk_worker in (
    *(t for t in __import__("threading").enumerate() if t not in _kk_before),
    *__import__("multiprocessing").active_children(),
):
    # The threads of an executor never end by themselves.
    if not (_kk_worker.daemon or _kk_worker.name.startswith("ThreadPoolExecutor")):
        _kk_worker.join()"""
_NO_DOC: Final = """\
# IPython gives this module a docstring; a script without one has none.
__doc__ = None"""
_AS_WRITTEN: Final = """\
# IPython would take `>>>` and blanks in the strings of a cell for pasted input.
get_ipython().input_transformer_manager.cleanup_transforms.clear()"""
_PASTED: Final = re.compile(r"\s*(?:>>>|\.\.\.|In \[\d+\]:)")


def setup_cells(text: str, cells: list[Cell]) -> list[Cell]:
    """Give the cells that must run first, for what the built text uses."""
    parts = []
    if any(_looks_pasted(cell) for cell in cells):
        parts.append(_AS_WRITTEN)
    own = [cell.text for cell in cells if _is_own(cell)]
    if any("__doc__" in cell for cell in own) and not _has_docstring(own):
        parts.append(_NO_DOC)
    if _ARGUMENTS.search(text):
        parts.append(_SET_ARGUMENTS)
    if _LOOP.search(text):
        parts.append(_OWN_LOOP)
    if _ENDS.search(text):
        parts.append(CELLS)
    if _AT_EXIT.search(text):
        parts.append(AT_EXIT)
    if _WORKERS.search(text):
        parts.append(_BEFORE)
    if not parts:
        return []
    return [Cell("code", "", "\n\n".join(parts), 0, collapsed=True)]


def closing_cells(text: str) -> list[Cell]:
    """Give the cells that must run last, for what the built text uses."""
    parts = []
    if _WORKERS.search(text):
        parts.append(_WAIT)
    if _AT_EXIT.search(text):
        parts.append(RUN_AT_EXIT)
    if not parts:
        return []
    return [Cell("code", "", "\n\n".join(parts), 0, collapsed=True)]


def _is_own(cell: Cell) -> bool:
    """Say whether a cell is the kernel's: no module, nor the mark of a run's end."""
    if cell.kind != "code" or cell.collapsed or cell.heading:
        return False
    return not re.match(r'if __name__ == "__main__": .*"kaggle-kit run ', cell.text)


def _has_docstring(cells: list[str]) -> bool:
    """Say whether the kernel's docstring was turned into an assignment."""
    return any(re.match(r"__doc__ = ", line) for line in "\n".join(cells).split("\n"))


def _looks_pasted(cell: Cell) -> bool:
    """Say whether IPython may change a string of this cell."""
    if cell.kind != "code":
        return False
    inside: set[int] = set()
    for node in ast.walk(ast.parse(cell.text)):
        if isinstance(node, ast.Constant | ast.JoinedStr):
            inside.update(range(node.lineno, node.end_lineno or node.lineno))
    lines = cell.text.split("\n")
    shown = [part for number in inside for part in lines[number].splitlines()]
    return any(part.isspace() or _PASTED.match(part) for part in shown)
