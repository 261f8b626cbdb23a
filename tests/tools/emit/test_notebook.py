"""A built notebook is valid, and runs in Jupyter as the script does in Python."""

import ast
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import pytest
from embed_cases import FILES, IMPORTS, LONGER, SOURCES, STATE, WORKERS
from nbclient import NotebookClient
from same_behaviour import embed, run, without_places, write_project

from kernel_builder.emit.emitted import Cell, Emitted, Origin
from kernel_builder.emit.notebook import to_notebook
from kernel_builder.emit.notebook_ends import _KkCells
from kernel_builder.emit.notebook_ways import closing_cells, setup_cells

STORY: dict[str, str | bytes] = {
    "main.py": '''\
"""The story."""
from __future__ import annotations

# %% [markdown]
# # A story
# of *two* cells
# %% Settings
import argparse
import asyncio
import sys
from pkg.work import fetch, halve


def annotated(x: Unknown) -> Unknown:
    return x


options = argparse.ArgumentParser().parse_args()
# %%
print(__doc__, annotated.__annotations__, options, len(sys.argv))
print(asyncio.run(fetch(8)))
print(Path(__file__).name if "Path" in globals() else __file__.split("/")[-1])
# %%
if __name__ == "__main__":
    print("leaving", halve(8))
    sys.exit(0)
''',
    "pkg/work.py": '''\
import asyncio


async def fetch(x):
    await asyncio.sleep(0)
    return x


def halve(x):
    """Half.

    >>> halve(4)
    """
    return x / (2 if x else x)
''',
}


def notebook_of(files: Mapping[str, str | bytes], folder: Path) -> Any:
    emitted = embed(write_project(files, folder / "project"), folder / "out")
    notebook = nbformat.reads(to_notebook(emitted).text, as_version=4)
    nbformat.validate(notebook)
    return notebook


def execute(notebook: Any, cwd: Path, allow_errors: bool = False) -> str:
    """Run in a Jupyter kernel; gives what the cells printed."""
    cwd.mkdir()
    NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        allow_errors=allow_errors,
        resources={"metadata": {"path": str(cwd)}},
    ).execute()
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    return "".join(out.text for out in outputs if out.get("name") == "stdout")


def test_the_layout_is_valid_and_the_same_every_time(tmp_path: Path) -> None:
    notebook = notebook_of(STORY, tmp_path / "a")
    again = notebook_of(STORY, tmp_path / "b")
    assert nbformat.writes(notebook) == nbformat.writes(again)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.language_info.name == "python"
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    headings = [c.source for c in notebook.cells if c.cell_type == "markdown"]
    assert headings == [
        "### Files of this project",
        "### pkg/work.py",
        "# A story\nof *two* cells",
    ]
    (module,) = [c for c in notebook.cells if 'write("pkg/work.py"' in c.source]
    assert "    return x / (2 if x else x)\n" in module.source
    assert module.metadata == {
        "_kg_hide-input": True,
        "collapsed": True,
        "jupyter": {"source_hidden": True},
    }


@pytest.mark.filterwarnings("ignore")  # Jupyter's own, on its way to newer versions
def test_a_kernel_with_arguments_a_loop_and_an_exit_runs_as_the_script(
    tmp_path: Path,
) -> None:
    notebook = notebook_of(STORY, tmp_path)
    script = run(tmp_path / "project" / "main.py", tmp_path / "plain")
    assert execute(notebook, tmp_path / "nb") == script.stdout
    assert script.code == 0


MANY = {
    "one": IMPORTS["modules imported by a computed name"],
    "two": IMPORTS["a module that imports the kernel by name"],
    "three": STATE["pickles keep module names"],
    "four": FILES["importlib.resources"],
    "five": WORKERS["spawn workers"],
    "six": SOURCES["strings that look like a pasted session"],
    "seven": LONGER["a thread that outlives the kernel"],
    "eight": LONGER["a file beside sys.argv[0]"],
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MANY)
def test_projects_print_in_a_notebook_what_they_print_as_scripts(
    name: str, tmp_path: Path
) -> None:
    notebook = notebook_of(MANY[name], tmp_path)
    script = run(tmp_path / "project" / "main.py", tmp_path / "plain")
    shown = execute(notebook, tmp_path / "nb")
    assert without_places(shown) == without_places(script.stdout, tmp_path / "project")
    written = {path.name for path in (tmp_path / "nb").iterdir()}
    assert written == set(script.files)


@pytest.mark.filterwarnings("ignore")
def test_figures_are_inline_and_an_error_leads_to_its_source(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "main.py": "import matplotlib.pyplot as plt\nfrom draw import line\n# %%\n"
        "line(plt)\nplt.show()\n# %%\n\nprint('fails now')\nline(None)\n",
        "draw.py": "def line(plt):\n    # drawn here\n    plt.plot([1, 2])\n",
    }
    emitted = embed(write_project(files, tmp_path / "project"), tmp_path / "out")
    built = to_notebook(emitted)
    notebook = nbformat.reads(built.text, as_version=4)
    assert execute(notebook, tmp_path / "nb", allow_errors=True) == "fails now\n"
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    assert [o for o in outputs if "image/png" in o.get("data", {})]
    (error,) = [out for out in outputs if out.output_type == "error"]
    trace = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback))
    assert "plt.plot([" in trace
    assert "draw.py" in trace
    assert [origin.line for origin in built.cells[-1] if origin] == [8, 9]


def test_every_line_of_every_code_cell_has_its_origin(tmp_path: Path) -> None:
    emitted = embed(write_project(STORY, tmp_path / "project"), tmp_path / "out")
    built = to_notebook(emitted)
    cells = json.loads(built.text)["cells"]
    assert len(cells) == len(built.cells)
    seen = set()
    for cell, origins in zip(cells, built.cells, strict=True):
        lines = "".join(cell["source"]).split("\n")
        if cell["cell_type"] == "markdown":
            assert origins == ()
            continue
        assert len(origins) == len(lines)
        for line, origin in zip(lines, origins, strict=True):
            if origin is not None and line.strip():
                source = str(STORY[origin.path]).split("\n")[origin.line - 1]
                if line.strip().startswith(("try:", "except", "if _kk", "raise")):
                    continue
                assert source.strip() in line or line == f"# {source[5:]}", line
                seen.add(origin.path)
    assert seen == {"main.py", "pkg/work.py"}


def test_a_flat_text_without_cells_is_one_notebook(tmp_path: Path) -> None:
    text = "# Built.\nx = 1\n# %%\nprint(x)\n"
    lines = tuple(Origin("k.py", n, "__main__") for n in range(1, 5))
    built = to_notebook(Emitted(text, lines, "flat"))
    cells = json.loads(built.text)["cells"]
    assert ["".join(cell["source"]) for cell in cells] == [
        "# Built.\nx = 1",
        "print(x)",
    ]
    assert built.cells[1] == (Origin("k.py", 4, "__main__"),)


def test_only_what_a_text_uses_is_set_up() -> None:
    assert setup_cells("print('hello')", []) == []
    (cell,) = setup_cells("import argparse\nimport asyncio\n", [])
    assert cell.collapsed
    assert "argv[1:] = []" in cell.text
    assert "asyncio.run = run" in cell.text


def test_a_script_without_docstring_has_none_in_a_notebook_either() -> None:
    cells = [Cell("code", "", "print(__doc__)", 1)]
    (cell,) = setup_cells("", cells)
    assert cell.text.endswith("\n__doc__ = None")
    head = Cell("code", "", "__doc__ = 'Doc.'", 1)
    assert setup_cells("", [head, *cells]) == []


def play(*cells: str) -> tuple[dict[str, Any], BaseException | None]:
    """Run cells as the notebook would; gives their names, and what ended them."""
    wrapper = _KkCells()
    scope: dict[str, Any] = {"_kk_cells": wrapper, "seen": []}
    usual = sys.excepthook
    try:
        for text in cells:
            sys.excepthook = usual  # IPython puts its own back
            tree = ast.fix_missing_locations(wrapper.visit(ast.parse(text)))
            exec(compile(tree, "<cell>", "exec"), scope)
    except BaseException as error:
        return scope, error
    finally:
        sys.excepthook = usual
    return scope, None


@pytest.mark.parametrize("code", ["", "0", "None", "False"])
def test_a_script_may_end_early_with_success(code: str) -> None:
    scope, error = play(
        "from __future__ import annotations\nimport sys",
        f"def leave():\n    sys.exit({code})",
        "seen.append(1)\nif seen:\n    leave()\nseen.append(2)",
        "seen.append(3)",
        "_kk_done = True",
    )
    assert (scope["seen"], error) == ([1], None)
    assert scope["_kk_done"]  # the tool's own cells run to the end


@pytest.mark.parametrize("code", ["1", "'no'", "True", "0.0"])
def test_an_exit_with_an_error_fails_the_cell(code: str) -> None:
    scope, error = play(f"import sys\nsys.exit({code})", "seen.append(1)")
    assert isinstance(error, SystemExit)
    assert (str(error), scope["seen"]) == (code.strip("'"), [])


def test_an_error_is_handed_to_the_kernels_own_hook_and_fails_the_cell() -> None:
    hook = "def hook(kind, value, trace):\n    seen.append((kind, trace.tb_lineno))"
    scope, error = play(
        f"import sys\n{hook}\nsys.excepthook = hook", "x = 1", "x = 2\n\n1 / 0"
    )
    assert isinstance(error, ZeroDivisionError)
    assert scope["seen"] == [(ZeroDivisionError, 3)]
    assert play("1 / 0")[0]["seen"] == []


def test_the_value_of_a_cells_last_line_is_still_shown() -> None:
    (*_, last) = _KkCells().visit(ast.parse("x = 1\nx + 1")).body
    assert isinstance(last, ast.Expr)
    assert play("x = 1", "x + 1")[0]["_kk_value"] == 2


def test_only_what_needs_it_gets_the_cells_for_the_end() -> None:
    assert setup_cells("print('the end')", []) == closing_cells("print()") == []
    (cell,) = setup_cells("import sys\nsys.exit(0)", [])
    assert "ast_transformers.append(_kk_cells)" in cell.text
    (first,), (last,) = setup_cells("import atexit", []), closing_cells("import atexit")
    assert "_KkAtExit()" in first.text
    assert last.text == "_kk_at_exit.run()"


LATE = {
    "main.py": """\
import atexit
import sys
from parting import bye

atexit.register(bye, "the kernel")
sys.exit(0) if __name__ == "__main__" else None
# %%
print("never")
""",
    "parting.py": """\
import atexit


def bye(who="a module"):
    print("bye from", who)


atexit.register(bye)
atexit.register(print, "taken back")
atexit.unregister(print)
""",
}


@pytest.mark.filterwarnings("ignore")  # Jupyter's own, on its way to newer versions
def test_an_early_exit_and_what_runs_at_exit_are_as_in_the_script(
    tmp_path: Path,
) -> None:
    script = run(write_project(LATE, tmp_path / "project"), tmp_path / "plain")
    assert script.stdout == "bye from the kernel\nbye from a module\n"
    assert execute(notebook_of(LATE, tmp_path), tmp_path / "nb") == script.stdout
