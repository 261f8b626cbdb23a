"""Parts for Kaggle image competitions: data, training, evaluation and submission.

Import the leaf modules (`from kaggle_kit.learner import Learner`): the root imports
nothing, so an inference kernel loads and inlines only what it uses.
"""

__version__ = "0.1.0"
