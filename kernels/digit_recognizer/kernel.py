"""Digit Recognizer: from the pixels in train.csv to a checked submission.csv."""

# %% [markdown]
# # Digit Recognizer
# One small residual network. Nine tenths of the rows train it, one tenth validates it;
# the labels of the test rows are never seen. Every figure and file lands in the output
# folder; run it again and the checkpoint found there is used instead of training.

# %%
from dataclasses import asdict, dataclass
from functools import partial

from torch import nn

from kaggle_kit.augment import RandomAffine
from kaggle_kit.averaging import ModelEma
from kaggle_kit.batches import DeviceBatches
from kaggle_kit.checkpoint import train_or_load
from kaggle_kit.config import override
from kaggle_kit.device import choose_device
from kaggle_kit.evaluate import evaluate_predictions, write_scores
from kaggle_kit.folds import stratified_folds
from kaggle_kit.galleries import plot_top_losses, show_batch, show_images
from kaggle_kit.learner import Learner
from kaggle_kit.metrics import accuracy
from kaggle_kit.models import DigitResNet
from kaggle_kit.optimizers import no_decay_groups
from kaggle_kit.paths import find_input, output_dir
from kaggle_kit.plots import plot_class_histogram, plot_confusion, plot_history
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
    debug: bool = False  # one epoch on 1,000 rows
    force: bool = False  # train even though a checkpoint is there
    seed: int = 42
    n_fold: int = 10
    fold: int = 0  # the fold that validates
    epochs: int = 30
    batch_size: int = 128
    lr: float = 6e-3
    weight_decay: float = 0.01
    label_smoothing: float = 0.05
    ema_decay: float = 0.999


cfg = override(CFG())
seed_everything(cfg.seed)
device = choose_device()
data, out = find_input(cfg.competition, cfg.input), output_dir(cfg.output)
epochs = 1 if cfg.debug else cfg.epochs

# %% [markdown]
# ## The images
# Pixels stay uint8 until they are a batch on the device. Mean and deviation come from
# the training images alone.

# %%
train = read_pixel_csv(data / "train.csv", label="label")
test = read_pixel_csv(data / "test.csv")
n_rows = 1000 if cfg.debug else len(train.images)
images, labels = train.images[:n_rows], train.labels[:n_rows]
valid = stratified_folds(labels, cfg.n_fold, cfg.seed) == cfg.fold
if not valid.any():
    raise ValueError(f"no row is in fold {cfg.fold}; give 0 to {cfg.n_fold - 1}")
mean, std = image_stats(images[~valid])
print(f"{(~valid).sum()} training, {valid.sum()} validation, {len(test.images)} test")
plot_class_histogram(labels, folder=out)
show_images(images, labels, folder=out)

# %% [markdown]
# ## Training
# Rotation, shift, zoom and shear, each image by its own draw; the weights that are
# validated and kept are a moving average. Reported is the last epoch, not the luckiest.

# %%
batches = partial(
    DeviceBatches, batch_size=cfg.batch_size, device=device, mean=mean, std=std
)
warp = RandomAffine(rotate=15, translate=0.12, zoom=0.15, shear=8)
train_batches = batches(
    images[~valid], labels[~valid], augment=warp, shuffle=True, seed=cfg.seed
)
valid_batches = batches(images[valid], labels[valid])
show_batch(train_batches, folder=out)
learner = Learner(
    model=DigitResNet(int(labels.max()) + 1, images.shape[1:], blocks=(2, 2)),
    data=(train_batches, valid_batches),
    loss=nn.CrossEntropyLoss(label_smoothing=cfg.label_smoothing),
    metrics=[accuracy],
    lr=cfg.lr,
    splitter=no_decay_groups,
    callbacks=[
        ModelEma(cfg.ema_decay),
        MixedPrecision(),
        CSVLogger(out / "history.csv"),
    ],
    device=device,
)
unrelated = {"input", "output", "force"}  # these do not change the weights
train_or_load(
    learner,
    out / "digit_recognizer.pth",
    train=lambda: learner.fit_one_cycle(epochs, weight_decay=cfg.weight_decay),
    config={k: v for k, v in asdict(cfg).items() if k not in unrelated},
    force=cfg.force,
)
plot_history(learner.history, folder=out)

# %% [markdown]
# ## Where it errs

# %%
probabilities = learner.get_preds(valid_batches)
evaluation = evaluate_predictions(probabilities, labels[valid])
print("validation:", evaluation.describe())
scores = {"valid_accuracy": evaluation.accuracy, "valid_loss": evaluation.loss}
write_scores(scores, out)
plot_confusion(evaluation, folder=out)
plot_top_losses(images[valid], evaluation, folder=out)

# %% [markdown]
# ## The submission
# Checked against sample_submission.csv before it is written.

# %%
probabilities = learner.get_preds(batches(test.images))
path = write_submission(probabilities.argmax(1), data / "sample_submission.csv", out)
print(f"wrote {path}")
