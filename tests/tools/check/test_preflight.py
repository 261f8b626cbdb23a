"""`check` as a command: what it prints, its exit codes, silences and profiles."""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from checking import METADATA, check, write_kernel

from kernel_builder import cli
from kernel_builder.check.preflight import run_checks, stop_on_errors
from kernel_builder.check.rules import CLIENT_RULES, RULES
from kernel_builder.errors import CheckFailed, UsageError
from kernel_builder.profiles import load_profile
from kernel_builder.read.project import load_project
from kernel_builder.rehearse import rehearsal

ROOT = Path(__file__).parents[3]
TABLES = {
    **dict.fromkeys((f"M{n:02}" for n in (1, 2, 3, 4, 5, 7, 9, 11, 13)), "error"),
    **dict.fromkeys((f"M{n:02}" for n in (6, 8, 10, 12)), "warning"),
    **dict.fromkeys(
        (f"S{n:02}" for n in (1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15, 22, 25, 29)),
        "error",
    ),
    **dict.fromkeys(
        (
            f"S{n:02}"
            for n in (4, 8, 12, *range(16, 22), 23, 24, 26, 27, 28, 30, 31, 32)
        ),
        "warning",
    ),
}
BAD = """
    import os
    import requests

    requests.get("https://example.org")
    os.system("python train.py")
    """


def test_every_rule_of_the_tables_is_there():
    assert {rule.id: rule.severity for rule in RULES} == TABLES
    assert len({rule.id for rule in RULES}) == len(RULES)
    assert CLIENT_RULES == ("P01", "P02", "P03")


def test_every_rule_has_a_trip_and_a_near_miss():
    texts = [path.read_text() for path in Path(__file__).parent.glob("test_rules_*.py")]
    trips = {rule for text in texts for rule in re.findall(r"\b[MS]\d\d\b", text)}
    assert trips >= set(TABLES)


# -- the command


def _run(capsys, *arguments):
    code = cli.main(["check", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_sound_kernel(tmp_path, capsys):
    kernel = write_kernel(tmp_path, "print(1)\n")
    code, out, err = _run(capsys, kernel)
    assert (code, err) == (0, "")
    assert "kernel.py against kaggle-2026-06-py312: nothing to complain about" in out


def test_findings_are_printed_one_per_line(tmp_path, capsys, monkeypatch):
    write_kernel(tmp_path / "one", BAD)
    monkeypatch.chdir(tmp_path)
    code, out, err = _run(capsys, "one")
    assert code == CheckFailed.exit_code == 3
    assert out.split("\n") == [
        "one/kernel.py:4: S05 error: network call with internet off: "
        "requests.get('https://example.org'); attach the data in the metadata, or turn "
        "enable_internet on",
        "one/kernel.py:5: S24 warning: failure of `python train.py` would be hidden; "
        "use check=True",
        "",
    ]
    assert err == (
        "error: one/kernel.py against kaggle-2026-06-py312: 1 error and 1 warning\n"
    )


def test_warnings_alone_do_not_stop(tmp_path, capsys):
    kernel = write_kernel(tmp_path, 'import os\nos.system("python a.py")\n')
    code, out, err = _run(capsys, kernel)
    assert (code, err) == (0, "")
    assert "S24 warning" in out
    assert "against kaggle-2026-06-py312: 1 warning\n" in out


def test_json(tmp_path, capsys):
    kernel = write_kernel(tmp_path, BAD)
    code, out, err = _run(capsys, kernel, "--json")
    value = json.loads(out)
    assert (code, err) == (3, "")
    assert (value["errors"], value["warnings"]) == (1, 1)
    assert value["profile"] == "kaggle-2026-06-py312"
    assert [f["id"] for f in value["findings"]] == ["S05", "S24"]
    assert set(value["findings"][0]) == {
        *("id", "severity", "path", "line", "message", "fix"),
    }


def test_json_of_a_sound_kernel(tmp_path, capsys):
    kernel = write_kernel(tmp_path, "print(1)\n")
    code, out, _ = _run(capsys, kernel, "--json")
    assert code == 0
    assert json.loads(out)["findings"] == []


def test_another_profile(tmp_path, capsys):
    kernel = write_kernel(tmp_path, "import telnetlib\nprint(telnetlib)\n")
    assert _run(capsys, kernel)[0] == 0
    code, out, _ = _run(capsys, kernel, "--profile", "kaggle-2026-10-py313")
    assert code == 0
    assert "telnetlib was removed in python 3.13" in out


@pytest.mark.parametrize(
    ("option", "text"),
    [
        (("--profile", "kaggle-1999"), "--profile kaggle-1999: unknown; the known"),
        (("--ignore", "S99"), "--ignore S99: no such rule; the rules are M01"),
        (("--path", "nowhere"), "--path nowhere: not a folder"),
    ],
)
def test_wrong_options(tmp_path, capsys, option, text):
    kernel = write_kernel(tmp_path, "print(1)\n")
    code, out, err = _run(capsys, kernel, *option)
    assert (code, out) == (2, "")
    assert text in err


def test_a_missing_kernel(tmp_path, capsys):
    code, _, err = _run(capsys, tmp_path / "nothing.py")
    assert code == 2
    assert "nothing.py: cannot be read" in err


def test_a_notebook_as_the_source(tmp_path, capsys):
    folder = write_kernel(tmp_path, "", kernel_type="script", code_file="a.ipynb")
    (folder / "a.ipynb").write_text(json.dumps({"cells": [], "metadata": {}}))
    code, out, err = _run(capsys, folder)
    assert code == 2
    assert "M11 error: kernel_type is 'script' but code_file is a.ipynb" in out
    assert "a notebook cannot be the source" in err


def test_a_notebook_without_a_kernelspec(tmp_path, capsys):
    folder = write_kernel(tmp_path, "", kernel_type="notebook", code_file="a.ipynb")
    (folder / "a.ipynb").write_text(json.dumps({"cells": [], "metadata": {}}))
    assert "M11 error: the notebook has no kernel name" in _run(capsys, folder)[1]
    named = {"cells": [], "metadata": {"kernelspec": {"name": "python3"}}}
    (folder / "a.ipynb").write_text(json.dumps(named))
    assert _run(capsys, folder)[1] == ""


def test_an_empty_kernel(tmp_path, capsys):
    code, _, err = _run(capsys, write_kernel(tmp_path, ""))
    assert code == 2
    assert "empty" in err


def test_nothing_heavy_is_imported(tmp_path):
    kernel = write_kernel(tmp_path, "import torch\nimport pandas as pd\n")
    code = (
        "import sys; from kernel_builder import cli; "
        f"cli.main(['check', {str(kernel)!r}]); "
        "heavy = {'torch', 'pandas', 'numpy', 'kaggle'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "tools",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


# -- silences


def test_ignore_silences_a_rule(tmp_path):
    assert [f.id for f in check(tmp_path, BAD, ignore=["S05"])] == ["S24"]
    assert check(tmp_path, BAD, ignore=["S05", "S24"]) == []


def test_ignore_takes_several_at_once(tmp_path, capsys):
    kernel = write_kernel(tmp_path, BAD)
    assert _run(capsys, kernel, "--ignore", "S05,S24")[0] == 0


def test_ignore_that_silences_nothing_is_reported(tmp_path):
    (finding,) = check(tmp_path, "print(1)\n", ignore=["S05"])
    assert (finding.id, finding.severity) == ("I01", "warning")
    assert str(finding).startswith("--ignore S05: I01 warning: silences nothing")


def test_the_clients_rules_may_be_ignored_here(tmp_path):
    assert check(tmp_path, "print(1)\n", ignore=["P02"])[0].id == "I01"


@pytest.mark.parametrize(
    "code",
    [
        'requests.get("https://x.org")  # kaggle-kit: ignore[S05]\n',
        'requests.get("https://x.org")  # kaggle-kit: ignore[S24, S05]  # warm-up\n',
        'requests.get("https://x.org")  # noqa: E501  # kaggle-kit:ignore[S05]\n',
        'requests.get(\n    "https://x.org",\n)  # kaggle-kit: ignore[S05]\n',
        'page = requests.get(  # kaggle-kit: ignore[S05]\n    "https://x.org",\n)\n',
    ],
)
def test_a_comment_on_the_line(tmp_path, code):
    found = check(tmp_path, "import requests\n" + code)
    assert [f.id for f in found] in ([], ["I01"])
    assert all("S24" in f.message for f in found)


def test_a_comment_silences_its_own_line_alone(tmp_path):
    code = """
        import requests
        requests.get("https://x.org")  # kaggle-kit: ignore[S05]
        requests.get("https://x.org")
        """
    assert [(f.id, f.line) for f in check(tmp_path, code)] == [("S05", 3)]


def test_a_comment_that_silences_nothing_is_reported(tmp_path):
    code = "x = 1\ny = 2  # kaggle-kit: ignore[S05]\n"
    (finding,) = check(tmp_path, code)
    assert (finding.id, finding.severity, finding.line) == ("I01", "warning", 2)
    assert "S05 finds nothing here" in finding.message


def test_a_comment_without_an_id_is_reported(tmp_path):
    (finding,) = check(tmp_path, "x = 1  # kaggle-kit: ignore\n")
    assert "names no rule" in finding.message


def test_a_comment_in_a_text_is_none(tmp_path):
    assert check(tmp_path, 'X = "# kaggle-kit: ignore[S05]"\n') == []


def test_a_comment_in_a_module(tmp_path):
    files = {"mine.py": 'ROOT = "/home/me"  # kaggle-kit: ignore[S07]\n'}
    assert check(tmp_path, "from mine import ROOT\nprint(ROOT)\n", files=files) == []


def test_a_magic_can_be_silenced_although_nothing_parses(tmp_path):
    code = "!ls  # kaggle-kit: ignore[S01]\n"
    assert [f.id for f in check(tmp_path, code)] in ([], ["I01"])


# -- what is checked


def test_definitions_that_the_flat_form_leaves_out_do_not_count(tmp_path):
    files = {
        "mine.py": """
            import requests

            def fetch():
                return requests.get("https://example.org")

            def add(a, b):
                return a + b
            """
    }
    assert (
        check(tmp_path, "from mine import add\nprint(add(1, 2))\n", files=files) == []
    )


def test_definitions_that_are_reached_count(tmp_path):
    files = {
        "mine.py": """
            import requests

            def fetch():
                return requests.get("https://example.org")
            """
    }
    found = check(tmp_path, "from mine import fetch\nfetch()\n", files=files)
    assert [(f.id, Path(f.path).name, f.line) for f in found] == [("S05", "mine.py", 4)]


def test_the_kits_own_modules_have_nothing_to_hide(tmp_path):
    names = sorted(path.stem for path in (ROOT / "kaggle_kit").glob("[a-z]*.py"))
    assert len(names) > 20
    code = "\n".join(f"import kaggle_kit.{name}" for name in names) + "\n"
    assert [str(finding) for finding in check(tmp_path, code)] == []
    owned = load_project(tmp_path, paths=[ROOT])
    assert owned.named == {}
    assert [str(finding) for finding in run_checks(owned)] == []


@pytest.mark.parametrize("kernel", sorted(ROOT.glob("kernels/*/kernel-metadata.json")))
def test_the_repositorys_own_kernels_are_sound(kernel):
    found = run_checks(load_project(kernel.parent))
    assert [str(finding) for finding in found] == []


def test_stop_on_errors_lists_them(tmp_path):
    kernel = write_kernel(tmp_path, BAD)
    project, profile = load_project(kernel), load_profile()
    findings = run_checks(project, profile=profile)
    with pytest.raises(CheckFailed, match=r"S05 error: network call(?s:.)*1 error and"):
        stop_on_errors(project, profile, findings)
    stop_on_errors(project, profile, [f for f in findings if f.severity == "warning"])


def test_unknown_rules_are_refused(tmp_path):
    with pytest.raises(UsageError, match="--ignore X1: no such rule"):
        check(tmp_path, "print(1)\n", ignore=["X1"])


def test_the_metadata_of_the_tests_is_sound(tmp_path):
    assert check(tmp_path, "print(1)\n") == []
    assert METADATA["id"] == "tester/my-kernel"


def test_a_rehearsal_says_what_check_finds(tmp_path):
    project = load_project(write_kernel(tmp_path, BAD))
    said = []
    options = rehearsal.RehearsalOptions(echo=said.append)
    args = argparse.Namespace(profile="none", kernel_type=None, form="auto")
    rehearsal._tell_findings(project, args, options)
    assert [line.split(": ")[2] for line in said] == ["S05 error", "S24 warning"]
