"""Digit Recognizer: five networks, each trained without one fold, answer together."""

# %% [markdown]
# # Digit Recognizer, five folds
# Every network sees four fifths of the rows and is measured on the others, so that each
# training row gets a prediction of a network that never saw it. A fold's file is left
# as soon as the fold ends, and a fold that is there is not trained again.

# %%
import time
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
from torch import nn

from kaggle_kit.augment import RandomAffine
from kaggle_kit.averaging import ModelEma
from kaggle_kit.batches import DeviceBatches
from kaggle_kit.config import override
from kaggle_kit.cross_validation import FoldPredictions, cross_validate
from kaggle_kit.device import choose_device
from kaggle_kit.evaluate import evaluate_predictions, write_scores
from kaggle_kit.folds import stratified_folds
from kaggle_kit.galleries import plot_top_losses, show_batch
from kaggle_kit.inference import affine_view, identity_view
from kaggle_kit.learner import Learner
from kaggle_kit.metrics import accuracy
from kaggle_kit.models import DigitResNet
from kaggle_kit.optimizers import no_decay_groups
from kaggle_kit.paths import find_input, output_dir
from kaggle_kit.plots import plot_confusion, plot_history
from kaggle_kit.precision import MixedPrecision
from kaggle_kit.preprocess import image_stats, read_pixel_csv
from kaggle_kit.records import CSVLogger
from kaggle_kit.seeding import seed_everything
from kaggle_kit.submission import write_submission


# %%
@dataclass(frozen=True)
class CFG:
    """What can be tried; in a local run any field is an option: `--epochs 3`."""

    competition: str = "digit-recognizer"
    input: str = ""  # folder of train.csv, where it is not in a usual place
    output: str = ""  # folder for everything that is written
    debug: bool = False  # one epoch on 1,000 rows, one view
    force: bool = False  # train folds again whose files are there
    hours: float = 11.0  # no fold is begun that would not end by then
    seed: int = 42
    n_fold: int = 5
    epochs: int = 30
    batch_size: int = 128
    lr: float = 6e-3
    weight_decay: float = 0.01
    label_smoothing: float = 0.05
    ema_decay: float = 0.999
    widths: tuple[int, int, int] = (32, 64, 128)
    blocks: tuple[int, int] = (2, 2)


started = time.monotonic()
cfg = override(CFG())
seed_everything(cfg.seed)
device = choose_device()
data, out = find_input(cfg.competition, cfg.input), output_dir(cfg.output)
epochs = 1 if cfg.debug else cfg.epochs

# %% [markdown]
# ## The images
# The test rows are predicted as they are, turned to both sides, smaller and larger.

# %%
train = read_pixel_csv(data / "train.csv", label="label")
test = read_pixel_csv(data / "test.csv")
n_rows = 1000 if cfg.debug else len(train.images)
images, labels = train.images[:n_rows], train.labels[:n_rows]
folds = stratified_folds(labels, cfg.n_fold, cfg.seed)
mean, std = image_stats(images)
batches = partial(
    DeviceBatches, batch_size=cfg.batch_size, device=device, mean=mean, std=std
)
warp = RandomAffine(rotate=15, translate=0.12, zoom=0.15, shear=8)
turned = [affine_view(rotate=degrees) for degrees in (-8, 8)]
zoomed = [affine_view(zoom=factor) for factor in (0.9, 1.1)]
views = [identity_view] if cfg.debug else [identity_view, *turned, *zoomed]
show_batch(batches(images[:40], labels[:40], augment=warp), folder=out)


# %% [markdown]
# ## Training
# The last epoch counts, and its weights are a moving average: nothing is chosen on the
# rows that measure.


# %%
def train_fold(fold: int, train: np.ndarray, valid: np.ndarray) -> FoldPredictions:
    """Train on some rows; predict the others and the test rows."""
    train_batches = batches(
        images[train], labels[train], augment=warp, shuffle=True, seed=cfg.seed + fold
    )
    valid_batches = batches(images[valid], labels[valid])
    learner = Learner(
        model=DigitResNet(
            int(labels.max()) + 1,
            images.shape[1:],
            widths=tuple(cfg.widths),
            blocks=tuple(cfg.blocks),
        ),
        data=(train_batches, valid_batches),
        loss=nn.CrossEntropyLoss(label_smoothing=cfg.label_smoothing),
        metrics=[accuracy],
        lr=cfg.lr,
        splitter=no_decay_groups,
        callbacks=[
            ModelEma(cfg.ema_decay),
            MixedPrecision(),
            CSVLogger(out / f"log_fold{fold}.csv"),
        ],
        device=device,
    )
    learner.fit_one_cycle(epochs, weight_decay=cfg.weight_decay)
    plot_history(learner.history, folder=out, name=f"history_fold{fold}.png")
    return FoldPredictions(
        learner.tta(views, valid_batches),
        learner.tta(views, batches(test.images)),
        learner.model.state_dict(),
        learner.history,
    )


unrelated = {"input", "output", "force", "hours"}  # these do not change the weights
result = cross_validate(
    train_fold,
    folds,
    labels,
    accuracy,
    folder=out,
    name="digits",
    config={k: v for k, v in asdict(cfg).items() if k not in unrelated},
    force=cfg.force,
    seconds=started + cfg.hours * 3600 - time.monotonic(),
)

# %% [markdown]
# ## Where they err
# Out of fold: each row as the one network saw it that was not trained on it.

# %%
measured = np.isin(folds, result.folds)
evaluation = evaluate_predictions(result.oof[measured], labels[measured])
print("out of fold:", evaluation.describe())
write_scores({"oof_accuracy": evaluation.accuracy, "oof_loss": evaluation.loss}, out)
plot_confusion(evaluation, folder=out)
plot_top_losses(images[measured], evaluation, folder=out)

# %% [markdown]
# ## The submission
# The mean of all networks over all views.

# %%
path = write_submission(result.test.argmax(1), data / "sample_submission.csv", out)
print(f"wrote {path}")
