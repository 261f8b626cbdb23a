"""Prove that an embed-form kernel writes exactly the files it was made of."""

import ast
import base64
import hashlib
import warnings
from collections.abc import Mapping

from kernel_builder.errors import ToolError


def prove_blocks(text: str, digests: Mapping[str, str]) -> None:
    """Read the blocks of a built text back and compare them with the sources' hashes.

    Args:
        text: the built script.
        digests: the place of every file that must be there -> its sha256.

    Raises:
        ToolError: a block is missing, unexpected, or gives other bytes.
    """
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(text)
    for node in tree.body:
        call = node.value if isinstance(node, ast.Expr) else None
        function = ast.unparse(call.func) if isinstance(call, ast.Call) else ""
        if function == "_kk.finish":
            break  # what follows is the kernel's own
        if isinstance(call, ast.Call) and function == "_kk.write":
            target, shown = (ast.literal_eval(value) for value in call.args)
            options = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
            data = _bytes(shown, **options)
            found[target] = hashlib.sha256(data).hexdigest()
    wrong = sorted(
        name
        for name in found.keys() | digests.keys()
        if found.get(name) != digests.get(name)
    )
    if wrong:
        raise ToolError(
            f"the built text does not give back {', '.join(wrong[:5])}: a fault of the "
            "tool; nothing was written"
        )


def _bytes(
    text: str, encoding: str = "utf-8", newline: str = "\n", executable: bool = False
) -> bytes:
    """Do what the running kernel will do with a block."""
    if encoding == "base64":
        return base64.b64decode(text)
    return text[1:].replace("\n", newline).encode(encoding)
