# Plant pathology with fastai: resnet34 from an attached dataset, internet off
import os
import shutil
from pathlib import Path

import pandas as pd
from fastai.vision.all import *

candidates = [
    Path("/kaggle/input/competitions/plant-pathology-2020-fgvc7"),
    Path("/kaggle/input/plant-pathology-2020-fgvc7"),
]
path = next(p for p in candidates if p.exists())
weights = [Path("/kaggle/input/datasets/pytorch/resnet34"), Path("/kaggle/input/resnet34")]
weights = next(p for p in weights if p.exists())

# fastai looks for the weights in torch's cache
cache = Path("/root/.cache/torch/hub/checkpoints")
cache.mkdir(parents=True, exist_ok=True)
shutil.copy(weights / "resnet34.pth", cache / "resnet34-b627a593.pth")

set_seed(42, reproducible=True)
train_df = pd.read_csv(path / "train.csv")
test_df = pd.read_csv(path / "test.csv")
sample = pd.read_csv(path / "sample_submission.csv")
classes = ["healthy", "multiple_diseases", "rust", "scab"]
train_df["label"] = train_df[classes].idxmax(axis=1)
print(train_df["label"].value_counts())


def get_x(row):
    return path / "images" / f"{row['image_id']}.jpg"


def get_y(row):
    return row["label"]


block = DataBlock(
    blocks=(ImageBlock, CategoryBlock(vocab=classes)),
    get_x=get_x,
    get_y=get_y,
    splitter=RandomSplitter(0.2, seed=42),
    item_tfms=Resize(512),
    batch_tfms=aug_transforms(size=256, flip_vert=True, max_rotate=20.0),
)
dls = block.dataloaders(train_df, bs=32, num_workers=2)

learn = vision_learner(
    dls,
    resnet34,
    metrics=[accuracy, RocAuc()],
    path="/kaggle/working",
    loss_func=LabelSmoothingCrossEntropy(),
)
with learn.no_bar(), learn.no_logging():
    suggestion = learn.lr_find(show_plot=False)
print("suggested learning rate", suggestion.valley)

learn.fine_tune(6, base_lr=2e-3, freeze_epochs=1, cbs=[SaveModelCallback(monitor="valid_loss"), ShowGraphCallback()] if not os.environ.get("KAGGLE_KERNEL_RUN_TYPE") else [SaveModelCallback(monitor="valid_loss")])

interp = ClassificationInterpretation.from_learner(learn)
interp.plot_confusion_matrix(figsize=(6, 6))
plt.savefig("confusion.png", dpi=100, bbox_inches="tight")
print(interp.most_confused(min_val=3))

test_dl = dls.test_dl(test_df)
preds, _ = learn.tta(dl=test_dl, n=4)
sample[classes] = preds.numpy()
sample.to_csv("submission.csv", index=False)
learn.export("model.pkl")
print(sample.describe())
