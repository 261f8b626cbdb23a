import io
import re
import sys

import pytest
from small_learner import small_data, small_net
from torch import nn

from kaggle_kit.learner import Learner
from kaggle_kit.progress import Progress, clock_text, epoch_line, someone_watches


class Stream(io.StringIO):
    """Output that knows how much of it was flushed."""

    flushed = 0

    def __init__(self, terminal):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal

    def flush(self):
        self.flushed = len(self.getvalue())


def fit_into(monkeypatch, terminal, callbacks=(), seconds=0.0):
    stream = Stream(terminal)
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr("kaggle_kit.progress._BAR_SECONDS", seconds)
    learner = Learner(
        small_net(),
        small_data(),
        nn.CrossEntropyLoss(),
        callbacks=callbacks,
        device="cpu",
    )
    learner.fit(2)
    return stream


def test_a_file_gets_one_flushed_line_per_epoch(monkeypatch):
    stream = fit_into(monkeypatch, terminal=False)
    text = stream.getvalue()
    lines = text.splitlines()
    assert len(lines) == 2
    assert "\r" not in text
    assert re.fullmatch(
        r"epoch 1/2  train_loss \d\.\d{4}  valid_loss \d\.\d{4}  \d+\.\ds  0:0\d left",
        lines[0],
    )
    assert re.fullmatch(r"epoch 2/2  .*  \d+\.\ds", lines[1])
    assert stream.flushed == len(text)


def test_a_terminal_gets_a_bar_that_leaves_no_trace(monkeypatch):
    text = fit_into(monkeypatch, terminal=True).getvalue()
    assert "epoch 1/2 train [########................] 1/3  loss" in text
    assert "epoch 2/2 valid [########################] 2/2  loss" in text
    shown = [line.split("\r")[-1] for line in text.split("\n")[:-1]]
    assert [line[:9] for line in shown] == ["epoch 1/2", "epoch 2/2"]
    assert all("#" not in line for line in shown)


def test_the_bar_is_not_drawn_for_every_batch(monkeypatch):
    text = fit_into(monkeypatch, terminal=True, seconds=60.0).getvalue()
    assert text.count("[") <= 1


def test_a_bar_can_be_asked_for_and_without_lengths_counts_batches(monkeypatch):
    stream = Stream(False)
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr("kaggle_kit.progress._BAR_SECONDS", 0.0)

    class Endless:
        def __iter__(self):
            return iter(small_data().train)

    Learner(
        small_net(),
        (Endless(),),
        nn.CrossEntropyLoss(),
        callbacks=[Progress(bar=True)],
        device="cpu",
    ).fit(1)
    assert "epoch 1/1 train 2 batches  loss" in stream.getvalue()


def test_there_is_one_progress_by_default(monkeypatch):
    text = fit_into(monkeypatch, terminal=False, callbacks=[Progress()]).getvalue()
    assert len(text.splitlines()) == 2


def test_kaggle_batch_runs_get_lines_only(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Stream(True))
    monkeypatch.delenv("KAGGLE_KERNEL_RUN_TYPE", raising=False)
    assert someone_watches()
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Batch")
    assert not someone_watches()


def test_a_notebook_is_watched(monkeypatch):
    outstream = type("OutStream", (Stream,), {"__module__": "ipykernel.iostream"})
    monkeypatch.setattr(sys, "stdout", outstream(False))
    monkeypatch.delenv("KAGGLE_KERNEL_RUN_TYPE", raising=False)
    assert someone_watches()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0:00"), (59.6, "1:00"), (3599, "59:59"), (7322, "2:02:02")],
)
def test_clock(seconds, text):
    assert clock_text(seconds) == text


def test_epoch_numbers_are_aligned():
    assert epoch_line(8, 10, {"seconds": 1.0}, 3.0) == "epoch  9/10  1.0s  0:03 left"
