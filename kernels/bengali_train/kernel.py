"""Bengali graphemes, first of two kernels: train, and leave what the second needs."""

# %% [markdown]
# # Bengali graphemes: training
# One network with three heads: grapheme root, vowel and consonant diacritic. The output
# folder gets the weights, `bengali.json` which says how to use them, the out-of-fold
# predictions, a log of every epoch, and plots. Run it again and folds that are there
# are not trained anew, and one that was broken off goes on from its last epoch. Where
# there are several GPUs they train together. `bengali_infer` is attached to this output
# and submits.

# %%
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from kaggle_kit.augment import RandomAffine
from kaggle_kit.batches import DeviceBatches
from kaggle_kit.budget import TimeBudget
from kaggle_kit.callbacks import BatchTransform, GradientClip
from kaggle_kit.component_labels import read_class_map, read_component_labels
from kaggle_kit.component_plots import plot_component_histograms
from kaggle_kit.config import override
from kaggle_kit.cropped_files import iter_cropped_parquet
from kaggle_kit.cross_validation import FoldPredictions, cross_validate
from kaggle_kit.device import choose_device
from kaggle_kit.distributed import Distributed, launch
from kaggle_kit.evaluate import evaluate_predictions, write_scores
from kaggle_kit.folds import stratified_folds
from kaggle_kit.galleries import plot_top_losses, show_batch, show_images
from kaggle_kit.heads import body_and_heads, head_probabilities, make_multi_head
from kaggle_kit.inference import get_preds
from kaggle_kit.learner import Learner
from kaggle_kit.lookahead import over9000
from kaggle_kit.losses import MixedTargetLoss, MultiHeadLoss
from kaggle_kit.manifest import write_manifest
from kaggle_kit.metrics import MultiHeadRecall, hierarchical_macro_recall
from kaggle_kit.mixing import MixUp
from kaggle_kit.paths import find_input, output_dir
from kaggle_kit.plots import plot_confusion, plot_history
from kaggle_kit.precision import MixedPrecision
from kaggle_kit.priors import cross_fit_priors, fit_prior_correction
from kaggle_kit.records import CSVLogger
from kaggle_kit.resume import Checkpoint
from kaggle_kit.seeding import seed_everything
from kaggle_kit.stopping import EarlyStopping


# %%
@dataclass(frozen=True)
class CFG:
    """What can be tried; in a local run any field is an option: `--epochs 3`.

    The values are those of the public starter (board 0.964), which wants a GPU.
    """

    competition: str = "bengaliai-cv19"
    input: str = ""  # folder of train.csv, where it is not in a usual place
    output: str = ""  # folder for everything that is written
    recipe: Literal["auto", "starter", "small"] = "auto"  # small where there is no GPU
    debug: bool = False  # one epoch on 500 images
    force: bool = False  # train even though a fold's file is there
    seed: int = 42
    n_fold: int = 4
    folds: tuple[int, ...] = (0,)  # those to be trained
    hours: float = 11.0  # from now: training ends before, no fold begins too late
    devices: int = 0  # how many train together; 0 for all GPUs, 1 for one
    model: str = "densenet121"
    weights: str = ""  # "owner/slug/densenet121.pth" of an attached dataset
    image_size: int = 128
    mean: float = 0.0692  # of the cropped images, from 0 to 1
    std: float = 0.2052
    epochs: int = 32
    batch_size: int = 128
    lr: tuple[float, float] = (2e-3, 1e-2)  # of the body and of the heads
    weight_decay: tuple[float, float] = (1e-3, 1e-2)
    pct_start: float = 0.0
    dropout: float = 0.5
    mixup: float = 0.4  # 0 for none


# What a CPU core trains on 20,000 images in less than an hour.
SMALL = replace(
    CFG(),
    n_fold=8,
    model="small_resnet",
    image_size=64,
    epochs=30,
    lr=(3e-2, 3e-2),
    weight_decay=(1e-2, 1e-2),
    pct_start=0.3,
    dropout=0.1,
    mixup=0.0,
)

started = time.monotonic()
cfg = override(CFG())
device = choose_device()
if cfg.recipe == "small" or (cfg.recipe == "auto" and device.type == "cpu"):
    print("the small recipe, for a CPU; --recipe starter takes the full one")
    cfg = override(SMALL)
seed_everything(cfg.seed)
data, out = find_input(cfg.competition, cfg.input), output_dir(cfg.output)
epochs = 1 if cfg.debug else cfg.epochs

# %% [markdown]
# ## The images
# Each is cropped to its character and resized as soon as it is read: the originals,
# 6.5 GB of them, never lie in memory together.

# %%
class_map = read_class_map(data / "class_map.csv")
table = read_component_labels(data / "train.csv", class_map)
ids, parts = [], []
files = sorted(data.glob("train_image_data_*.parquet"))
for block in iter_cropped_parquet(files, size=cfg.image_size):
    ids += list(block.ids)
    parts.append(block.images.copy())  # they lie in the memory of the originals
table = table.in_order_of(ids)
n_images = 500 if cfg.debug else len(ids)
images, labels = np.concatenate(parts)[:n_images], table.labels[:n_images]
del parts  # 3 GB in each process
components, sizes = class_map.components, class_map.sizes
plot_component_histograms(table.class_counts(), folder=out)
show_images(images, labels, folder=out)

# %% [markdown]
# ## Training
# Every grapheme goes to all folds alike. Rotation, shift and zoom, then MixUp, each
# image by its own draw; the epoch with the best recall is kept. For several GPUs this
# script is started once more on each, and its share of every batch trains there.

# %%
graphemes = np.ravel_multi_index(tuple(labels.T), sizes)
folds = stratified_folds(graphemes, cfg.n_fold, cfg.seed, rare=True)
batches = partial(
    DeviceBatches,
    batch_size=cfg.batch_size,
    device=device,
    mean=cfg.mean,
    std=cfg.std,
    seed=cfg.seed,
)
warp = RandomAffine(rotate=10, translate=0.06, zoom=0.1, shear=5, p=0.9)
loss = MultiHeadLoss(sizes, weights=(0.7, 0.1, 0.2), reduction="none")
mixup = MixUp(cfg.mixup) if cfg.mixup else None
shown = batches(images[:40], labels[:40], augment=warp)
show_batch(shown, transform=mixup, folder=out)
unrelated = {"input", "output", "force", "folds", "hours", "recipe", "devices"}
settings = {k: v for k, v in asdict(cfg).items() if k not in unrelated}


def train_fold(fold: int, train: np.ndarray, valid: np.ndarray) -> FoldPredictions:
    """Train on some rows and predict the others."""
    full = len(train) >= cfg.batch_size  # a last batch of one would upset BatchNorm
    train_batches = batches(
        images[train], labels[train], augment=warp, shuffle=True, drop_last=full
    )
    valid_batches = batches(images[valid], labels[valid])
    learner = Learner(
        model=make_multi_head(
            cfg.model, sizes, weights=cfg.weights or None, dropout=cfg.dropout
        ),
        data=(train_batches, valid_batches),
        loss=MixedTargetLoss(loss),
        metrics=[MultiHeadRecall(sizes)],
        optimizer=over9000,
        lr=cfg.lr,
        splitter=body_and_heads(cfg.weight_decay),
        callbacks=[
            Distributed(),
            *([BatchTransform(mixup)] if mixup else []),
            MixedPrecision(),
            GradientClip(1.0),
            EarlyStopping(epochs, monitor="recall"),  # never early: for the best
            CSVLogger(out / f"log_fold{fold}.csv"),
            Checkpoint(out / f"run_fold{fold}.pt", settings, force=cfg.force),
            TimeBudget(cfg.hours * 3600, started=started),
        ],
        device=device,
    )
    learner.fit_one_cycle(epochs, pct_start=cfg.pct_start, div_factor=100)
    plot_history(learner.history, folder=out, name=f"history_fold{fold}.png")
    predicted = get_preds(
        learner.model, valid_batches, device, head_probabilities(sizes)
    )
    weights = learner.model.state_dict()
    return FoldPredictions(predicted, weights=weights, history=learner.history)


train_folds = partial(
    cross_validate,
    train_fold,
    folds,
    labels,
    hierarchical_macro_recall,
    folder=out,
    name="bengali",
    config=settings,
    folds=cfg.folds,
    force=cfg.force,
    seconds=started + cfg.hours * 3600 - time.monotonic(),
)
result = launch(train_folds, cfg.devices or None)
for fold in result.folds:
    for kept in out.glob(f"run_fold{fold}.pt*"):
        kept.unlink()  # the fold's own file is there

# %% [markdown]
# ## The prior
# Macro recall weighs rare classes like frequent ones. How strongly to favour them is
# fitted on the out-of-fold predictions, and its gain told on rows it was not fitted on.

# %%
held_out = np.isin(folds, result.folds)
oof = [head[held_out].numpy() for head in result.oof]
truth = labels[held_out]
correction = fit_prior_correction(oof, truth)
crossed = [
    crossed if power else plain
    for plain, crossed, power in zip(
        oof, cross_fit_priors(oof, truth), correction.powers, strict=True
    )
]
corrected = hierarchical_macro_recall(crossed, truth)
print(f"recall {result.score:.5f} out of fold, {corrected:.5f} with fitted priors")
for i, name in enumerate(components):
    evaluation = evaluate_predictions(oof[i], truth[:, i])
    print(f"{name}: prior power {correction.powers[i]}, {evaluation.describe(3)}")
    plot_confusion(evaluation, folder=out, name=f"confusion_{name}.png")
roots = evaluate_predictions(oof[0], truth[:, 0])
plot_top_losses(images[held_out], roots, folder=out)
write_scores({"recall": result.score, "recall_with_priors": corrected}, out)

# %% [markdown]
# ## For the second kernel

# %%
path = write_manifest(
    out / "bengali.json",
    [out / f"bengali_fold{fold}.pt" for fold in result.folds],
    model=cfg.model,
    components=components,
    sizes=sizes,
    image_size=cfg.image_size,
    mean=cfg.mean,
    std=cfg.std,
    prior_powers=correction.powers,
    prior_counts=correction.counts,
)
print(f"wrote {path}")
