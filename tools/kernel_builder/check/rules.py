"""Every static rule of `check`, by id.

A rule lives in the module of its theme; each of those modules lists its own in `RULES`.
"""

from typing import Final

from kernel_builder.check import (
    rules_attached,
    rules_files,
    rules_hardware,
    rules_imports,
    rules_metadata,
    rules_network,
    rules_output,
    rules_public,
    rules_scripts,
    rules_secrets,
    rules_source,
    rules_submission,
    rules_weights,
    rules_writes,
)
from kernel_builder.check.rules_base import Rule

_THEMES: Final = (
    *(rules_metadata, rules_attached, rules_source, rules_imports, rules_network),
    *(rules_weights, rules_files, rules_writes, rules_hardware, rules_submission),
    *(rules_public, rules_scripts, rules_output, rules_secrets),
)
RULES: Final[tuple[Rule, ...]] = tuple(
    sorted((rule for theme in _THEMES for rule in theme.RULES), key=lambda r: r.id)
)
# Found by calls of the client, not by this step; their ids may be ignored all the same.
CLIENT_RULES: Final = ("P01", "P02", "P03")
