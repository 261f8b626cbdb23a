import csv

import pytest
from small_learner import small_learner

from kaggle_kit.budget import TimeBudget
from kaggle_kit.checkpoint import load_checkpoint
from kaggle_kit.events import Callback
from kaggle_kit.records import CSVLogger, Recorder, write_history
from kaggle_kit.resume import Checkpoint
from kaggle_kit.schedules import Scheduler, anneal_linear
from kaggle_kit.stopping import EarlyStopping


def read(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_the_csv_is_complete_after_every_epoch(tmp_path):
    path = tmp_path / "logs" / "run.csv"
    learner = small_learner([CSVLogger(path)])
    learner.fit(2)
    rows = read(path)
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert list(rows[0]) == list(learner.history[0])
    assert float(rows[1]["valid_loss"]) == learner.history[1]["valid_loss"]
    learner.fit(1, valid=False)
    rows = read(path)
    assert len(rows) == 3
    assert rows[2]["valid_loss"] == ""
    assert [p.name for p in path.parent.iterdir()] == ["run.csv"]


def test_the_epoch_that_ends_a_fit_is_recorded_and_saved_too(tmp_path):
    path = tmp_path / "run.csv"
    small_learner([EarlyStopping(1, min_delta=99.0), CSVLogger(path)]).fit(5)
    assert len(read(path)) == 2
    budget = TimeBudget(1e-3, reserve=0.0, predict_items=0)
    budget.seconds_left = lambda: 1.0 if not budget.ending else 0.0
    budget.ending = False

    class End(Callback):
        def before_validate(self, learner):
            budget.ending = True

    saved = Checkpoint(tmp_path / "run.pt")
    learner = small_learner([budget, End(), CSVLogger(path), saved])
    learner.fit(5)
    assert len(read(path)) == 1
    assert load_checkpoint(tmp_path / "run.pt")["epoch"] == 1


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "run.csv"
    write_history([{"epoch": 1.0, "loss": 0.5}], path)

    def broken(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(path), "replace", broken)
    with pytest.raises(KeyboardInterrupt):
        write_history([{"epoch": 2.0, "loss": 0.25}], path)
    assert path.read_text() == "epoch,loss\n1,0.5\n"
    assert [p.name for p in tmp_path.iterdir()] == ["run.csv"]


def test_rate_and_loss_of_every_step_are_kept():
    recorder = Recorder()
    learner = small_learner([recorder, Scheduler(anneal_linear(1.0, 0.0))])
    learner.fit(2, 0.1)
    assert recorder.rates == pytest.approx([0.1 * (1 - i / 5) for i in range(6)])
    assert len(recorder.losses) == 6
    assert sum(recorder.losses[3:]) / 3 == pytest.approx(
        learner.history[1]["train_loss"], rel=1e-6
    )
