"""Inference: 5-fold EfficientNet ensemble, weights trained elsewhere and attached."""
import glob
import os
import warnings

import cv2
import numpy as np
import pandas as pd
import timm
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

warnings.filterwarnings("ignore")


class CFG:
    model_name = "tf_efficientnet_b0.ns_jft_in1k"
    size = 256
    batch_size = 64
    num_classes = 5
    n_fold = 5
    tta = True


def first_existing(*paths):
    for path in paths:
        if os.path.exists(path):
            return path
    raise FileNotFoundError(paths)


DATA = first_existing(
    "/kaggle/input/competitions/cassava-leaf-disease-classification",
    "/kaggle/input/cassava-leaf-disease-classification",
)
WEIGHTS = first_existing(
    "/kaggle/input/datasets/someuser/cassava-effnet-weights",
    "/kaggle/input/cassava-effnet-weights",
)
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class TestDataset(Dataset):
    def __init__(self, df, root):
        self.paths = [f"{root}/{name}" for name in df["image_id"].values]

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        image = cv2.imread(self.paths[index])
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        image = cv2.resize(image, (CFG.size, CFG.size)).astype(np.float32) / 255.0
        image = (image - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        return torch.from_numpy(image.transpose(2, 0, 1)).float()


class Classifier(nn.Module):
    def __init__(self, pretrained=False):
        super().__init__()
        self.backbone = timm.create_model(CFG.model_name, pretrained=pretrained, num_classes=0)
        self.head = nn.Linear(self.backbone.num_features, CFG.num_classes)

    def forward(self, x):
        return self.head(self.backbone(x))


def load_models():
    models = []
    for path in sorted(glob.glob(f"{WEIGHTS}/*_fold*_best.pth")):
        model = Classifier(pretrained=False)
        state = torch.load(path, map_location="cpu")
        model.load_state_dict(state["model"] if "model" in state else state)
        models.append(model.to(DEVICE).eval())
        print("loaded", os.path.basename(path))
    return models


@torch.inference_mode()
def inference(models, loader):
    probs = []
    for images in loader:
        images = images.to(DEVICE, non_blocking=True)
        views = [images, images.flip(-1)] if CFG.tta else [images]
        batch = torch.stack([m(v).softmax(1) for m in models for v in views]).mean(0)
        probs.append(batch.cpu().numpy())
    return np.concatenate(probs)


if __name__ == "__main__":
    submission = pd.read_csv(f"{DATA}/sample_submission.csv")
    dataset = TestDataset(submission, f"{DATA}/test_images")
    loader = DataLoader(dataset, batch_size=CFG.batch_size, shuffle=False, num_workers=4, pin_memory=True)
    predictions = inference(load_models(), loader)
    submission["label"] = predictions.argmax(1)
    submission.to_csv("submission.csv", index=False)
    print(submission.head())
