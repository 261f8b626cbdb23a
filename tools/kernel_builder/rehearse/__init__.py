"""Run a built kernel alone, as Kaggle would, and judge what it did."""
