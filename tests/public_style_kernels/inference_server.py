"""A served competition: the gateway calls predict() with batches of unseen rows."""

import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import xgboost as xgb

import kaggle_evaluation.jane_street_inference_server

SLUG = "jane-street-real-time-market-data-forecasting"
DATA = Path(f"/kaggle/input/competitions/{SLUG}")
if not DATA.is_dir():
    DATA = Path(f"/kaggle/input/{SLUG}")
MODELS = Path("/kaggle/input/datasets/someone/js-xgb-models")
if not MODELS.is_dir():
    MODELS = Path("/kaggle/input/js-xgb-models")

FEATURES = [f"feature_{i:02d}" for i in range(79)] + [f"responder_{i}_lag_1" for i in range(9)]
STARTED = time.time()
TIME_LIMIT = 8.5 * 3600

models = []
for path in sorted(MODELS.glob("*.json")):
    booster = xgb.Booster()
    booster.load_model(path)
    models.append(booster)
print(f"{len(models)} models loaded")

lags_: pl.DataFrame | None = None


def features_of(test: pl.DataFrame, lags: pl.DataFrame | None) -> pd.DataFrame:
    if lags is not None:
        last = lags.group_by("symbol_id", maintain_order=True).last()
        test = test.join(last, on="symbol_id", how="left", suffix="_y")
    frame = test.to_pandas()
    for name in FEATURES:
        if name not in frame:
            frame[name] = np.nan
    return frame[FEATURES].fillna(0)


def predict(test: pl.DataFrame, lags: pl.DataFrame | None) -> pl.DataFrame | pd.DataFrame:
    """Make a prediction for one batch; the first batch of a day brings `lags`."""
    global lags_
    if lags is not None:
        lags_ = lags
    if not models or time.time() - STARTED > TIME_LIMIT:
        return test.select("row_id", pl.lit(0.0).alias("responder_6"))
    matrix = xgb.DMatrix(features_of(test, lags_))
    average = np.mean([model.predict(matrix) for model in models], axis=0)
    predictions = test.select("row_id").with_columns(pl.Series("responder_6", average.clip(-5, 5)))
    if predictions.columns != ["row_id", "responder_6"]:
        raise ValueError(predictions.columns)
    if len(predictions) != len(test):
        raise ValueError("one prediction per row is needed")
    return predictions


inference_server = kaggle_evaluation.jane_street_inference_server.JSInferenceServer(predict)

if os.getenv("KAGGLE_IS_COMPETITION_RERUN"):
    inference_server.serve()
else:
    inference_server.run_local_gateway((str(DATA / "test.parquet"), str(DATA / "lags.parquet")))
