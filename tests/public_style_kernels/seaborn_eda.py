# House Prices: exploratory data analysis, every figure saved
import os

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scipy.stats as st
import seaborn as sns
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer

sns.set_theme(style="whitegrid", palette="deep")
pd.set_option("display.max_columns", 100)
plt.rcParams["figure.figsize"] = (10, 5)

BASE = "/kaggle/input"
NAME = "house-prices-advanced-regression-techniques"
folder = os.path.join(BASE, "competitions", NAME)
if not os.path.exists(folder):
    folder = os.path.join(BASE, NAME)
print(os.listdir(folder))

train = pd.read_csv(os.path.join(folder, "train.csv"), index_col="Id")
test = pd.read_csv(os.path.join(folder, "test.csv"), index_col="Id")
print(f"train: {train.shape}, test: {test.shape}")
print(train.info())
print(train.describe().T)

quantitative = [f for f in train.columns if train.dtypes[f] != "object"]
qualitative = [f for f in train.columns if train.dtypes[f] == "object"]
quantitative.remove("SalePrice")

missing = train.isnull().sum().sort_values(ascending=False)
missing = missing[missing > 0]
missing.plot.bar(title="missing values")
plt.tight_layout()
plt.savefig("missing.png")
plt.close()

fig, axes = plt.subplots(1, 3, figsize=(18, 5))
for ax, (title, dist) in zip(axes, [("Johnson SU", st.johnsonsu), ("Normal", st.norm), ("Log Normal", st.lognorm)]):
    ax.set_title(title)
    sns.histplot(train["SalePrice"], kde=True, stat="density", ax=ax)
    parameters = dist.fit(train["SalePrice"])
    grid = np.linspace(train["SalePrice"].min(), train["SalePrice"].max(), 200)
    ax.plot(grid, dist.pdf(grid, *parameters), "r-")
fig.savefig("saleprice.png")
plt.show()

corr = train[[*quantitative, "SalePrice"]].corr()
mask = np.triu(np.ones_like(corr, dtype=bool))
plt.figure(figsize=(14, 12))
sns.heatmap(corr, mask=mask, cmap="coolwarm", center=0, square=True, linewidths=0.5)
plt.savefig("correlation.png", bbox_inches="tight")
plt.show()

top = corr["SalePrice"].abs().sort_values(ascending=False).index[1:7]
grid = sns.pairplot(train[[*top, "SalePrice"]], height=2)
grid.savefig("pairs.png")


def anova(frame):
    rows = []
    for c in qualitative:
        samples = [frame[frame[c] == cls]["SalePrice"].values for cls in frame[c].dropna().unique()]
        if len(samples) > 1:
            rows.append({"feature": c, "pval": st.f_oneway(*samples)[1]})
    return pd.DataFrame(rows).sort_values("pval")


a = anova(train)
a["disparity"] = np.log(1.0 / a["pval"].clip(lower=1e-300))
sns.barplot(data=a, x="feature", y="disparity")
plt.xticks(rotation=90)
plt.savefig("anova.png", bbox_inches="tight")

filled = SimpleImputer(strategy="median").fit_transform(train[quantitative])
components = PCA(n_components=2).fit_transform((filled - filled.mean(0)) / filled.std(0))
plt.figure()
plt.scatter(components[:, 0], components[:, 1], c=np.log(train["SalePrice"]), s=8, cmap="viridis")
plt.colorbar(label="log price")
plt.savefig("pca.png")
print("skew", train["SalePrice"].skew(), "kurtosis", train["SalePrice"].kurt())
train.loc[train["GarageYrBlt"] > 2010, "GarageYrBlt"] = np.nan
train.to_csv("train_clean.csv")
