import ast
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from small_learner import same_weights, small_learner

from kaggle_kit.checkpoint import load_checkpoint
from kaggle_kit.distributed import Distributed, launch
from kaggle_kit.meters import MeterParts, PassMeter
from kaggle_kit.plots import plot_class_histogram
from kaggle_kit.ranks import any_process, is_main_process, process_count, process_rank
from kaggle_kit.records import Recorder

WORKER = Path(__file__).with_name("distributed_worker.py")
RESUME_WORKER = Path(__file__).with_name("distributed_resume_worker.py")


def run(*command):
    return subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_two_processes_train_as_one_on_the_whole_batch(tmp_path):
    recorder = Recorder()
    worker = runpy.run_path(str(WORKER))
    single = worker["make_learner"](tmp_path, recorder)
    log = []
    single.log = log.append
    worker["fits"](single)
    done = run(WORKER, tmp_path)
    assert done.returncode == 0, done.stderr
    assert log[0].startswith("learning rate: ")
    assert done.stdout.splitlines()[1] == log[0]
    content = load_checkpoint(tmp_path / "model.pt")
    for name, value in single.model.state_dict().items():
        torch.testing.assert_close(content["model"][name], value, rtol=1e-4, atol=1e-5)
    assert len(content["history"]) == 5
    for ours, theirs in zip(single.history, content["history"], strict=True):
        assert list(ours) == list(theirs)
        for name in ours:
            if name != "seconds":
                assert theirs[name] == pytest.approx(ours[name], rel=1e-4), name
    for rank in (0, 1):
        count, losses = (tmp_path / f"rank{rank}.txt").read_text().splitlines()
        assert count == "2 processes"
        assert ast.literal_eval(losses) == pytest.approx(recorder.losses, rel=1e-4)
    assert done.stdout.count("epoch 4/4") == 1
    assert done.stdout.count("below") == 1
    assert float(done.stdout.split()[-1]) == single.history[-1]["right"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the worker kills itself")
def test_two_processes_of_which_one_was_killed_go_on_exactly(tmp_path):
    results = []
    for name, kills in (("whole", [-1]), ("broken", [5, -1])):
        folder = tmp_path / name
        folder.mkdir()
        for kill_at in kills:
            done = run(RESUME_WORKER, folder, kill_at)
            assert (done.returncode == 0) is (kill_at < 0), done.stderr
        results.append(load_checkpoint(folder / "model.pt"))
    assert "resumed from" in done.stdout
    assert "after epoch 1/3" in done.stdout
    whole, broken = results
    assert same_weights(whole["model"], broken["model"])
    losses = [[row["train_loss"] for row in r["history"]] for r in results]
    assert losses[0] == losses[1]
    sums = [(tmp_path / f"whole/rank{rank}.txt").read_text() for rank in (0, 1)]
    assert sums[0] == sums[1]  # both shared the same batches


def test_a_process_that_fails_is_reported(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from kaggle_kit.distributed import launch\n"
        "from kaggle_kit.ranks import process_rank\n"
        "def train():\n"
        "    if process_rank() == 1:\n"
        "        raise OSError('the second process fails')\n"
        "launch(train, 2)\n"
        "print('below')\n"
    )
    done = run(script)
    assert done.returncode == 1
    assert "the second process fails" in done.stderr
    assert "RuntimeError: training in 2 processes failed" in done.stderr
    assert "below" not in done.stdout


def test_the_first_process_hands_over_its_result(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    script = tmp_path / "script.py"
    script.write_text(
        "from kaggle_kit.distributed import launch\n"
        "from kaggle_kit.ranks import process_rank\n"
        "print('result', launch(lambda: {'rank': process_rank(), 'seen': [1.5]}, 2))\n"
        "launch(print, 2)\n"
    )
    done = run(script)
    assert "result {'rank': 0, 'seen': [1.5]}\n" in done.stdout, done.stderr
    assert "launch was called before in this script" in done.stderr
    assert done.returncode == 1
    assert not list(tmp_path.glob("kaggle_kit_*"))


def test_what_cannot_be_handed_over_ends_no_training(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    script = tmp_path / "script.py"
    script.write_text(
        "from kaggle_kit.distributed import launch\n"
        "print('result', launch(lambda: (number for number in [1]), 2))\n"
    )
    done = run(script)
    assert done.returncode == 0, done.stderr
    assert "not handed over, leave it in a file: cannot pickle 'generator'" in (
        done.stdout
    )
    assert "result None\n" in done.stdout
    assert not list(tmp_path.glob("kaggle_kit_*"))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT"])
def test_processes_end_with_the_one_that_launched_them(tmp_path, monkeypatch, name):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    script = tmp_path / "script.py"
    script.write_text(
        "import os, pathlib, time\n"
        "from kaggle_kit.distributed import launch\n"
        "def train():\n"
        f"    pathlib.Path({str(tmp_path)!r}, f'{{os.getpid()}}.pid').touch()\n"
        "    time.sleep(600)\n"
        "launch(train, 2)\n"
    )
    errors = tmp_path / "errors.txt"
    with errors.open("w") as file:
        launcher = subprocess.Popen(
            [sys.executable, script], start_new_session=True, stderr=file
        )
    # kill -9 of it alone; or Ctrl-C, which all of its group get
    number = getattr(signal, name)
    send = os.kill if name == "SIGKILL" else os.killpg
    try:
        wait_until(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
        send(launcher.pid, number)
        assert launcher.wait(120) == -number
    finally:
        launcher.kill()
        launcher.wait()
    pids = [int(path.stem) for path in tmp_path.glob("*.pid")]
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    assert errors.read_text().count("Traceback") == (name == "SIGINT")


def wait_until(true):
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def test_above_the_call_only_the_first_process_draws(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "of a launcher")
    for rank, drawn in (("1", False), ("0", True)):
        monkeypatch.setenv("LOCAL_RANK", rank)
        assert is_main_process() is drawn
        plot_class_histogram(np.array([0, 1, 1]), folder=tmp_path)
        assert bool(list(tmp_path.iterdir())) is drawn


def test_alone_nothing_changes():
    assert (process_rank(), process_count(), is_main_process()) == (0, 1, True)
    assert any_process(True)
    assert not any_process(False)
    assert launch(lambda: "result", n_devices=1) == "result"
    learner = small_learner([Distributed()])
    learner.fit(1)
    assert learner.forward is None


def test_a_notebook_trains_in_one_process(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/ipykernel_launcher"])
    called, log = [], []
    launch(lambda: called.append(1), n_devices=2, log=log.append)
    assert called == [1]
    assert log == ["not a script (ipykernel_launcher): trained in one process"]


def test_meters_of_several_processes_are_put_together():
    meter = PassMeter([])
    zero, one, three = (torch.tensor(v) for v in (0.0, 1.0, 3.0))
    meter.take_parts(
        [
            MeterParts([one, three], [2, 1], [], [], [], True),
            MeterParts([three, zero], [2, 0], [], [], [], True),
        ]
    )
    assert [loss.item() for loss in meter.losses] == [2.0, 3.0]
    assert meter.mean_loss() == pytest.approx((4 * 2.0 + 3.0) / 5)
