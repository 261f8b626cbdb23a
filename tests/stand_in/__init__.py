"""A Kaggle on 127.0.0.1 for the unmodified client, with a fault for every trap."""
