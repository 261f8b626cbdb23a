"""How a script ends, in a notebook: early exits, its own excepthook, what runs at exit.

A notebook takes every SystemExit for an error, never calls `sys.excepthook`, and prints
nothing any more once its last cell has run. `CELLS` and `AT_EXIT` are the texts of the
classes below, put into a cell of their own where the kernel's code needs them.
"""

import ast
import inspect
from collections.abc import Callable
from typing import Any, Final


class _KkCells:
    """Runs the cells as one script: a success may end it early, a hook is called."""

    def __init__(self) -> None:
        self.left = False
        self.usual: Any = None
        self.hook: Any = None

    def visit(self, node: "ast.Module") -> "ast.Module":
        """Wrap a cell, or leave it out once the script has ended."""
        import ast

        own = any(
            isinstance(n, ast.Name) and n.id.startswith("_kk") for n in ast.walk(node)
        )
        if own or not node.body:
            return node
        if self.left:
            node.body = []
            return node
        count = 0
        while getattr(node.body[count], "module", None) == "__future__":
            count += 1
            if count == len(node.body):
                return node
        frame: Any = ast.parse(
            "try:\n    _kk_cells.begin()\nexcept BaseException as _kk_error:\n"
            "    if _kk_cells.failed(_kk_error): raise\nfinally: _kk_cells.end()"
        ).body[0]
        head, body = node.body[:count], node.body[count:]
        last = body[-1]
        if isinstance(last, ast.Expr):  # its value is shown below the cell
            shown = ast.parse("_kk_value = None\n_kk_value").body
            target = ast.Name("_kk_value", ast.Store())
            body[-1] = ast.copy_location(ast.Assign([target], last.value), last)
            frame.body += body
            node.body = [*head, shown[0], frame, shown[1]]
        else:
            frame.body += body
            node.body = [*head, frame]
        return node

    def begin(self) -> None:
        """A cell starts: the notebook has put its own hook back."""
        import sys

        self.usual = sys.excepthook
        sys.excepthook = self.hook or self.usual

    def end(self) -> None:
        """A cell ends: remember the hook that the kernel has set."""
        import sys

        self.hook = None if sys.excepthook is self.usual else sys.excepthook

    def failed(self, error: BaseException) -> bool:
        """Say whether what a cell raised is an error."""
        import sys

        if isinstance(error, SystemExit):
            success = error.code is None or (
                isinstance(error.code, int) and error.code == 0
            )
            self.left = self.left or success
            return not success
        if sys.excepthook is not self.usual:
            sys.excepthook(type(error), error, error.__traceback__)
        return True


class _KkAtExit:
    """Remembers what the kernel registers with `atexit`, to run it in the last cell."""

    def __init__(self) -> None:
        import atexit

        self.calls: list[Any] = []
        self.real: Any = atexit.register
        self.forget = atexit.unregister
        vars(atexit).update(register=self.register, unregister=self.unregister)

    def register(
        self, function: "Callable[..., object]", *args: object, **options: object
    ) -> object:
        """Remember what code of the kernel registers; libraries' stays as it was."""
        import sys

        caller = sys._getframe(1).f_globals
        own = "kaggle-embed-" in str(caller.get("__file__"))
        name = getattr(function, "__qualname__", "")
        if (own or caller.get("__name__") == "__main__") and name[:3] != "_Kk":
            self.calls.append((function, args, options))
        return self.real(function, *args, **options)

    def unregister(self, function: "Callable[..., object]") -> None:
        """Forget a function, as atexit does."""
        self.calls = [call for call in self.calls if call[0] != function]
        self.forget(function)

    def run(self) -> None:
        """Run what was registered last first."""
        import traceback

        while self.calls:
            function, args, options = self.calls.pop()
            self.forget(function)
            try:
                function(*args, **options)
            except BaseException:
                traceback.print_exc()


CELLS: Final = f"""\
# A script may end early, with sys.exit(0); a notebook would take that for an error.
{inspect.getsource(_KkCells)}

_kk_cells = _KkCells()
get_ipython().ast_transformers.append(_kk_cells)
exit = quit = __import__("sys").exit"""
AT_EXIT: Final = f"""\
# What runs at the exit of a script would print nothing after the last cell.
{inspect.getsource(_KkAtExit)}

_kk_at_exit = _KkAtExit()"""
RUN_AT_EXIT: Final = "_kk_at_exit.run()"
