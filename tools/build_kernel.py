"""Build, check, rehearse, push and fetch a Kaggle kernel: `--help` lists the commands.

The same program as the installed `kaggle-kit`; it runs from a bare checkout with
nothing installed, since the tool needs the standard library alone.
"""

from kernel_builder.cli import program

if __name__ == "__main__":
    program()
