"""Build one Kaggle file from a repository, rehearse it, push it and fetch its outputs.

The command line is `kernel_builder.cli`; each step is a module of its own that takes
the previous step's value and returns its own. Nothing here imports torch.
"""

__version__ = "0.1.0"
