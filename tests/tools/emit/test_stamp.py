import json
import subprocess
import sys

import pytest

from kernel_builder.emit.build import build
from kernel_builder.errors import UsageError
from kernel_builder.read.project import load_project

KERNEL = '''\
"""Doc."""
from __future__ import annotations

from helpers import add

if __name__ == "__main__":
    print(__doc__, add(1, 2))
'''
HELPERS = (
    "from __future__ import annotations\n\n\ndef add(a: int, b):\n    return a + b\n"
)
START = "kaggle-kit run id-1 start\n"
END = "kaggle-kit run id-1 end\n"


def project(folder, kernel=KERNEL):
    (folder / "kernel.py").write_text(kernel)
    (folder / "helpers.py").write_text(HELPERS)
    return load_project(folder / "kernel.py")


def output(path, *before):
    done = subprocess.run(
        [sys.executable, *before, path], capture_output=True, text=True, check=False
    )
    return done.stdout


@pytest.mark.parametrize("form", ["flat", "embed"])
def test_a_stamped_kernel_says_when_it_starts_and_ends(form, tmp_path):
    built = build(project(tmp_path), out=tmp_path / "out", form=form, run_id="id-1")
    assert output(built.code_path) == f"{START}Doc. 3\n{END}"


@pytest.mark.parametrize("form", ["flat", "embed"])
def test_lines_still_lead_back(form, tmp_path):
    built = build(project(tmp_path), out=tmp_path / "out", form=form, run_id="id-1")
    lines = built.code_path.read_text().split("\n")
    line = next(i for i, text in enumerate(lines, 1) if "__doc__, add" in text)
    origin = built.source_map.lookup(line)
    assert origin is not None
    assert (origin.path, origin.line) == ("kernel.py", 7)
    assert len(built.source_map.lines) == len(lines) - 1


def test_a_kernel_that_stops_early_never_says_the_end(tmp_path):
    made = project(tmp_path, KERNEL + "raise SystemExit(0)\nx = 1\n")
    built = build(made, out=tmp_path / "out", run_id="id-1")
    assert output(built.code_path) == f"{START}Doc. 3\n"


def test_a_worker_that_runs_the_file_again_is_silent(tmp_path):
    built = build(project(tmp_path), out=tmp_path / "out", run_id="id-1")
    code = f"import runpy; runpy.run_path({str(built.code_path)!r}, run_name='worker')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_a_print_of_the_kernels_own_does_not_swallow_the_end(tmp_path):
    made = project(tmp_path, "from helpers import add\nprint(add(1, 1))\nprint = len\n")
    built = build(made, out=tmp_path / "out", run_id="id-1")
    assert output(built.code_path) == f"{START}2\n{END}"


ELSEWHERE = {
    "a file": "sys.stdout = open('log.txt', 'w')\nprint('in the file')\n",
    "closed": "sys.stdout.close()\n",
    "detached": "sys.stdout = io.TextIOWrapper(sys.stdout.detach())\n",
    "nothing": "sys.stdout = None\n",
    "both": "sys.stdout, sys.stderr = open('a', 'w'), open('b', 'w')\n",
    "alias": "import sys as system\nsystem.stdout = open('a', 'w')\n",
    "name": "setattr(sys, 'stdout', open('a', 'w'))\n",
    "tee": (
        "class Tee:\n"
        "    def __init__(self, to):\n        self.to = to\n"
        "    def write(self, text):\n        self.to.write(text)\n"
        "    def flush(self):\n        self.to.flush()\n"
        "sys.stdout = Tee(sys.stdout)\nprint('no line end', end='')\n"
    ),
}


@pytest.mark.parametrize("form", ["flat", "embed"])
@pytest.mark.parametrize("code", ELSEWHERE.values(), ids=ELSEWHERE)
@pytest.mark.parametrize("end", ["", "sys.exit(0)\n"])
def test_a_kernel_that_sends_its_output_elsewhere_still_says_the_end(
    code, form, end, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    made = project(tmp_path, f"import io, sys\n{code}{end}")
    built = build(made, out=tmp_path / "out", form=form, run_id="id-1")
    done = subprocess.run(
        [sys.executable, built.code_path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert END in done.stdout.splitlines(keepends=True)


@pytest.mark.parametrize(
    "line", ["import subprocess as s; r = s.run(['true'], stdout=s.PIPE).stdout", "1"]
)
def test_the_output_of_other_programs_is_no_stdout_of_ones_own(line, tmp_path):
    built = build(project(tmp_path, line + "\n"), out=tmp_path / "out", run_id="id-1")
    assert f'print("{END.strip()}", flush=True)' in built.code_path.read_text()


def test_a_notebook_has_the_marks_in_its_first_and_last_code(tmp_path):
    built = build(
        project(tmp_path), out=tmp_path / "out", kernel_type="notebook", run_id="id-1"
    )
    cells = json.loads(built.code_path.read_text())["cells"]
    code = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    assert sum("run id-1 start" in text for text in code) == 1
    assert "run id-1 end" in code[-1]


def test_a_plain_build_prints_nothing_extra(tmp_path):
    built = build(project(tmp_path), out=tmp_path / "out")
    assert "kaggle-kit run" not in built.code_path.read_text()


@pytest.mark.parametrize("run_id", ["", 'a"b', "a\nb", "x" * 81])
def test_an_id_that_would_not_fit_is_refused(run_id, tmp_path):
    with pytest.raises(UsageError, match="run id"):
        build(project(tmp_path), out=tmp_path / "out", run_id=run_id)


LAST_EXITS = {
    "value": "import sys\ndef main():\n    return 0\nsys.exit(main())\n",
    "guard": (
        "import sys\ndef main() -> None:\n    print('é')\n"
        "if __name__ == '__main__':\n    sys.exit(\n        main()\n    )\n"
    ),
    "bare": "import sys\nx = 1\nsys.exit()\n",
    "raised": "def main():\n    return 0\nraise SystemExit(main())\n",
    "inside": "import sys\ndef main():\n    sys.exit(0)\nmain()\n",
    "choice": "import sys\nsys.exit(0 if 1 else 2)\n",
}


@pytest.mark.parametrize("form", ["flat", "embed"])
@pytest.mark.parametrize("kernel", LAST_EXITS.values(), ids=LAST_EXITS)
def test_a_last_statement_that_exits_well_says_the_end(kernel, form, tmp_path):
    built = build(
        project(tmp_path, kernel), out=tmp_path / "out", form=form, run_id="id-1"
    )
    done = subprocess.run(
        [sys.executable, built.code_path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(START)
    assert done.stdout.endswith(END)
    assert done.stdout.count(END) == 1


@pytest.mark.parametrize(
    ("kernel", "code"),
    [
        ("import sys\ndef main():\n    return 3\nsys.exit(main())\n", 3),
        (
            "import sys\ndef main():\n    sys.exit(0)\n    print()\nsys.exit(main())\n",
            0,
        ),
        ("import sys\nif sys.argv:\n    sys.exit(0)\nprint('more')\n", 0),
        ("import sys\nsys.exit('no data')\n", 1),
        ("import os\nos._exit(0)\n", 0),
    ],
)
def test_an_early_or_failing_exit_never_says_the_end(kernel, code, tmp_path):
    built = build(project(tmp_path, kernel), out=tmp_path / "out", run_id="id-1")
    done = subprocess.run(
        [sys.executable, built.code_path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (code, START)


def test_an_exit_in_a_notebooks_last_cell_keeps_its_cell(tmp_path):
    kernel = "# %%\nimport sys\nx = 1\n# %%\nsys.exit(x - 1)\n"
    built = build(
        project(tmp_path, kernel),
        out=tmp_path / "out",
        kernel_type="notebook",
        run_id="id-1",
    )
    cells = json.loads(built.code_path.read_text())["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    assert any("sys.exit((x - 1) or print(" in text for text in texts)
