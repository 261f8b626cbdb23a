# Dataset + albumentations + stratified group folds: prepares folds and trains one epoch per fold
import os

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import random

import albumentations as A
import cv2
import numpy as np
import pandas as pd
import torch
import torchvision
from albumentations.pytorch import ToTensorV2
from sklearn.model_selection import StratifiedGroupKFold
from torch import nn
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

DIRS = [
    "/kaggle/input/competitions/siim-isic-melanoma-classification",
    "/kaggle/input/siim-isic-melanoma-classification",
]
DATA_DIR = DIRS[0] if os.path.isdir(DIRS[0]) else DIRS[1]
IMG_DIR = os.path.join(DATA_DIR, "jpeg", "train")
TEST_DIR = os.path.join(DATA_DIR, "jpeg", "test")
BACKBONE = ["/kaggle/input/datasets/someone/resnet-weights", "/kaggle/input/resnet-weights"]
BACKBONE = next(folder for folder in BACKBONE if os.path.isdir(folder))
DEVICE = torch.device("cuda:0") if torch.cuda.is_available() else torch.device("cpu")

train_tfms = A.Compose(
    [
        A.RandomResizedCrop(size=(256, 256), scale=(0.7, 1.0), p=1.0),
        A.HorizontalFlip(p=0.5),
        A.VerticalFlip(p=0.5),
        A.ShiftScaleRotate(shift_limit=0.1, scale_limit=0.1, rotate_limit=45, p=0.5),
        A.RandomBrightnessContrast(p=0.5),
        A.CoarseDropout(num_holes_range=(1, 8), hole_height_range=(8, 32), hole_width_range=(8, 32), p=0.5),
        A.Normalize(),
        ToTensorV2(),
    ]
)
valid_tfms = A.Compose([A.Resize(256, 256), A.Normalize(), ToTensorV2()])


class MelanomaDataset(Dataset):
    def __init__(self, df, folder, transform):
        self.df, self.folder, self.transform = df.reset_index(drop=True), folder, transform

    def __len__(self):
        return len(self.df)

    def __getitem__(self, i):
        row = self.df.iloc[i]
        img = cv2.imread(os.path.join(self.folder, row["image_name"] + ".jpg"))
        if img is None:
            raise FileNotFoundError(row["image_name"])
        img = self.transform(image=cv2.cvtColor(img, cv2.COLOR_BGR2RGB))["image"]
        return img, np.float32(row.get("target", -1.0))


def build_model():
    model = torchvision.models.resnet50(weights=None)
    model.load_state_dict(torch.load(os.path.join(BACKBONE, "resnet50.pth"), map_location="cpu", weights_only=True))
    model.fc = nn.Linear(model.fc.in_features, 1)
    return model.to(DEVICE)


df = pd.read_csv(os.path.join(DATA_DIR, "train.csv"))
test = pd.read_csv(os.path.join(DATA_DIR, "test.csv"))
sub = pd.read_csv(os.path.join(DATA_DIR, "sample_submission.csv"))
df["fold"] = -1
sgkf = StratifiedGroupKFold(n_splits=5, shuffle=True, random_state=7)
for f, (_, v) in enumerate(sgkf.split(df, df["target"], groups=df["patient_id"])):
    df.loc[v, "fold"] = f
print(df.groupby("fold")["target"].agg(["size", "mean"]))

all_preds = []
for fold in range(5):
    tr, va = df[df.fold != fold], df[df.fold == fold]
    weights = np.where(tr["target"] == 1, len(tr) / tr["target"].sum(), 1.0)
    sampler = WeightedRandomSampler(torch.as_tensor(weights), num_samples=20000)
    train_dl = DataLoader(MelanomaDataset(tr, IMG_DIR, train_tfms), batch_size=64, sampler=sampler, num_workers=4)
    test_dl = DataLoader(MelanomaDataset(test, TEST_DIR, valid_tfms), batch_size=128, num_workers=4)
    model, loss_fn = build_model(), nn.BCEWithLogitsLoss()
    opt = torch.optim.AdamW(model.parameters(), lr=3e-4)
    for i, (x, t) in enumerate(train_dl):
        loss = loss_fn(model(x.to(DEVICE)).squeeze(1), t.to(DEVICE))
        opt.zero_grad()
        loss.backward()
        opt.step()
        if i % 50 == 0:
            print(f"fold {fold} step {i} loss {loss.item():.4f}")
    torch.save(model.state_dict(), f"resnet50_fold{fold}.pth")
    model.eval()
    with torch.no_grad():
        preds = [torch.sigmoid(model(x.to(DEVICE))).squeeze(1).cpu() for x, _ in test_dl]
    all_preds.append(torch.cat(preds).numpy())
sub["target"] = np.mean(all_preds, axis=0)
sub.to_csv("/kaggle/working/submission.csv", index=False)
