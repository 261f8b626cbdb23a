import subprocess
import sys
from pathlib import Path

import pytest

from kernel_builder import __version__, cli
from kernel_builder.cli import COMMANDS, main
from kernel_builder.emit import build
from kernel_builder.errors import ToolError, UsageError

TOOL = Path(__file__).parents[2] / "tools" / "build_kernel.py"


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 0
    said = capsys.readouterr().out
    assert all(f"  {name} " in said for name in COMMANDS)


def test_version(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize(
    "arguments", [["bild"], ["build"], ["build", "a", "--form", "x"]]
)
def test_wrong_arguments_exit_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert f"kaggle-kit {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ToolError("no"), 1, "error: no\n"),
        (UsageError("bad"), 2, "error: bad\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (PermissionError(13, "denied", "f"), 1, "error: [Errno 13] denied: 'f'\n"),
    ],
)
def test_errors_are_messages_with_exit_codes(error, code, said, monkeypatch, capsys):
    def fail(args):
        raise error

    monkeypatch.setattr(build, "run", fail)
    assert main(["build", "k.py"]) == code
    assert capsys.readouterr().err == said
    with pytest.raises(type(error)):
        main(["build", "k.py", "--debug"])


def test_a_bare_checkout_runs_with_the_standard_library_alone(tmp_path):
    (tmp_path / "kernel.py").write_text("print('hello')\n")
    command = [sys.executable, "-I", "-S", str(TOOL), "build", "kernel.py"]
    # -I drops the script's folder from sys.path; say where the tool lies instead.
    code = (
        f"import sys; sys.path.insert(0, {str(TOOL.parent)!r}); "
        "from kernel_builder.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command[3:4] = ["-c", code]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "built out/build/kernel/kernel.py (flat form, script)"
    )


def test_a_reader_that_stops_listening_is_no_crash(monkeypatch):
    def fail(args):
        raise BrokenPipeError

    class Closed:
        def close(self):
            pass

    monkeypatch.setattr(build, "run", fail)
    monkeypatch.setattr(cli.sys, "stderr", Closed())
    assert main(["build", "k.py"]) == 1


@pytest.mark.parametrize(
    ("kernel", "code", "out", "err"),
    [("kernel.py", 0, "built out/build/kernel/kernel.py", ""), ("no.py", 2, "", "no.")],
)
def test_a_process_that_ends_at_once_loses_no_output(kernel, code, out, err, tmp_path):
    (tmp_path / "kernel.py").write_text("print('hello')\n")
    command = [sys.executable, str(TOOL), "build", kernel]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert out in done.stdout
    assert err in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_output_that_cannot_be_written_is_a_failure(tmp_path):
    (tmp_path / "kernel.py").write_text("print('hello')\n")
    command = [sys.executable, str(TOOL), "build", "kernel.py"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode in (1, 120)  # the latter: Python, at its end
    assert b"No space left" in done.stderr
