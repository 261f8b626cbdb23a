# Titanic baseline: features, LightGBM, out-of-fold score
import warnings
from pathlib import Path

import lightgbm as lgb
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

warnings.simplefilter(action="ignore", category=FutureWarning)

SLUG = "titanic"
roots = [f"/kaggle/input/competitions/{SLUG}", f"/kaggle/input/{SLUG}"]
ROOT = [Path(r) for r in roots if Path(r).is_dir()][0]
TARGET = "Survived"
N_FOLDS = 5
SEED = 2024

train_df = pd.read_csv(ROOT / "train.csv")
test_df = pd.read_csv(ROOT / "test.csv")
gender_submission = pd.read_csv(ROOT / "gender_submission.csv")


def make_features(df):
    df = df.copy()
    df["Title"] = df["Name"].str.extract(r" ([A-Za-z]+)\.", expand=False)
    rare = df["Title"].value_counts()[lambda s: s < 10].index
    df["Title"] = df["Title"].replace(list(rare), "Rare")
    df["FamilySize"] = df["SibSp"] + df["Parch"] + 1
    df["IsAlone"] = (df["FamilySize"] == 1).astype(int)
    df["Deck"] = df["Cabin"].str[0].fillna("U")
    df["Age"] = df["Age"].fillna(df.groupby("Title")["Age"].transform("median"))
    df["Fare"] = np.log1p(df["Fare"].fillna(df["Fare"].median()))
    for col in ["Sex", "Embarked", "Title", "Deck"]:
        df[col] = df[col].fillna("missing").astype("category")
    return df.drop(columns=["Name", "Ticket", "Cabin"])


both = make_features(pd.concat([train_df, test_df], ignore_index=True))
X = both[: len(train_df)].drop(columns=[TARGET, "PassengerId"])
y = train_df[TARGET]
X_test = both[len(train_df) :].drop(columns=[TARGET, "PassengerId"])

params = {
    "objective": "binary",
    "metric": "auc",
    "learning_rate": 0.03,
    "num_leaves": 15,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "verbosity": -1,
    "seed": SEED,
    "num_threads": 4,
}
oof = np.zeros(len(X))
preds = np.zeros(len(X_test))
importance = pd.DataFrame({"feature": X.columns, "gain": 0.0})
skf = StratifiedKFold(n_splits=N_FOLDS, shuffle=True, random_state=SEED)
for fold, (trn_idx, val_idx) in enumerate(skf.split(X, y)):
    print(f"===== fold {fold} =====")
    trn = lgb.Dataset(X.iloc[trn_idx], y.iloc[trn_idx])
    val = lgb.Dataset(X.iloc[val_idx], y.iloc[val_idx], reference=trn)
    model = lgb.train(
        params,
        trn,
        num_boost_round=5000,
        valid_sets=[trn, val],
        callbacks=[lgb.early_stopping(100, verbose=False), lgb.log_evaluation(200)],
    )
    oof[val_idx] = model.predict(X.iloc[val_idx], num_iteration=model.best_iteration)
    preds += model.predict(X_test, num_iteration=model.best_iteration) / N_FOLDS
    importance["gain"] += model.feature_importance("gain") / N_FOLDS
    model.save_model(f"lgb_fold{fold}.txt")
print("OOF AUC", roc_auc_score(y, oof), "accuracy", accuracy_score(y, oof > 0.5))

numeric = X.select_dtypes("number").columns
baseline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
baseline.fit(X[numeric], y)
encoder = OneHotEncoder(sparse_output=False, handle_unknown="ignore").fit(X[["Sex"]])
print("baseline", baseline.score(X[numeric], y), encoder.get_feature_names_out())

plt.figure(figsize=(8, 6))
sns.barplot(x="gain", y="feature", data=importance.sort_values("gain", ascending=False))
plt.tight_layout()
plt.savefig("importance.png")

submission = pd.DataFrame({"PassengerId": test_df["PassengerId"], TARGET: (preds > 0.5).astype(int)})
assert submission.shape == gender_submission.shape
submission.to_csv("submission.csv", index=False)
