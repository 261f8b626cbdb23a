"""The command as a user types it: build, rehearse, report, exit code."""

import json
import textwrap

import pytest
from rehearsing import GOOD, write_competition, write_kernel

from kernel_builder.cli import main

HELPER = "def double(x):\n    return 2 * x\n\n\ndef broken(x):\n    return {}[x]\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_sound_kernel_ends_with_0(here, capsys):
    write_kernel(here / "kernel", GOOD)
    code = main(["rehearse", "kernel"])
    out = capsys.readouterr().out

    assert code == 0
    assert "REHEARSAL PASSED: tiny-kernel" in out
    assert "ok   R02 ran to its last line" in out
    assert "predicted 6 rows\n" in out
    assert (here / "out/rehearsals/tiny-kernel/001/output/submission.csv").is_file()
    assert (here / "out/rehearsals/tiny-kernel/001/kernel.py").is_file()


@pytest.mark.parametrize("form", ["flat", "embed"])
def test_a_traceback_leads_back_to_the_module(form, here, capsys):
    write_kernel(
        here / "kernel",
        "from helper import broken, double\n\nprint(double(1))\nbroken('missing')\n",
    )
    (here / "kernel/helper.py").write_text(HELPER)
    code = main(["rehearse", "kernel", "--form", form])
    out = capsys.readouterr().out

    assert code == 4
    assert "Kaggle would have said: status ERROR" in out
    report = out.partition("REHEARSAL FAILED")[2]
    assert 'kernel.py", line 4' in report
    assert 'helper.py", line 6, in broken' in report
    assert "KeyError: 'missing'" in report


def test_a_bare_script_needs_no_metadata(here, capsys):
    (here / "script.py").write_text("import os\nprint(os.listdir('/kaggle/input'))\n")

    assert main(["rehearse", "script.py"]) == 0
    assert "[]\n" in capsys.readouterr().out


def test_a_bare_script_is_judged_by_the_sample_of_its_input(here, capsys):
    write_competition(here / "tiny")
    (here / "script.py").write_text(textwrap.dedent(GOOD))

    assert main(["rehearse", "script.py", "--input", "tiny"]) == 0
    assert "(checked against its sample)" in capsys.readouterr().out


def test_a_bad_submission_ends_with_9(here, capsys):
    write_kernel(here / "kernel", "open('submission.csv', 'w').write('id,y\\n10,0\\n')")
    code = main(["rehearse", "kernel"])

    assert code == 9
    assert "Kaggle would have said: Submission Scoring Error" in capsys.readouterr().out


def test_real_answers_are_an_option_and_a_line_of_the_config(here, capsys):
    code = GOOD.replace("{r['x']}", "{int(r['x']) + 0.5}")
    kernel = str(write_kernel(here / "kernel", code))
    assert main(["rehearse", kernel]) == 9
    assert "--real" in capsys.readouterr().out
    assert main(["rehearse", kernel, "--real"]) == 0
    (here / "kernel/rehearsal.toml").write_text("real = true\n")
    assert main(["rehearse", kernel]) == 0


def test_json_goes_to_stdout_and_the_log_to_stderr(here, capsys):
    write_kernel(here / "kernel", GOOD)
    code = main(["rehearse", "kernel", "--json"])
    captured = capsys.readouterr()

    report = json.loads(captured.out)
    assert code == report["exit_code"] == 0
    assert report["ok"] is True
    assert report["isolation"] in ("bubblewrap", "unshare", "subprocess")
    assert "predicted 6 rows" in captured.err


def test_usage_errors_end_with_2(here, capsys):
    write_kernel(here / "kernel", GOOD)

    assert main(["rehearse", "kernel", "--memory", "0"]) == 2
    assert "--memory 0: must be more than 0" in capsys.readouterr().err
    assert main(["rehearse", "kernel", "--hidden-tests", "odd"]) == 2
    assert "unknown hidden test 'odd'" in capsys.readouterr().err
    assert main(["rehearse", "kernel", "--input", "nowhere"]) == 2


def test_a_notebook_runs_cell_by_cell(here, capsys):
    write_kernel(here / "kernel", "# %% [markdown]\n# # Title\n# %%\n" + "print(6 * 7)")
    options = ["--type", "notebook", "--no-submission"]
    code = main(["rehearse", "kernel", *options])
    out = capsys.readouterr().out

    assert code == 0, out
    assert "42\n" in out
    folder = here / "out/rehearsals/tiny-kernel/001"
    assert list((folder / "output").iterdir()) == []
    executed = json.loads((folder / "executed.ipynb").read_text())
    assert "42\n" in json.dumps(executed).replace("\\n", "\n")


def test_a_notebook_error_names_the_line_of_the_source(here, capsys):
    write_kernel(here / "kernel", "# %%\nx = {}\n# %%\nx['missing']\n")
    options = ["--type", "notebook", "--no-submission"]
    code = main(["rehearse", "kernel", *options])
    out = capsys.readouterr().out

    assert code == 4
    report = out.partition("REHEARSAL FAILED")[2]
    assert "kernel.py:4" in report
    assert "KeyError: 'missing'" in report
    assert "\x1b[" not in report


def test_every_run_has_the_layouts_the_user_asks_for(here, capsys):
    """Reading one layout only is what the other run finds."""
    write_kernel(here / "kernel", GOOD.replace('"/kaggle/input/tiny"', ""))
    code = main(["rehearse", "kernel", "--layout", "both"])
    out = capsys.readouterr().out

    assert code == 4
    assert "FAIL R01 [old layout] Kaggle status would be ERROR: exit code 1" in out
