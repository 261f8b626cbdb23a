import base64
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stand_in.fixtures import OLDEST, Desk
from stand_in.safety import DEAD_PROXY, KEY, safe_environment
from stand_in.server import StandIn

from kernel_builder.errors import UsageError
from kernel_builder.remote.client import CallError, KaggleClient, seconds_of
from kernel_builder.remote.client_setup import client_environment, find_client_python
from kernel_builder.remote.redaction import known_secrets, redact

TOKEN = "KGAT_" + "a1" * 16


def test_the_client_tells_who_it_is(desk: Desk):
    with desk.client() as client:
        who = client.call("whoami")
    assert who["username"] == "tester"
    assert who["method"] == "LEGACY_API_KEY"


def test_a_hung_call_is_killed_and_the_next_one_answered(desk: Desk, kaggle: StandIn):
    kaggle.fail("GetAcceleratorQuotaStatistics", hang=60)
    with desk.client() as client:
        client.call("whoami")
        with pytest.raises(CallError, match=r"no answer within 0\.5 s") as caught:
            client.call("quota", timeout=0.5)
        assert caught.value.kind == "timeout"
        assert caught.value.maybe_done
        assert client.call("quota")["gpu_quota"]["allowed"] == 108000.0


def test_the_client_ends_with_the_tool_even_in_a_hung_call(desk: Desk, kaggle: StandIn):
    kaggle.fail("GetAcceleratorQuotaStatistics", hang=60)
    script = (
        "import sys\nfrom kernel_builder.remote.client import KaggleClient\n"
        "client = KaggleClient()\nclient._start()\n"
        "print(client._process.pid, flush=True)\nclient.call('quota')\n"
    )
    tools = str(Path(__file__).parents[3] / "tools")
    env = {**desk.env, "PYTHONPATH": os.pathsep.join([tools, desk.env["PYTHONPATH"]])}
    tool = subprocess.Popen(
        [sys.executable, "-c", script], env=env, stdout=subprocess.PIPE, text=True
    )
    assert tool.stdout is not None
    driver = int(tool.stdout.readline())
    while not kaggle.asked("GetAcceleratorQuotaStatistics"):
        time.sleep(0.02)
    tool.kill()
    tool.wait()
    tool.stdout.close()
    end = time.monotonic() + 10
    while Path(f"/proc/{driver}").exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert not Path(f"/proc/{driver}").exists()


def test_no_credentials_is_an_error_and_not_a_help_text(desk: Desk, kaggle: StandIn):
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY"):
        del desk.env[name]
    with desk.client() as client, pytest.raises(CallError, match="no Kaggle cred") as e:
        client.call("whoami")
    assert e.value.kind == "credentials"
    assert kaggle.requests == []


def test_a_token_is_introspected_and_sent(desk: Desk, kaggle: StandIn):
    kaggle.tokens[TOKEN] = "tokenuser"
    desk.env["KAGGLE_API_TOKEN"] = TOKEN
    with desk.client() as client:
        assert client.call("whoami")["username"] == "tokenuser"
        client.call("quota")


def test_a_refused_token_that_hides_the_key_is_named(desk: Desk, kaggle: StandIn):
    """The client chooses the key, and still sends the old token with every call."""
    folder = Path(desk.env["HOME"]) / ".kaggle"
    folder.mkdir()
    (folder / "access_token").write_text(TOKEN)
    with desk.client() as client, pytest.raises(CallError, match="access_token") as e:
        client.call("quota")
    assert e.value.kind == "credentials"
    assert TOKEN not in str(e.value)


def test_a_token_may_be_named_by_its_file(desk: Desk, kaggle: StandIn):
    kaggle.tokens[TOKEN] = "tokenuser"
    path = Path(desk.env["HOME"]) / "my-token"
    path.write_text(TOKEN + "\n")
    desk.env["KAGGLE_API_TOKEN"] = str(path)
    with desk.client() as client:
        assert client.call("whoami")["username"] == "tokenuser"
        assert client.clean(TOKEN) == "[redacted]"


def test_trouble_with_the_token_is_not_taken_for_a_wrong_one(
    desk: Desk, kaggle: StandIn
):
    kaggle.tokens[TOKEN] = "tokenuser"
    desk.env["KAGGLE_API_TOKEN"] = TOKEN
    kaggle.fail("IntrospectToken", status=500, times=2)
    with desk.client() as client:
        with pytest.raises(CallError) as caught:
            client.call("quota")
        assert (caught.value.status, caught.value.passing) == (500, True)
        client.call("quota")


def test_a_server_that_hangs_while_the_client_starts(
    desk: Desk, kaggle: StandIn, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("kernel_builder.remote.client.START_SECONDS", 3.0)
    desk.env["KAGGLE_API_TOKEN"] = TOKEN
    kaggle.fail("IntrospectToken", hang=60, times=9)
    with desk.client(call_timeout=0.5) as client, pytest.raises(CallError) as caught:
        client.call("quota")
    assert caught.value.kind == "timeout"


def test_a_login_that_expired_while_waiting_is_renewed(desk: Desk, kaggle: StandIn):
    """What a login gives lives for 12 hours; a new process of the client renews it."""
    with desk.client() as client:
        client.call("quota")
        body = json.dumps({"code": 401, "message": "expired"})
        kind = "application/json"
        kaggle.fail(
            "GetAcceleratorQuotaStatistics", status=401, body=body, content_type=kind
        )
        assert client.call("quota")["gpu_quota"]["used"] == 3600.0


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_the_http_status_survives_the_client(desk: Desk, kaggle: StandIn, status: int):
    with desk.client() as client:
        body = json.dumps({"code": status, "message": f"because {KEY}"})
        kaggle.fail(
            "GetKernel", status=status, body=body, content_type="application/json"
        )
        with pytest.raises(CallError) as caught:
            client.call("kernel", kernel="tester/my-kernel")
    assert (caught.value.kind, caught.value.status) == ("http", status)
    assert str(caught.value) == "because [redacted]"


def test_both_ends_of_the_supported_clients_do_the_whole_job(
    desk: Desk, kaggle: StandIn, oldest_client: Path
):
    env = desk.env
    env["PYTHONPATH"] = os.pathsep.join([env["PYTHONPATH"], str(oldest_client)])
    desk.write(competition_sources=["digits"])
    desk.write_sample()
    kaggle.add_version("tester/my-kernel")
    with desk.client() as client:
        assert client.call("whoami")["version"] == OLDEST
    tool = desk.start("push", str(desk.kernel), "--wait", "--poll", "0.05", "--force")
    out, _ = tool.communicate(timeout=60)
    assert tool.returncode == 0, out
    assert (desk.runs / "v2" / "submission.csv").exists()
    # The command line of 2.2.4 drops the version without a word; this tool does not.
    assert kaggle.asked("GetKernelSessionStatus")[-1]["versionLabel"] == "v2"
    tool = desk.start("submit", str(desk.kernel), "-m", "first", "--poll", "0.05")
    out, _ = tool.communicate(timeout=60)
    assert tool.returncode == 0, out
    assert "public score 0.98765" in out


def test_the_client_s_own_command_line_sends_and_fetches_the_same(
    desk: Desk, kaggle: StandIn
):
    desk.write(
        enable_gpu=True,
        machine_shape="NvidiaTeslaT4",
        keywords=["gpu"],
        competition_sources=["digits"],
        dataset_sources=["a/words"],
        kernel_sources=["tester/other"],
        model_sources=["google/gemma/pytorch/2b/1"],
    )
    kaggle.page_size = 1
    result = desk.push("--no-check", "--time-limit", "10")
    assert result.code == 0, result.text
    (folder,) = (desk.folder / "out" / "pushed" / "my-kernel").iterdir()
    theirs = desk.folder / "theirs"
    for command in (
        ["push", "-p", str(folder), "-t", "600"],
        ["output", "tester/my-kernel/1", "-p", str(theirs), "--force"],
    ):
        line = [sys.executable, "-m", "kaggle", "kernels", *command]
        subprocess.run(line, env=desk.env, check=True, capture_output=True)
    first, second = kaggle.asked("SaveKernel")
    assert first == second
    for path in theirs.iterdir():
        if path.suffix != ".log":
            assert (desk.runs / "v1" / path.name).read_bytes() == path.read_bytes()
    assert (theirs / "submission.csv").exists()


def test_stray_variables_are_kept_from_the_client():
    env = client_environment(
        {
            "KAGGLE_PATH": "/x",
            "KAGGLE_KERNEL_RUN_TYPE": "Batch",
            "KAGGLE_DATA_PROXY_URL": "http://x",
            "KAGGLE_KIT_INPUT": "/y",
            "KAGGLE_KEY": "kept",
            "PATH": "/bin",
        }
    )
    assert {n for n in env if n.startswith("KAGGLE_")} == {"KAGGLE_KEY"}
    assert env["PATH"] == "/bin"


@pytest.mark.parametrize("value", ["TEST", "localhost", "QA"])
def test_an_environment_that_the_client_would_ignore_is_refused(value: str):
    with pytest.raises(UsageError, match="would talk to the real Kaggle"):
        client_environment({"KAGGLE_API_ENVIRONMENT": value})


def test_the_client_s_python_is_found_by_its_command(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="not installed: pip install"):
        find_client_python(None, {"PATH": str(tmp_path)})
    command = tmp_path / "kaggle"
    command.write_text(f"#!{sys.executable}\nimport kaggle\n")
    command.chmod(0o755)
    assert find_client_python(None, {"PATH": str(tmp_path)}) == sys.executable
    with pytest.raises(UsageError, match="there is no such program"):
        find_client_python("no-such-python", {"PATH": str(tmp_path)})


def test_a_python_without_the_client_is_told_how_to_get_it(desk: Desk):
    bare = [sys.executable, "-m", "venv", "--without-pip", str(desk.folder / "bare")]
    subprocess.run(bare, check=True)
    python = str(desk.folder / "bare" / "bin" / "python")
    result = desk.run("push", "--client-python", python)
    assert result.code == 2
    assert "cannot be imported: No module named 'kaggle'" in result.err
    assert "six" in result.err


def test_a_client_that_dies_is_quoted(desk: Desk):
    broken = desk.folder / "broken"
    broken.write_text("#!/bin/sh\necho 'unknown option -P' >&2\nexit 2\n")
    broken.chmod(0o755)
    with (
        KaggleClient(str(broken), env=desk.env) as client,
        pytest.raises(CallError, match=r"exit code 2\): unknown option -P"),
    ):
        client.call("whoami")


def test_a_server_that_is_not_there_is_a_network_failure(desk: Desk):
    desk.env |= {"http_proxy": DEAD_PROXY, "HTTP_PROXY": DEAD_PROXY}
    tool = desk.start("push", str(desk.kernel), "--poll", "0.05")
    out, _ = tool.communicate(timeout=60)
    assert tool.returncode == 8, out
    assert "asking again" in out


def test_retry_after_in_both_forms():
    assert seconds_of("7") == 7.0
    assert seconds_of(None) is None
    assert seconds_of("soon") is None
    assert seconds_of("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    later = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 100))
    assert 95 < (seconds_of(later) or 0) < 101


def test_secrets_are_found_wherever_the_client_finds_them(tmp_path: Path):
    kaggle = tmp_path / ".kaggle"
    kaggle.mkdir()
    (kaggle / "access_token").write_text("token-in-a-file\n")
    (kaggle / "kaggle.json").write_text(
        json.dumps({"username": "u", "key": "legacykey"})
    )
    (kaggle / "credentials.json").write_text(json.dumps({"refresh_token": "refresher"}))
    env = {"HOME": str(tmp_path), "KAGGLE_API_TOKEN": "token-in-env", "KAGGLE_KEY": "k"}
    secrets = known_secrets(env)
    basic = base64.b64encode(b"u:legacykey").decode()
    assert {"token-in-a-file", "legacykey", "refresher", "token-in-env"} < secrets
    assert basic in secrets
    assert "k" not in secrets
    text = f"Authorization: Basic {basic} and legacykey"
    assert redact(text, secrets) == "Authorization: Basic [redacted] and [redacted]"


def test_what_looks_like_a_credential_is_redacted_too():
    link = "https://me:pass@host/f?X-Goog-Signature=abc&x=1"
    text = f"{TOKEN} {link} Bearer abcdef0123456789"
    assert redact(text, ()) == (
        "[redacted] https://me:[redacted]@host/f?X-Goog-Signature=[redacted]&x=1 "
        "Bearer [redacted]"
    )
    plain = "a basic understanding of the bearer of good news, token=3 epochs"
    assert redact(plain, ()) == plain


class TestNothingReachesARealHost:
    """Each wall of `safe_environment` is taken down; the others hold."""

    ASK = "import kaggle, sys; kaggle.api.quota_view()"

    def run(self, env: dict[str, str], code: str = ASK) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-c", code],
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @pytest.mark.parametrize("setting", [None, "TEST", "PROD", "nonsense"])
    def test_with_a_wrong_environment_tls_ends_at_a_dead_port(
        self, kaggle: StandIn, tmp_path: Path, setting: str | None
    ):
        env = safe_environment(kaggle.port, tmp_path)
        del env["KAGGLE_API_ENVIRONMENT"]
        if setting is not None:
            env["KAGGLE_API_ENVIRONMENT"] = setting
        done = self.run(env)
        assert done.returncode == 1
        assert "ProxyError" in done.stderr
        assert kaggle.requests == kaggle.strangers == []

    def test_without_proxies_the_guard_ends_the_process(
        self, kaggle: StandIn, tmp_path: Path
    ):
        env = safe_environment(kaggle.port, tmp_path)
        del env["KAGGLE_API_ENVIRONMENT"]
        env = {n: v for n, v in env.items() if "proxy" not in n.lower()}
        done = self.run(env)
        assert done.returncode == 97
        log = Path(env["KK_GUARD_LOG"]).read_text()
        assert log.startswith("socket.getaddrinfo api.kaggle.com")

    def test_with_no_proxy_for_localhost_it_is_still_this_machine(
        self, kaggle: StandIn, tmp_path: Path
    ):
        env = {**safe_environment(kaggle.port, tmp_path), "no_proxy": "localhost"}
        done = self.run(env)
        assert done.returncode == 1
        assert "Connection refused" in done.stderr

    def test_an_address_is_refused_like_a_name(self, kaggle: StandIn, tmp_path: Path):
        env = safe_environment(kaggle.port, tmp_path)
        code = "import socket; socket.create_connection(('192.0.2.1', 80), 1)"
        assert self.run(env, code).returncode == 97

    def test_the_tool_s_own_client_runs_behind_the_guard(
        self, kaggle: StandIn, tmp_path: Path
    ):
        env = safe_environment(kaggle.port, tmp_path)
        env = {n: v for n, v in env.items() if "proxy" not in n.lower()}
        env["KAGGLE_API_ENVIRONMENT"] = "PROD"
        with KaggleClient(env=env) as client, pytest.raises(CallError, match="code 97"):
            client.call("quota")
