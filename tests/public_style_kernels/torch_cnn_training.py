# Digit Recognizer - a simple CNN in PyTorch, 5 folds, augmentation, AMP
import gc
import os
import random
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.model_selection import StratifiedKFold
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from tqdm.auto import tqdm

INPUT = Path("/kaggle/input/competitions/digit-recognizer")
if not INPUT.exists():
    INPUT = Path("/kaggle/input/digit-recognizer")
OUTPUT_DIR = "./"


class CFG:
    debug = False
    seed = 42
    n_fold = 5
    trn_fold = [0, 1, 2, 3, 4]
    epochs = 20
    batch_size = 256
    lr = 1e-3
    weight_decay = 1e-4
    num_workers = 2
    print_freq = 100
    max_grad_norm = 1000
    target_col = "label"


if CFG.debug:
    CFG.epochs = 1
    CFG.trn_fold = [0]


def seed_everything(seed=42):
    random.seed(seed)
    os.environ["PYTHONHASHSEED"] = str(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.cuda.manual_seed_all(seed)
    torch.backends.cudnn.deterministic = True


seed_everything(CFG.seed)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

train = pd.read_csv(INPUT / "train.csv")
test = pd.read_csv(INPUT / "test.csv")
sample = pd.read_csv(INPUT / "sample_submission.csv")
print(train.shape, test.shape)

folds = StratifiedKFold(n_splits=CFG.n_fold, shuffle=True, random_state=CFG.seed)
train["fold"] = -1
for n, (_, val_index) in enumerate(folds.split(train, train[CFG.target_col])):
    train.loc[val_index, "fold"] = n


class TrainDataset(Dataset):
    def __init__(self, df, transform=None):
        pixels = [c for c in df.columns if c.startswith("pixel")]
        self.images = df[pixels].values.reshape(-1, 28, 28).astype(np.uint8)
        self.labels = df[CFG.target_col].values if CFG.target_col in df else None
        self.transform = transform

    def __len__(self):
        return len(self.images)

    def __getitem__(self, idx):
        image = self.transform(self.images[idx])
        if self.labels is None:
            return image
        return image, torch.tensor(self.labels[idx]).long()


def get_transforms(data):
    steps = [transforms.ToPILImage()]
    if data == "train":
        steps.append(transforms.RandomAffine(10, translate=(0.1, 0.1), scale=(0.9, 1.1)))
    return transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.bn1, self.bn2 = nn.BatchNorm2d(32), nn.BatchNorm2d(64)
        self.fc1 = nn.Linear(64 * 7 * 7, 256)
        self.fc2 = nn.Linear(256, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2)
        x = F.dropout(F.relu(self.fc1(x.flatten(1))), 0.5, self.training)
        return self.fc2(x)


def train_fn(fold, train_loader, model, criterion, optimizer, epoch, scheduler, scaler):
    model.train()
    start = time.time()
    losses = []
    for step, (images, labels) in enumerate(train_loader):
        images, labels = images.to(device), labels.to(device)
        with torch.autocast(device.type, enabled=device.type == "cuda", dtype=torch.float16):
            loss = criterion(model(images), labels)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), CFG.max_grad_norm)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        scheduler.step()
        losses.append(loss.item())
        if step % CFG.print_freq == 0 or step == (len(train_loader) - 1):
            print(f"Epoch: [{epoch + 1}][{step}/{len(train_loader)}] Elapsed {time.time() - start:.0f}s Loss: {np.mean(losses):.4f}")
    return np.mean(losses)


@torch.no_grad()
def predict(loader, model):
    model.eval()
    preds = []
    for batch in tqdm(loader, total=len(loader)):
        images = batch[0] if isinstance(batch, (list, tuple)) else batch
        preds.append(model(images.to(device)).softmax(1).cpu().numpy())
    return np.concatenate(preds)


def train_loop(df, fold):
    print(f"========== fold: {fold} training ==========")
    tr, va = df[df.fold != fold].reset_index(drop=True), df[df.fold == fold].reset_index(drop=True)
    train_loader = DataLoader(TrainDataset(tr, get_transforms("train")), batch_size=CFG.batch_size, shuffle=True,
                              num_workers=CFG.num_workers, pin_memory=True, drop_last=True)
    valid_loader = DataLoader(TrainDataset(va, get_transforms("valid")), batch_size=CFG.batch_size * 2,
                              num_workers=CFG.num_workers, pin_memory=True)
    model = Net().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=CFG.lr, weight_decay=CFG.weight_decay)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, CFG.lr, epochs=CFG.epochs, steps_per_epoch=len(train_loader))
    scaler = torch.amp.GradScaler(enabled=device.type == "cuda")
    criterion = nn.CrossEntropyLoss(label_smoothing=0.05)
    best_score = 0
    for epoch in range(CFG.epochs):
        avg_loss = train_fn(fold, train_loader, model, criterion, optimizer, epoch, scheduler, scaler)
        preds = predict(valid_loader, model)
        score = (preds.argmax(1) == va[CFG.target_col].values).mean()
        print(f"Epoch {epoch + 1} - avg_train_loss: {avg_loss:.4f}  Score: {score:.4f}")
        if score > best_score:
            best_score = score
            torch.save({"model": model.state_dict(), "preds": preds}, OUTPUT_DIR + f"cnn_fold{fold}_best.pth")
    check_point = torch.load(OUTPUT_DIR + f"cnn_fold{fold}_best.pth", weights_only=False)
    model.load_state_dict(check_point["model"])
    va["pred"] = check_point["preds"].argmax(1)
    del optimizer, scheduler
    gc.collect()
    torch.cuda.empty_cache()
    return va, model


oof_df, test_preds = pd.DataFrame(), []
test_loader = DataLoader(TrainDataset(test, get_transforms("valid")), batch_size=512, num_workers=CFG.num_workers)
for fold in range(CFG.n_fold):
    if fold in CFG.trn_fold:
        _oof_df, model = train_loop(train, fold)
        oof_df = pd.concat([oof_df, _oof_df])
        test_preds.append(predict(test_loader, model))

print("CV:", (oof_df["pred"] == oof_df[CFG.target_col]).mean())
oof_df[["label", "pred", "fold"]].to_csv(OUTPUT_DIR + "oof_df.csv", index=False)
sample["Label"] = np.mean(test_preds, axis=0).argmax(1)
sample.to_csv(OUTPUT_DIR + "submission.csv", index=False)
sample.head()
