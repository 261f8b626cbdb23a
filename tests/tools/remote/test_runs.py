import doctest
import importlib
import json
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel_builder import cli
from kernel_builder.errors import UsageError
from kernel_builder.remote.conclude import read_validation, validation_score
from kernel_builder.remote.kernel_log import log_text, owner_of, parse_log, was_cut
from kernel_builder.remote.runs import (
    FILE_NAME,
    Run,
    find_run,
    git_state,
    new_run_id,
    read_cfg,
    read_runs,
    record_event,
    table,
)


def record_three(root: Path) -> list[str]:
    names = [new_run_id() for _ in range(3)]
    for number, name in enumerate(names):
        record_event(root, name, "push", kernel="me/digits", sha256="ab" * 32)
        record_event(root, name, "pushed", version=number + 1, url="https://x")
    record_event(root, names[0], "scored", public="0.99")
    record_event(root, names[1], "scored", public="0.995")
    record_event(root, names[2], "refused", refused="no")
    return names


def test_a_run_is_the_sum_of_its_events(tmp_path: Path):
    names = record_three(tmp_path)
    runs = read_runs(tmp_path)
    assert [run.run_id for run in runs] == names
    assert [run.state for run in runs] == ["pushed", "pushed", "refused"]
    assert runs[1].public == "0.995"


def test_the_newest_run_that_was_not_refused_is_found(tmp_path: Path):
    names = record_three(tmp_path)
    assert find_run(tmp_path, "me/digits").run_id == names[1]
    assert find_run(tmp_path, "me/digits", version=1).run_id == names[0]
    with pytest.raises(UsageError, match=r"no such push of me/other; .* known: none"):
        find_run(tmp_path, "me/other")
    with pytest.raises(UsageError, match=re.escape(f"{names[2]} (refused)")):
        find_run(tmp_path, "me/digits", names[2])


def test_the_record_is_only_ever_appended_to(tmp_path: Path):
    record_three(tmp_path)
    path = tmp_path / FILE_NAME
    before = path.read_text()
    path.write_text(before + '{"run": "half a li')
    record_event(tmp_path, "x", "push", kernel="me/digits")
    lines = path.read_text().splitlines()
    assert path.read_text().startswith(before)
    assert json.loads(lines[-1])["run"] == "x"
    assert read_runs(tmp_path)[-1].run_id == "x"


def test_unknown_events_and_fields_are_passed_over(tmp_path: Path):
    record_event(tmp_path, "a", "push", kernel="me/digits", colour="green", state="x")
    record_event(tmp_path, "a", "sung", label="tune")
    (run,) = read_runs(tmp_path)
    assert run == Run("a", "me/digits", pushed_at=run.pushed_at)


def test_runs_prints_best_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    record_three(tmp_path)
    assert cli.main(["runs", "--root", str(tmp_path), "--best"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("pushed")
    assert "0.995" in lines[1]
    assert cli.main(["runs", "--root", str(tmp_path), "--lowest"]) == 0
    lowest = capsys.readouterr().out.splitlines()
    assert "0.995" in lowest[2]
    assert lowest[1] != lines[1]
    assert cli.main(["runs", "digits", "--root", str(tmp_path), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["version"] for row in rows] == [1, 2, 3]


def test_without_a_record_runs_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / ".git").mkdir()
    assert cli.main(["runs", "--root", str(tmp_path)]) == 0
    assert "no push is recorded" in capsys.readouterr().out
    assert table([]) == []


def test_records_of_kernels_outside_git_are_found_from_above(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    record_three(tmp_path / "kernels" / "digits")
    assert cli.main(["runs", "--root", str(tmp_path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    inside = tmp_path / "kernels" / "digits" / "deeper"
    inside.mkdir()
    assert cli.main(["runs", "--root", str(inside)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_the_commit_and_whether_it_was_clean(tmp_path: Path):
    assert git_state(tmp_path) == ("", False)
    me = ["-c", "user.name=x", "-c", "user.email=x@x"]
    for command in (["init", "-q"], [*me, "commit", "-qm", "x", "--allow-empty"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    commit, dirty = git_state(tmp_path)
    assert len(commit) == 40
    assert not dirty
    record_three(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").touch()
    assert git_state(tmp_path) == (commit, False)
    (tmp_path / "new.py").touch()
    assert git_state(tmp_path) == (commit, True)


def test_cfg_keeps_literals_only():
    source = (
        "import os\n@d\nclass CFG:\n    a: int = 1\n    b = os.x\n    c = (1, 'x')\n"
    )
    assert read_cfg(source) == {"a": 1, "c": (1, "x")}
    assert read_cfg("def f(:") == {}
    assert read_cfg("class Other:\n    a = 1") == {}


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("validation accuracy 0.9931", 0.9931),
        ("validation: accuracy 0.9950, loss 0.02 (5 of 1000 wrong)", 0.995),
        ("valid_accuracy: 0.5\nvalid_accuracy: 0.75", 0.75),
        ("validation accuracy: 99.5 %", 0.995),
        ("train accuracy 0.9", None),
        ("an invalid score 3", None),
    ],
)
def test_the_last_validation_score_of_a_log(text: str, score: float | None):
    assert read_validation(text) == score


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ('{"valid_loss": 0.1, "valid_accuracy": 0.5}', 0.5),
        ('{"cv_score": 0.7}', 0.7),
        ('{"seconds": 3}', 0.25),
        ("[1, 2]", 0.25),
        ("not JSON", 0.25),
    ],
)
def test_scores_json_goes_before_what_was_printed(
    tmp_path: Path, scores: str, expected: float
):
    (tmp_path / "scores.json").write_text(scores)
    assert validation_score(tmp_path, "validation accuracy 0.25\n") == expected


def test_a_log_in_every_shape():
    raw = '[{"stream_name":"stdout","time":1.5,"data":"a\\n"},{"data":"b"}'
    assert [piece.text for piece in parse_log(raw)] == ["a\n", "b"]
    assert log_text(raw) == "a\nb\n"
    assert log_text('{"data": "one"}\n') == '{"data": "one"}\n'
    assert log_text("") == log_text("[]") == ""
    assert parse_log('[{"time": "soon", "data": 3}]')[0].seconds == 0.0
    assert parse_log('["x", {"data": "y"}]')[0].text == "y"


def test_whose_log_it_is():
    ours = (
        '[{"data": "kaggle-kit run me start\\n"}, {"data": "kaggle-kit run me end\\n"}]'
    )
    assert owner_of(ours, "me") == ("ours", True)
    assert owner_of(ours, "you") == ("another", False)
    assert owner_of('[{"data": "kaggle-kit run me start"}]', "me") == ("ours", False)
    assert owner_of('[{"data": "print(kaggle-kit run me start)"}]', "me")[0] == "nobody"
    unended = (
        '[{"data": "kaggle-kit run me start\\n"}, {"data": "99%kaggle-kit run me end"}]'
    )
    assert owner_of(unended, "me") == ("ours", True)
    source = json.dumps([{"data": 'print("kaggle-kit run me end", flush=True)\n'}])
    assert owner_of(source, "me") == ("nobody", False)
    assert not was_cut(ours)


@given(st.text())
def test_any_text_is_some_log(text: str):
    log_text(text)
    assert owner_of(text, "no such run")[0] != "ours"


@given(st.lists(st.text(min_size=1)), st.data())
def test_a_log_that_was_cut_anywhere_keeps_its_beginning(
    lines: list[str], data: st.DataObject
):
    whole = json.dumps([{"stream_name": "stdout", "data": line} for line in lines])
    at = data.draw(st.integers(0, len(whole)))
    kept = [piece.text for piece in parse_log(whole[:at] or "[")]
    assert kept == lines[: len(kept)]
    assert [piece.text for piece in parse_log(whole)] == lines


@pytest.mark.parametrize(
    "name", ["asking", "conclude", "kernel_log", "retrying", "runs", "redaction"]
)
def test_the_examples_in_docstrings_hold(name: str):
    module = importlib.import_module(f"kernel_builder.remote.{name}")
    result = doctest.testmod(module)
    assert result.failed == 0
