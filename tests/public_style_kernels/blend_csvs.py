# Blending: rank average and weighted mean of earlier submissions
import os
from glob import glob

import numpy as np
import pandas as pd
from scipy.stats import rankdata

pd.options.display.float_format = "{:.5f}".format

SAMPLE = "sample_submission.csv"
LAYOUTS = ["/kaggle/input/competitions/playground-series-s4e8", "/kaggle/input/playground-series-s4e8"]
COMP = LAYOUTS[0] if os.path.exists(LAYOUTS[0]) else LAYOUTS[1]
sample_submission = pd.read_csv(os.path.join(COMP, SAMPLE))

SOURCES = {
    "lgbm": ("/kaggle/input/notebooks/someone/s4e8-lgbm", "/kaggle/input/s4e8-lgbm", 0.35),
    "xgb": ("/kaggle/input/notebooks/someone/s4e8-xgb", "/kaggle/input/s4e8-xgb", 0.25),
    "nn": ("/kaggle/input/notebooks/someone/s4e8-nn", "/kaggle/input/s4e8-nn", 0.40),
}
KEY, TARGET = sample_submission.columns

frames = {}
for name, (new, old, weight) in SOURCES.items():
    folder = new if os.path.isdir(new) else old
    paths = sorted(glob(f"{folder}/*.csv"))
    path = next(p for p in paths if p.endswith("submission.csv"))
    frame = pd.read_csv(path).sort_values(KEY).reset_index(drop=True)
    if len(frame) != len(sample_submission):
        raise ValueError(f"{name}: {len(frame)} rows, expected {len(sample_submission)}")
    if frame[TARGET].isna().any():
        raise ValueError(f"{name}: missing predictions")
    frames[name] = frame
    print(f"{name:>5}: mean {frame[TARGET].mean():.4f} std {frame[TARGET].std():.4f} weight {weight}")

table = pd.DataFrame({name: frame[TARGET] for name, frame in frames.items()})
print(table.corr())


def ranks(values):
    return rankdata(values) / len(values)


weights = np.array([weight for _, _, weight in SOURCES.values()])
weights = weights / weights.sum()
mean_blend = (table * weights).sum(axis=1)
rank_blend = (table.apply(ranks) * weights).sum(axis=1)
geometric = np.exp((np.log(table.clip(1e-6, 1)) * weights).sum(axis=1))

for label, blend in [("mean", mean_blend), ("rank", rank_blend), ("geometric", geometric)]:
    print(label, np.corrcoef(blend, mean_blend)[0, 1])
    part = sample_submission[[KEY]].copy()
    part[TARGET] = blend
    part.to_csv(f"blend_{label}.csv", index=False)

submission = sample_submission.sort_values(KEY).reset_index(drop=True)
submission[TARGET] = 0.7 * mean_blend + 0.3 * rank_blend
submission.to_csv("submission.csv", index=False)
print(submission.head())
