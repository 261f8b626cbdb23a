# Feedback Prize style: DeBERTa from an attached dataset, HF Trainer, one fold
import os

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = "0"

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from datasets import Dataset
from sklearn.model_selection import KFold
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)


def mounted(*places):
    found = [p for p in places if os.path.isdir(p)]
    if not found:
        raise FileNotFoundError(f"none of {places} is mounted: {os.listdir('/kaggle/input')}")
    return found[0]


comp = "feedback-prize-english-language-learning"
INPUT = mounted(f"/kaggle/input/competitions/{comp}", f"/kaggle/input/{comp}")
MODEL = mounted("/kaggle/input/datasets/jonathanchan/huggingface-deberta-v3-base", "/kaggle/input/huggingface-deberta-v3-base")
TARGETS = ["cohesion", "syntax", "vocabulary", "phraseology", "grammar", "conventions"]


@dataclass
class Config:
    max_len: int = 512
    lr: float = 2e-5
    epochs: int = 3
    batch: int = 8
    fold: int = 0
    seed: int = 42


cfg = Config()
train = pd.read_csv(f"{INPUT}/train.csv")
test = pd.read_csv(f"{INPUT}/test.csv")
for k, (_, v) in enumerate(KFold(4, shuffle=True, random_state=cfg.seed).split(train)):
    train.loc[v, "fold"] = k

tokenizer = AutoTokenizer.from_pretrained(MODEL)


def tokenise(batch):
    out = tokenizer(batch["full_text"], truncation=True, max_length=cfg.max_len)
    if TARGETS[0] in batch:
        out["labels"] = np.array([batch[t] for t in TARGETS], dtype=np.float32).T.tolist()
    return out


def to_dataset(frame):
    return Dataset.from_pandas(frame, preserve_index=False).map(tokenise, batched=True, remove_columns=list(frame.columns))


def mcrmse(pred):
    errors = np.sqrt(((pred.predictions - pred.label_ids) ** 2).mean(0))
    return {"mcrmse": errors.mean(), **dict(zip(TARGETS, errors))}


config = AutoConfig.from_pretrained(MODEL, num_labels=len(TARGETS), problem_type="regression")
model = AutoModelForSequenceClassification.from_pretrained(MODEL, config=config)
args = TrainingArguments(
    output_dir="/tmp/deberta",
    learning_rate=cfg.lr,
    num_train_epochs=cfg.epochs,
    per_device_train_batch_size=cfg.batch,
    per_device_eval_batch_size=cfg.batch * 2,
    eval_strategy="epoch",
    save_strategy="epoch",
    save_total_limit=1,
    load_best_model_at_end=True,
    metric_for_best_model="mcrmse",
    greater_is_better=False,
    fp16=torch.cuda.is_available(),
    logging_steps=50,
    report_to="none",
    dataloader_num_workers=2,
    seed=cfg.seed,
)
trainer = Trainer(
    model=model,
    args=args,
    train_dataset=to_dataset(train[train["fold"] != cfg.fold]),
    eval_dataset=to_dataset(train[train["fold"] == cfg.fold]),
    data_collator=DataCollatorWithPadding(tokenizer),
    processing_class=tokenizer,
    compute_metrics=mcrmse,
)
trainer.train()
print(trainer.evaluate())
model.save_pretrained("best")
tokenizer.save_pretrained("best")

sub = test[["text_id"]].copy()
sub[TARGETS] = trainer.predict(to_dataset(test)).predictions.clip(1, 5)
sub.to_csv("submission.csv", index=False)
print(sub)
