"""Fixtures: a pretended Kaggle, and a desk with the tool pointed at it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import pytest

from kernel_builder import cli
from kernel_builder.remote import shared
from kernel_builder.remote.client import KaggleClient
from stand_in.safety import safe_environment
from stand_in.server import Server, StandIn

AS_STARTED = dict(os.environ)
OLDEST = "2.2.4"
OLDEST_SDK = "0.1.37"
METADATA = {
    "id": "tester/my-kernel",
    "title": "My Kernel",
    "code_file": "kernel.py",
    "language": "python",
    "kernel_type": "script",
    "is_private": True,
    "enable_gpu": False,
    "enable_internet": False,
}
GOOD = """\
from pathlib import Path

print("validation accuracy 0.97")
Path("submission.csv").write_text("id,label\\n1,7\\n2,3\\n")
"""
SAMPLE = "id,label\n1,0\n2,0\n"


@dataclass
class Result:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


@dataclass
class Desk:
    """A folder with one kernel, and an environment that reaches the stand-in alone."""

    folder: Path
    env: dict[str, str]
    capture: pytest.CaptureFixture[str]
    options: list[str] = field(default_factory=lambda: ["--poll", "0.05"])

    @property
    def kernel(self) -> Path:
        return self.folder / "kernels" / "my-kernel"

    def write(self, source: str = GOOD, **metadata: object) -> None:
        """Write the kernel; `metadata` is added to a sound one."""
        self.kernel.mkdir(parents=True, exist_ok=True)
        (self.kernel / "kernel.py").write_text(source, encoding="utf-8")
        text = json.dumps({**METADATA, **metadata})
        (self.kernel / "kernel-metadata.json").write_text(text, encoding="utf-8")

    def write_sample(self, competition: str = "digits", text: str = SAMPLE) -> None:
        """Have the competition's data beside the kernel."""
        folder = self.folder / "input" / "competitions" / competition
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "sample_submission.csv").write_text(text, encoding="utf-8")

    def run(self, command: str, *args: str) -> Result:
        """Run the tool in this process; its client runs in another one."""
        self.capture.readouterr()
        live = ["--no-live"] if command in ("push", "wait", "logs", "fetch") else []
        options = [] if command == "runs" else self.options
        kernel = [] if command in ("runs", "doctor") else [str(self.kernel)]
        code = cli.main([command, *kernel, *options, *live, *args])
        out, err = self.capture.readouterr()
        return Result(code, out, err)

    def push(self, *args: str) -> Result:
        return self.run("push", "--wait", *args)

    def start(self, *args: str) -> subprocess.Popen[str]:
        """Start the tool as a program of its own, to kill it."""
        tool = Path(__file__).parents[2] / "tools" / "build_kernel.py"
        return subprocess.Popen(
            [sys.executable, str(tool), *args],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def client(self, **options: object) -> KaggleClient:
        return KaggleClient(env=self.env, **options)

    @property
    def runs(self) -> Path:
        return self.folder / "out" / "runs" / "my-kernel"

    @property
    def record(self) -> list[dict]:
        path = self.folder / "kaggle-runs.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]


class KeptClient(KaggleClient):
    """A client whose process serves the next command too: starting one takes long."""

    idle: ClassVar[list["KeptClient"]] = []

    def __new__(cls, python: str | None, call_timeout: float) -> "KeptClient":
        if cls.idle and python is None:
            return cls.idle.pop()
        return super().__new__(cls)

    def __init__(self, python: str | None, call_timeout: float) -> None:
        if not hasattr(self, "python"):
            super().__init__(python, call_timeout)
            self.kept = python is None
        self.call_timeout = call_timeout
        self.notes = []

    def __exit__(self, *_: object) -> None:
        if self.kept and self._process is not None:
            self.idle.append(self)
        else:
            self.close()


def json_fault(status: int, message: str, **more: object) -> dict:
    """An answer of the pretended Kaggle: this status with its message as JSON."""
    body = json.dumps({"code": status, "message": message})
    return {"status": status, "body": body, "content_type": "application/json", **more}


@pytest.fixture(scope="session")
def site() -> Iterator[Server]:
    """One port for all tests of a worker, so that clients can be kept."""
    server = Server()
    yield server
    for client in KeptClient.idle:
        client.close()
    server.shutdown()
    server.server_close()


@pytest.fixture
def kaggle(site: Server) -> Iterator[StandIn]:
    with StandIn(site) as server:
        yield server
        assert server.strangers == [], "somebody asked for a host that is not here"


@pytest.fixture
def fresh_clients() -> bool:
    """Whether every command starts a client of its own; a test may override it."""
    return False


@pytest.fixture
def client_folders() -> tuple[Path, ...]:
    """Folders of another client than the installed one; a test may override it."""
    return ()


@pytest.fixture
def desk(
    kaggle: StandIn,
    client_folders: tuple[Path, ...],
    fresh_clients: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Desk]:
    if find_spec("kaggle") is None:
        pytest.skip("the Kaggle client is not installed: `make install` does it")
    env = safe_environment(kaggle.port, tmp_path / "home", *client_folders)
    for name in [name for name in os.environ if name not in env]:
        monkeypatch.delenv(name)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    if not (client_folders or fresh_clients):
        monkeypatch.setattr(shared, "KaggleClient", KeptClient)
    folder = tmp_path / "repository"
    (folder / ".git").mkdir(parents=True)
    monkeypatch.chdir(folder)
    desk = Desk(folder, env, capsys)
    desk.write()
    yield desk
    assert not Path(env["KK_GUARD_LOG"]).exists(), Path(env["KK_GUARD_LOG"]).read_text()


@pytest.fixture(scope="session")
def oldest_client(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with the oldest supported client, installed once and kept."""
    cache = getattr(pytestconfig, "cache", None)
    kept = cache.mkdir("kaggle_client") if cache else tmp_path_factory.mktemp("client")
    folder = Path(kept) / OLDEST
    if not folder.exists():
        fresh = folder.with_name(f"{OLDEST}-{os.getpid()}")
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"),
                *("--target", str(fresh)),
                *(f"kaggle=={OLDEST}", f"kagglesdk=={OLDEST_SDK}"),
            ],
            # Not the environment of a test that asks: there is no way out of that.
            env=AS_STARTED,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            pytest.skip(f"pip cannot install kaggle {OLDEST}: {done.stderr[-300:]}")
        try:
            fresh.rename(folder)
        except OSError:  # another worker was quicker
            shutil.rmtree(fresh, ignore_errors=True)
    return folder
