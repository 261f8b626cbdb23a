"""Push to Kaggle, wait, fetch, verify and submit, through the `kaggle` client."""
