"""S22: secrets in the source, or printed from Kaggle's environment."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from kernel_builder.check.findings import Finding
from kernel_builder.check.program import Unit
from kernel_builder.check.rules_base import Rule, Subject
from kernel_builder.check.rules_commands import find_commands
from kernel_builder.check.rules_text import basename, text_nodes

# What a secret looks like: its kind, and its shape in the text of the source.
_TOKENS: Final = (
    ("a Kaggle token", re.compile(r"\bKGAT_[0-9A-Za-z]{20,}")),
    ("a Kaggle key", re.compile(r"\"key\"\s*:\s*\\?\"([0-9a-f]{32})\b")),
    (
        "a Kaggle key",
        re.compile(r"(?i)KAGGLE_(?:KEY|API_TOKEN)\W{1,6}[\"']([0-9A-Za-z_]{32,})[\"']"),
    ),
    ("a Hugging Face token", re.compile(r"\bhf_[A-Za-z0-9]{30,}")),
    (
        "a GitHub token",
        re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{40,})"),
    ),
    (
        "an OpenAI or Anthropic key",
        re.compile(r"\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{20,}"),
    ),
    ("an AWS key", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("a Google key", re.compile(r"\bAIza[0-9A-Za-z_-]{35}")),
    ("a Slack token", re.compile(r"\bxox[abprs]-[0-9A-Za-z-]{10,}")),
    ("a GitLab token", re.compile(r"\bglpat-[0-9A-Za-z_-]{20}")),
    (
        "a Weights & Biases key",
        re.compile(
            r"(?i)(?:WANDB_API_KEY\W{1,6}|wandb\.login\([^)\n]*key\s*=\s*)"
            r"[\"']([0-9a-f]{40})[\"']"
        ),
    ),
    ("a private key", re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----")),
    (
        "a password in a URL",
        re.compile(r"https?://[\w.-]+:([^\s/@:'\"{}]{6,})@[\w.-]+"),
    ),
)
_PLACEHOLDER: Final = re.compile(
    r"(?i)your|example|xxxx|token_here|placeholder|dummy|password"
)
_FILES: Final = frozenset(("kaggle.json", ".netrc", "access_token", ".git-credentials"))
_FIX_TOKEN: Final = (
    "take it out and revoke it: everybody who can see the kernel sees it"
)
_FIX_ENVIRONMENT: Final = (
    "never print os.environ on Kaggle: it holds session tokens; print the one variable"
)
_SHOWERS: Final = re.compile(
    r"builtins\.print|pprint\.pp?(rint)?|logging(\.\w+)*\.(debug|info|warning|error)|"
    r"sys\.std(out|err)\.write|undefined\.display|IPython\.display\.display"
)
_SECRET_VARIABLES: Final = re.compile(r"(?i)TOKEN|SECRET|PASSWORD|_KEY$|CREDENTIAL")


def check_secrets(subject: Subject) -> Iterator[Finding]:
    """S22: tokens in the source, printed environments, credential files."""
    for unit in subject.program.units:
        if unit.own:
            yield from _tokens(unit)
    yield from _printed(subject)
    yield from _commands(subject)
    yield from _credential_files(subject)


def _tokens(unit: Unit) -> Iterator[Finding]:
    """Search the whole text, comments included: they are sent too."""
    for number, line in enumerate(unit.module.text.split("\n"), start=1):
        for kind, shape in _TOKENS:
            match = shape.search(line)
            if match is None:
                continue
            secret = match.group(match.lastindex or 0)
            if _is_placeholder(secret):
                continue
            shown = f"{secret[:4]}..."
            message = f"{kind} in the source ({shown})"
            yield Finding(
                "S22", "error", unit.path, number, message, _FIX_TOKEN, number
            )
            break


def _is_placeholder(secret: str) -> bool:
    if secret.startswith("-----"):
        return False
    word = re.search(
        r"(?i)your|example|xxxx|token_here|placeholder|dummy|password", secret
    )
    return bool(word) or len(set(secret)) < 7


def _printed(subject: Subject) -> Iterator[Finding]:
    for unit, call, name in subject.live_calls():
        if not _SHOWERS.fullmatch(name):
            continue
        if any(_shows_environment(subject, unit, item) for item in call.args):
            message = f"{ast.unparse(call)[:60]} shows os.environ"
            yield subject.found("S22", "error", unit, call, message, _FIX_ENVIRONMENT)
        elif _prints_items(subject, unit, call):
            message = "a loop prints the items of os.environ"
            yield subject.found("S22", "error", unit, call, message, _FIX_ENVIRONMENT)


def _shows_environment(subject: Subject, unit: Unit, expr: ast.expr) -> bool:
    for node in ast.walk(expr):
        if not isinstance(node, ast.Attribute | ast.Name | ast.Call):
            continue
        name = subject.dotted(unit, node)
        if name == "os.environ" and _as_a_whole(unit, node):
            return True
        if name in ("os.environ.items()", "os.environ.values()", "os.environ.copy()"):
            return True
        if isinstance(node, ast.Call) and name in ("os.environ.get()", "os.getenv()"):
            key = subject.constant(unit, node.args[0]) if node.args else None
            if isinstance(key, str) and _SECRET_VARIABLES.search(key):
                return True
    return _names_secret(subject, unit, expr)


def _as_a_whole(unit: Unit, node: ast.AST) -> bool:
    """Say whether os.environ is used as it is, not asked for one thing."""
    above = unit.parent(node)
    if isinstance(above, ast.Call):
        function = getattr(above.func, "id", getattr(above.func, "attr", ""))
        return node in above.args and function not in ("len", "sorted", "list", "set")
    if isinstance(above, ast.comprehension):
        return False  # the names alone; `_names_secret` looks for the values
    return not isinstance(above, ast.Attribute | ast.Subscript | ast.Compare)


def _names_secret(subject: Subject, unit: Unit, expr: ast.expr) -> bool:
    """Say whether `os.environ[key]` stands there with a secret's name, or with any."""
    for node in ast.walk(expr):
        if not isinstance(node, ast.Subscript):
            continue
        if subject.dotted(unit, node.value) == "os.environ":
            key = subject.constant(unit, node.slice)
            every = key is None and any(True for _ in _comprehensions(unit, node))
            if every or (isinstance(key, str) and _SECRET_VARIABLES.search(key)):
                return True
    return False


def _comprehensions(unit: Unit, node: ast.AST) -> Iterator[ast.AST]:
    for kind in (ast.DictComp, ast.ListComp, ast.SetComp, ast.GeneratorExp):
        yield from unit.around(node, kind)


def _prints_items(subject: Subject, unit: Unit, call: ast.Call) -> bool:
    printed = {
        n.id for item in call.args for n in ast.walk(item) if isinstance(n, ast.Name)
    }
    for loop in unit.around(call, ast.For):
        if subject.dotted(unit, loop.iter) in ("os.environ.items()",):
            last = loop.target.elts[-1] if isinstance(loop.target, ast.Tuple) else None
            value = last.id if isinstance(last, ast.Name) else ""
            return not value or value in printed
    return False


def _commands(subject: Subject) -> Iterator[Finding]:
    for command in find_commands(subject):
        if command.words[0] in ("env", "printenv", "set") and len(command.words) == 1:
            message = f"`{command.text}` prints the environment"
            yield subject.found(
                "S22", "error", command.unit, command.call, message, _FIX_ENVIRONMENT
            )


def _credential_files(subject: Subject) -> Iterator[Finding]:
    for unit, node, texts in text_nodes(subject):
        names = {basename(text) for text in texts if "\n" not in text}
        found = sorted(names & _FILES)
        if found and "." in found[0]:
            message = f"{found[0]} has no place in a kernel"
            fix = "a run on Kaggle needs no key for attached data"
            yield subject.found("S22", "error", unit, node, message, fix)


RULES: Final = (Rule("S22", "error", "secret in the source or the log", check_secrets),)
