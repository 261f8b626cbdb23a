"""Keep the user's Kaggle credentials out of everything that is printed or written."""

import base64
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

MARK = "[redacted]"
# Shorter values ("key", "x") are placeholders, and hiding them would garble the log.
SHORTEST_SECRET = 6
_PATTERNS = (
    re.compile(r"(?i)(authorization\W{1,4}(?:basic|bearer)\s+)[\w.~+/=-]+"),
    re.compile(r"(?i)(\b(?:basic|bearer)\s+)(?=[\w.~+/=-]*\d)[\w.~+/=-]{16,}"),
    re.compile(r"()\bKGAT_[0-9A-Za-z]{8,}"),
    # What signs a download link: it opens the file for anybody who sees it.
    re.compile(
        r"(?i)([?&](?:x-goog-\w+|signature|token|key|googleaccessid)=)[^\s&'\"]+"
    ),
    re.compile(r"(https?://[^\s/:@]+:)[^\s/@]+(?=@)"),
)


def config_folders(env: Mapping[str, str]) -> tuple[Path, Path]:
    """Where the client looks: (folder of tokens, folder of kaggle.json)."""
    home = Path(env.get("HOME") or env.get("USERPROFILE") or str(Path.home()))
    tokens = home / ".kaggle"
    if env.get("KAGGLE_CONFIG_DIR"):
        return tokens, Path(env["KAGGLE_CONFIG_DIR"])
    if tokens.exists():
        return tokens, tokens
    base = env.get("XDG_CONFIG_HOME") or str(home / ".config")
    return tokens, Path(base) / "kaggle"


def known_secrets(env: Mapping[str, str] | None = None) -> frozenset[str]:
    """Every key and token the client could find, and the forms it sends them in."""
    env = os.environ if env is None else env
    tokens, legacy = config_folders(env)
    pairs = [(env.get("KAGGLE_USERNAME", ""), env.get("KAGGLE_KEY", ""))]
    found = {env.get("KAGGLE_KEY", ""), env.get("KAGGLE_API_TOKEN", "")}
    found |= {_text(Path(env.get("KAGGLE_API_TOKEN") or os.devnull))}
    found |= {_text(tokens / name) for name in ("access_token", "access_token.txt")}
    for folder in {tokens, legacy}:
        stored = _object(folder / "kaggle.json")
        pairs.append((str(stored.get("username", "")), str(stored.get("key", ""))))
        found.add(str(stored.get("key", "")))
    oauth = _object(tokens / "credentials.json")
    found |= {str(oauth.get(name, "")) for name in ("refresh_token", "access_token")}
    for user, key in pairs:
        found.add(base64.b64encode(f"{user}:{key}".encode()).decode() if key else "")
    return frozenset(s.strip() for s in found if len(s.strip()) >= SHORTEST_SECRET)


def redact(text: str, secrets: Iterable[str]) -> str:
    """`text` without the secrets, and without anything that looks like a credential."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MARK)
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\1{MARK}", text)
    return text


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip() if path.is_file() else ""
    except (OSError, ValueError):
        return ""


def _object(path: Path) -> dict[str, object]:
    try:
        value = json.loads(_text(path) or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
