import io
import json
import subprocess
import sys

import pytest

from kernel_builder.cli import main
from kernel_builder.emit.build import build
from kernel_builder.emit.emitted import Origin
from kernel_builder.emit.source_map import SourceMap, from_json
from kernel_builder.emit.trace import log_text, map_log
from kernel_builder.errors import UsageError
from kernel_builder.read.project import load_project

KERNEL = '''\
"""Fail on purpose."""
from helpers import outer

outer()
'''
HELPERS = '''\
"""Helpers."""
import warnings


def unused():
    return 0


def outer():
    warnings.warn("careful")
    return inner()


def inner():
    raise ValueError("broken")
'''


@pytest.fixture
def project(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "kernel.py").write_text(KERNEL)
    (tmp_path / "src" / "helpers.py").write_text(HELPERS)
    return load_project(tmp_path / "src" / "kernel.py")


@pytest.fixture
def failed(project, tmp_path):
    """Give a built kernel and what it said when it failed, renamed as on Kaggle."""
    built = build(project, out=tmp_path / "out", form="flat")
    script = tmp_path / "script.py"
    script.write_bytes(built.code_path.read_bytes())
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    return built, done.stderr


def test_a_traceback_names_the_original_files_lines_and_text(failed):
    built, error = failed
    lines = map_log(error, built.source_map).split("\n")
    assert '  File "kernel.py", line 4, in <module>' in lines
    at = next(i for i, line in enumerate(lines) if "line 15, in inner" in line)
    assert lines[at] == '  File "helpers.py", line 15, in inner'
    assert lines[at + 1] == '    raise ValueError("broken")'
    assert lines[-2] == "ValueError: broken"
    assert any(line.startswith("helpers.py:10: UserWarning") for line in lines)
    assert "script.py" not in "\n".join(lines)


def test_a_frame_without_text_gets_it(failed):
    built, error = failed
    frames = "\n".join(line for line in error.split("\n") if line[:4] != "    ")
    mapped = map_log(frames, built.source_map)
    assert 'line 15, in inner\n    raise ValueError("broken")' in mapped


def test_other_files_are_left_as_they_are(failed):
    text = '  File "/usr/lib/python3/json/decoder.py", line 3, in decode\n    x = 1\n'
    assert map_log(text, failed[0].source_map) == text


def test_the_embed_form_leads_back_too(project, tmp_path):
    built = build(project, out=tmp_path / "out", form="embed")
    done = subprocess.run(
        [sys.executable, built.code_path], capture_output=True, text=True, check=False
    )
    mapped = map_log(done.stderr, built.source_map)
    assert 'File "helpers.py", line 15, in inner' in mapped
    assert 'File "kernel.py", line 4, in <module>' in mapped


def test_a_merged_import_leads_back_to_the_first_that_was_written(tmp_path):
    (tmp_path / "src").mkdir()
    kernel = tmp_path / "src" / "kernel.py"
    kernel.write_text("import json\nfrom helpers import f\nimport no_such_library\n")
    (tmp_path / "src" / "helpers.py").write_text(
        "# c\nimport json\nfrom no_such_library import a\n"
        "import no_such_library\ndef f():\n    return json\n"
    )
    built = build(load_project(kernel), out=tmp_path / "out", form="flat")
    rows = built.code_path.read_text().split("\n")
    seen = {
        row: built.source_map.lookup(number)
        for number, row in enumerate(rows, start=1)
        if row.startswith(("import", "from"))
    }
    assert seen == {
        "import json": Origin("kernel.py", 1, "__main__"),
        "import no_such_library": Origin("helpers.py", 4, "helpers"),
        "from no_such_library import a": Origin("helpers.py", 3, "helpers"),
    }


def test_a_notebook_cell_leads_back(project, tmp_path):
    built = build(project, out=tmp_path / "out", form="flat", kernel_type="notebook")
    cells = json.loads(built.code_path.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    for count, cell in enumerate(code, start=1):
        lines = "".join(cell["source"]).split("\n")
        if "outer()" in lines:
            line = lines.index("outer()") + 1
            place = f"Cell In[{count}], line {line}"
            log = f"{place}\n\x1b[0;32m{place}"
            log += (
                f"\n/tmp/ipykernel_17/2389279384.py in <module>\n----> {line} outer()"
            )
            log += f"\n<ipython-input-{count}-abc1> in <module>\n--> {line} outer()"
            assert map_log(log, built.source_map).count("[kernel.py:4]") == 4
            return
    pytest.fail("the call is in no cell")


def test_the_command_reads_a_kaggle_log(failed, tmp_path, capsys):
    built, error = failed
    pieces = [
        {"stream_name": "stdout", "time": 0.1, "data": "hello\n"},
        {"stream_name": "stderr", "time": 0.2, "data": error},
    ]
    log = built.code_path.parent / "run.log"
    log.write_text(json.dumps(pieces))
    assert main(["trace", str(log)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("hello\n")
    assert 'File "helpers.py", line 15, in inner' in said
    elsewhere = tmp_path / "a" / "b" / "log.txt"
    elsewhere.parent.mkdir(parents=True)
    elsewhere.write_text(error)
    assert main(["trace", str(elsewhere), "--map", str(built.map_path)]) == 0
    assert "line 15, in inner" in capsys.readouterr().out


def test_the_command_reads_standard_input(failed, monkeypatch, capsys):
    built, error = failed

    class Piped:
        buffer = io.BytesIO(error.encode())

    monkeypatch.setattr(sys, "stdin", Piped)
    assert main(["trace", "-", "--map", str(built.map_path)]) == 0
    assert 'File "helpers.py", line 15' in capsys.readouterr().out


def test_a_log_without_a_map_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "log.txt").write_text("boom")
    assert main(["trace", "x/log.txt"]) == 2
    assert "no source map found: name it with --map" in capsys.readouterr().err
    assert main(["trace", "gone.txt"]) == 2
    assert "gone.txt: cannot be read" in capsys.readouterr().err
    for name in ("a", "b"):
        (tmp_path / "out" / "build" / name).mkdir(parents=True)
        (tmp_path / "out" / "build" / name / "k.map.json").write_text("{}")
    assert main(["trace", "x/log.txt"]) == 2
    assert "several source maps" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[]", "not json", "[1, 2", '{"version": 9}'])
def test_a_log_of_any_shape_is_taken(text):
    assert isinstance(log_text(text), str)


def test_a_log_cut_off_in_the_middle_keeps_what_there_is():
    text = '[{"data": "one\\n"},\n{"data": "two\\n"}, {"data": "thr'
    assert log_text(text) == "one\ntwo\n"


def test_a_map_survives_its_file(failed):
    written = failed[0].source_map
    assert from_json(written.to_json()).to_json() == written.to_json()
    assert from_json(written.to_json()).lines == written.lines


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 7}', '{"version": 1}'])
def test_what_is_no_map_is_named(text):
    with pytest.raises(UsageError, match=r"m\.json"):
        from_json(text, "m.json")


def test_a_line_outside_the_file_has_no_origin():
    made = SourceMap("k.py", "k.py", "flat", (Origin("k.py", 1, "__main__"),), {})
    assert made.lookup(1) == Origin("k.py", 1, "__main__")
    assert made.lookup(0) is None
    assert made.lookup(2) is None
    assert made.lookup(1, cell=0) is None
    assert made.text_at(Origin("k.py", 5, "__main__")) == ""
