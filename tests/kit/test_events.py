"""Callbacks: which events they see, in which order, and how they cancel."""

import pytest
from small_learner import small_data, small_learner

from kaggle_kit.events import (
    Callback,
    CancelBatch,
    CancelEpoch,
    CancelFit,
    CancelPass,
    CancelStep,
    callback_table,
)


class Spy(Callback):
    """Writes down every event it gets; raises what it is told to, once."""

    def __init__(self, event="", error=None):
        self.seen = []
        self.event, self.error = event, error

    def note(self, name):
        self.seen.append(name)
        if name == self.event and self.error is not None:
            error, self.error = self.error, None
            raise error


for _event in callback_table((), True):
    setattr(Spy, _event, lambda self, learner, name=_event: self.note(name))

TRAIN_BATCH = [
    "before_batch",
    "before_predict",
    "after_predict",
    "before_loss",
    "after_loss",
    "before_backward",
    "after_backward",
    "before_step",
    "after_step",
    "after_batch",
    "cleanup_batch",
]
VALID_BATCH = [*TRAIN_BATCH[:5], "after_batch", "cleanup_batch"]


def one_batch_data():
    return small_data(train=32, valid=32)


def test_events_come_in_the_documented_order():
    spy = Spy()
    small_learner([spy], data=one_batch_data()).fit(1)
    assert spy.seen == [
        "before_fit",
        "before_epoch",
        "before_train",
        *TRAIN_BATCH,
        "after_train",
        "cleanup_train",
        "before_validate",
        *VALID_BATCH,
        "after_validate",
        "cleanup_validate",
        "after_epoch",
        "cleanup_epoch",
        "after_fit",
        "cleanup_fit",
    ]


@pytest.mark.parametrize(
    ("event", "error", "missing", "present"),
    [
        ("before_loss", CancelBatch(), "after_batch", "after_train"),
        ("after_batch", CancelPass(), "after_train", "before_validate"),
        ("before_train", CancelEpoch(), "before_validate", "after_fit"),
        ("after_epoch", CancelFit(), "after_fit", "cleanup_fit"),
        ("before_step", CancelStep(), "after_step", "after_batch"),
        ("after_backward", CancelStep(), "before_step", "after_batch"),
        ("before_batch", CancelBatch(), "before_predict", "after_train"),
        ("before_train", CancelPass(), "after_train", "before_validate"),
        ("before_validate", CancelPass(), "after_validate", "after_epoch"),
        ("before_epoch", CancelEpoch(), "before_train", "after_fit"),
        ("before_fit", CancelFit(), "before_epoch", "cleanup_fit"),
    ],
)
def test_a_cancelled_stage_skips_its_rest_and_is_cleaned_up(
    event, error, missing, present
):
    spy = Spy(event, error)
    train_only = isinstance(error, CancelBatch)
    small_learner([spy], data=one_batch_data()).fit(1, valid=not train_only)
    assert missing not in spy.seen
    assert present in spy.seen
    begun = {name[7:] for name in spy.seen if name.startswith("before_")}
    stages = {"fit", "epoch", "train", "validate", "batch"}
    assert {f"cleanup_{name}" for name in begun & stages} <= set(spy.seen)


def test_a_cancelled_step_keeps_the_gradients_for_the_next_batch():
    spy = Spy("before_step", CancelStep())
    grads = []

    class Look(Callback):
        def before_batch(self, learner):
            grads.append(next(learner.model.parameters()).grad)

    small_learner([spy, Look()], data=small_data(train=64)).fit(1, valid=False)
    assert grads[0] is None
    assert grads[1] is not None


def test_ctrl_c_leaves_history_and_cleans_up():
    class Interrupt(Callback):
        def after_backward(self, learner):
            if learner.epoch == 1:
                raise KeyboardInterrupt

    spy = Spy()
    learner = small_learner([Interrupt(), spy])
    with pytest.raises(KeyboardInterrupt):
        learner.fit(3)
    assert [row["epoch"] for row in learner.history] == [1.0]
    assert spy.seen[-1] == "cleanup_fit"
    assert not learner.model.training
    assert all(p.grad is None for p in learner.model.parameters())
    learner.fit(1)
    assert [row["epoch"] for row in learner.history] == [1.0, 2.0]


def test_callbacks_of_a_fit_last_for_that_fit():
    spy = Spy()
    learner = small_learner(data=one_batch_data())
    learner.fit(1, callbacks=[spy])
    count = len(spy.seen)
    learner.fit(1)
    assert len(spy.seen) == count


def test_callbacks_run_by_order_and_where_they_want():
    calls = []

    class Named(Callback):
        def __init__(self, name, order, in_train=True, in_valid=True):
            self.name, self.order = name, order
            self.in_train, self.in_valid = in_train, in_valid

        def after_batch(self, learner):
            calls.append((self.name, learner.training))

    callbacks = [
        Named("late", 5),
        Named("early", -5, in_valid=False),
        Named("valid", 0, in_train=False),
    ]
    small_learner(callbacks, data=one_batch_data()).fit(1)
    assert calls == [
        ("early", True),
        ("late", True),
        ("valid", False),
        ("late", False),
    ]


def test_a_class_in_place_of_a_callback_is_explained():
    with pytest.raises(TypeError, match=r"write Spy\(\) instead of Spy"):
        small_learner([Spy])
    with pytest.raises(TypeError, match="derive its class from Callback"):
        small_learner([print])
