"""Fashion-MNIST: train on the 60,000, score once on the 10,000, at the last epoch."""

# %% [markdown]
# # Fashion-MNIST
# A small residual network behind a whitening layer, trained for a fixed number of
# epochs. The test images are looked at once, after the last epoch; whoever tries other
# settings sets `valid_rows`, and the last training rows take their place.

# %%
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from kaggle_kit.augment import Compose, HorizontalFlip, RandomCrop
from kaggle_kit.averaging import ModelEma
from kaggle_kit.batches import DeviceBatches
from kaggle_kit.callbacks import BatchTransform
from kaggle_kit.config import override
from kaggle_kit.device import choose_device
from kaggle_kit.erasing import RandomErase
from kaggle_kit.evaluate import evaluate_predictions, write_scores
from kaggle_kit.galleries import plot_top_losses, show_batch
from kaggle_kit.inference import flip_view, identity_view
from kaggle_kit.learner import Learner
from kaggle_kit.losses import MixedTargetLoss
from kaggle_kit.metrics import accuracy
from kaggle_kit.mixing import CutMix
from kaggle_kit.muon import MuonAdamW
from kaggle_kit.optimizers import no_decay_groups
from kaggle_kit.paths import find_dataset, output_dir
from kaggle_kit.plots import plot_confusion, plot_history
from kaggle_kit.precision import MixedPrecision
from kaggle_kit.preprocess import image_stats, read_idx_part
from kaggle_kit.records import CSVLogger
from kaggle_kit.resnets import ResNet
from kaggle_kit.resume import Checkpoint
from kaggle_kit.seeding import seed_everything

CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat")
CLASSES += ("sandal", "shirt", "sneaker", "bag", "ankle boot")


# %%
@dataclass(frozen=True)
class CFG:
    """What can be tried; in a local run any field is an option: `--epochs 20`."""

    dataset: str = "zalando-research/fashionmnist"
    input: str = ""  # folder of the four idx files, where it is not attached
    output: str = ""  # folder for everything that is written
    debug: bool = False  # one epoch on 2,000 rows
    force: bool = False  # begin anew, although a run in the folder could go on
    seed: int = 42
    valid_rows: int = 0  # to choose settings: score on these, leave the test set alone
    epochs: int = 5
    batch_size: int = 256
    lr: float = 1e-2
    muon: bool = True  # False trains by AdamW alone
    last_lr: float = 1e-3  # of the last step; long runs average better at 3e-3
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    ema_decay: float = 0.995
    shift: int = 1  # pixels that an image moves at most, each way
    erase: float = 0.0  # share of the images that lose a patch; long runs need it
    erase_area: float = 0.1  # largest patch, as a share of the image
    cutmix: float = 0.0  # share of the images that get a patch of another one
    widths: tuple[int, ...] = (32, 64, 128, 256)
    blocks: tuple[int, ...] = (1, 1, 2, 2)
    strides: tuple[int, ...] = (1, 2, 2, 2)


cfg = override(CFG())
if min(cfg.lr, cfg.last_lr) <= 0:
    raise ValueError(f"lr is {cfg.lr}, last_lr is {cfg.last_lr}; give rates above 0")
seed_everything(cfg.seed)
device = choose_device()
data = Path(cfg.input) if cfg.input else find_dataset(cfg.dataset)
out = output_dir(cfg.output)
epochs = 1 if cfg.debug else cfg.epochs

# %% [markdown]
# ## The images
# Mean and deviation come from the training images alone.

# %%
images, labels = read_idx_part(data, "train")
if not 0 <= cfg.valid_rows < len(images):
    raise ValueError(f"valid_rows is {cfg.valid_rows}; give 0 to {len(images) - 1}")
if cfg.valid_rows:
    scored, answers = images[-cfg.valid_rows :], labels[-cfg.valid_rows :]
    images, labels = images[: -cfg.valid_rows], labels[: -cfg.valid_rows]
else:
    scored, answers = read_idx_part(data, "t10k")
if cfg.debug:
    images, labels = images[:2000], labels[:2000]
mean, std = image_stats(images)
name = "validation" if cfg.valid_rows else "test"
print(f"{len(images)} training images, {len(scored)} {name} images")

# %% [markdown]
# ## Training
# Each image is shifted and mirrored by its own draw. The first layer is fixed: it makes
# the image patches white, as seen in one batch. A run that was killed goes on from its
# last epoch when it is started again.

# %%
batches = partial(DeviceBatches, device=device, mean=mean, std=std, seed=cfg.seed)
erase = RandomErase(cfg.erase, (0.02, cfg.erase_area))
augment = Compose(RandomCrop(cfg.shift), HorizontalFlip(), erase)
train_batches = batches(
    images,
    labels,
    batch_size=cfg.batch_size,
    augment=augment,
    shuffle=True,
    drop_last=True,
)
scored_batches = batches(scored, answers, batch_size=1000)
cutmix = CutMix(p=cfg.cutmix) if cfg.cutmix else None
show_batch(train_batches, transform=cutmix, class_names=CLASSES, folder=out)
model = ResNet(
    len(CLASSES),
    n_channels=1,
    widths=cfg.widths,
    blocks=cfg.blocks,
    strides=cfg.strides,
    stem="whiten",
    stem_widths=[32],
)
model.stem[0].fit(next(iter(train_batches))[0].cpu())
loss = nn.CrossEntropyLoss(label_smoothing=cfg.label_smoothing, reduction="none")
unrelated = {"input", "output", "force"}  # these do not change the weights
settings = {k: v for k, v in asdict(cfg).items() if k not in unrelated}
learner = Learner(
    model=model,
    data=(train_batches,),
    loss=MixedTargetLoss(loss),
    metrics=[accuracy],
    optimizer=MuonAdamW if cfg.muon else torch.optim.AdamW,
    lr=cfg.lr,
    splitter=no_decay_groups,
    callbacks=[
        *([BatchTransform(cutmix)] if cutmix else []),
        ModelEma(cfg.ema_decay),
        MixedPrecision(),
        CSVLogger(out / "history.csv"),
        Checkpoint(out / "run.pt", settings, force=cfg.force),
    ],
    device=device,
)
learner.fit_one_cycle(
    epochs,
    pct_start=0.2,
    div_factor=10,
    final_div_factor=cfg.lr / 10 / cfg.last_lr,
    weight_decay=cfg.weight_decay,
)
learner.save(out / "fashion_mnist.pth", config=asdict(cfg))
plot_history(learner.history, folder=out)

# %% [markdown]
# ## The score
# Of the last epoch, with and without the mirrored view of each image.

# %%
plain = evaluate_predictions(
    learner.tta([identity_view], scored_batches), answers, class_names=CLASSES
)
flipped = learner.tta([identity_view, flip_view], scored_batches)
scores = {
    f"{name}_accuracy": plain.accuracy,
    f"{name}_loss": plain.loss,
    f"{name}_accuracy_flip_tta": accuracy(flipped, answers),
}
print(f"{name}:", plain.describe())
print(f"{name} with flip TTA: accuracy {scores[f'{name}_accuracy_flip_tta']:.4f}")
write_scores(scores, out)
plot_confusion(plain, folder=out)
plot_top_losses(scored, plain, folder=out)
