import json
import time
from pathlib import Path

import pytest
from stand_in.fixtures import Desk
from stand_in.safety import KEY
from stand_in.server import StandIn


@pytest.fixture
def fresh_clients() -> bool:
    return True


def test_all_is_well(desk: Desk, kaggle: StandIn):
    desk.write(competition_sources=["digits"], dataset_sources=["a/words"])
    result = desk.run("doctor", str(desk.kernel))
    assert result.code == 0, result.text
    assert "kaggle 2.2." in result.out
    assert "user tester by legacy_api_key" in result.out
    assert "credential that wins: KAGGLE_USERNAME and KAGGLE_KEY" in result.out
    assert "the clock agrees with Kaggle's" in result.out
    assert "GPU used 1 h 00 min of 30 h 00 min" in result.out
    assert "competition digits: joined (file submissions)" in result.out
    assert "dataset a/words: ready" in result.out
    assert KEY not in result.text
    assert kaggle.asked("SaveKernel") == []


def test_no_credentials_come_with_the_fix(desk: Desk, monkeypatch):
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY"):
        monkeypatch.delenv(name)
    result = desk.run("doctor")
    assert result.code == 10
    assert "no Kaggle credentials" in result.out
    assert "Settings > API" in result.out


def test_credentials_that_hide_others_and_loose_modes(desk: Desk, kaggle: StandIn):
    home = Path(desk.env["HOME"])
    tokens, config = home / ".kaggle", home / ".config" / "kaggle"
    tokens.mkdir()
    config.mkdir(parents=True)
    kaggle.tokens["token-of-tester"] = "tester"
    (tokens / "access_token").write_text("token-of-tester")
    (tokens / "access_token").chmod(0o644)
    (config / "kaggle.json").write_text(json.dumps({"username": "a", "key": "b"}))
    result = desk.run("doctor")
    assert result.code == 0, result.text
    assert f"credential that wins: {tokens / 'access_token'}" in result.out
    assert "never reached: KAGGLE_USERNAME and KAGGLE_KEY" in result.out
    assert f"chmod 600 {tokens / 'access_token'}" in result.out
    assert f"{config / 'kaggle.json'} is not read because" in result.out
    assert "user tester by access_token" in result.out
    assert "token-of-tester" not in result.text


def test_a_key_that_kaggle_refuses(desk: Desk, kaggle: StandIn):
    kaggle.keys.clear()
    result = desk.run("doctor")
    assert result.code == 10
    assert "does not accept the credentials" in result.out


def test_rules_and_names_that_are_wrong(desk: Desk, kaggle: StandIn):
    desk.write(competition_sources=["digits"], dataset_sources=["a/words"])
    kaggle.answers["GetCompetition"] = {"ref": "digits", "userHasEntered": False}
    kaggle.answers["GetDatasetStatus"] = {"status": "BLOBS_RECEIVED"}
    result = desk.run("doctor", str(desk.kernel))
    assert result.code == 5
    assert "digits: rules not accepted" in result.out
    assert "https://www.kaggle.com/competitions/digits/rules" in result.out
    assert "dataset a/words: blobs_received" in result.out


def test_a_clock_that_is_off(desk: Desk, kaggle: StandIn):
    kaggle.now = time.time() - 3600
    result = desk.run("doctor")
    assert "clock is 1 h 00 min off" in result.out


def test_stray_variables_and_a_silent_server(desk: Desk, kaggle: StandIn, monkeypatch):
    monkeypatch.setenv("KAGGLE_PATH", "/somewhere")
    kaggle.fail("GetAcceleratorQuotaStatistics", hang=30)
    result = desk.run("doctor", "--call-timeout", "1")
    assert result.code == 7
    assert "KAGGLE_PATH is set" in result.out


def test_offline_sends_nothing(desk: Desk, kaggle: StandIn):
    assert desk.run("doctor", "--offline").code == 0
    assert kaggle.requests == kaggle.gets == []


def test_a_missing_client_is_named_with_the_fix(desk: Desk):
    result = desk.run("doctor", "--client-python", "no-such-python")
    assert result.code == 2
    assert "there is no such program" in result.out
