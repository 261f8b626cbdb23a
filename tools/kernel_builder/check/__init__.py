"""What Kaggle would refuse, found in the text before anything runs."""
