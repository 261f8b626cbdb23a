"""A built notebook is valid, and runs in Jupyter as the script does in Python."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import pytest
from embed_cases import FILES, IMPORTS, LONGER, SOURCES, STATE, WORKERS
from nbclient import NotebookClient
from same_behaviour import embed, run, without_places, write_project

from kernel_builder.emitted import Cell, Emitted, Origin
from kernel_builder.notebook import to_notebook
from kernel_builder.notebook_ways import allow_exit, setup_cells

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


def exits(text: str) -> list[str]:
    return [cell.text for cell in allow_exit(text, [Cell("code", "", text, 1)])]


def test_the_last_statement_may_exit_with_zero() -> None:
    text = "x = 1\nif __name__ == '__main__':\n    sys.exit(main())"
    head, guarded = exits(text)
    assert head == "x = 1"
    assert guarded.startswith("try:\n    if __name__ == '__main__':\n        sys.exit(")
    for code, fails in ((None, False), (0, False), (2, True), ("no", True)):
        scope = {"sys": __import__("sys"), "main": lambda code=code: code}
        if fails:
            with pytest.raises(SystemExit):
                exec(guarded, {**scope, "__name__": "__main__"})
        else:
            exec(guarded, {**scope, "__name__": "__main__"})


def test_a_statement_that_cannot_be_indented_stays() -> None:
    text = 'if __name__ == "__main__":\n    sys.exit("""\nno""")'
    assert exits(text) == [text]
    assert exits("try:\n    f()\nfinally:\n    exit()")[0].startswith(
        "try:\n    try:\n"
    )
    assert exits("print('no end')") == ["print('no end')"]
    assert exits("def main():\n    sys.exit(1)") == ["def main():\n    sys.exit(1)"]
