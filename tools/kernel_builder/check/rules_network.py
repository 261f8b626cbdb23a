"""S05, S31, S32: what needs a network, a person or a service a batch run has not."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from kernel_builder.check.findings import Finding
from kernel_builder.check.program import Unit
from kernel_builder.check.rules_base import (
    NETWORK_ERRORS,
    Rule,
    Subject,
    argument,
    keyword,
)
from kernel_builder.check.rules_commands import (
    find_commands,
    is_checked,
    is_local_url,
    needs_network,
)
from kernel_builder.check.values import UNKNOWN

_VERBS: Final = r"(get|post|put|patch|delete|head|options|request|stream)"
# Calls that go to the network whatever their arguments are.
_CALLS: Final = re.compile(
    rf"requests\.({_VERBS}|Session\(\)\.{_VERBS})"
    rf"|httpx\.({_VERBS}|(Async)?Client\(\)\.{_VERBS})"
    r"|urllib\.request\.(urlopen|urlretrieve|build_opener\(\)\.open)"
    r"|urllib3\.(request|PoolManager\(\)\.(request|urlopen))"
    r"|http\.client\.HTTPS?Connection|aiohttp\.(ClientSession|request)"
    r"|socket\.(create_connection|gethostbyname|getaddrinfo)"
    r"|socket\.socket\(\)\.connect|ftplib\.FTP(_TLS)?|smtplib\.SMTP(_SSL)?"
    r"|wget\.download|gdown\.(download|download_folder|cached_download)"
    r"|wandb\.login|huggingface_hub\.(hf_hub_download|snapshot_download|login"
    r"|notebook_login|HfApi\(\)\.\w+|cached_download)"
    r"|torch\.hub\.(load_state_dict_from_url|download_url_to_file)"
    r"|torch\.utils\.model_zoo\.load_url|torchvision\.datasets\.utils\.download\w*"
    r"|sklearn\.datasets\.fetch_\w+|seaborn\.load_dataset|openml\.datasets\.get_\w+"
    r"|nltk\.download|spacy\.cli\.download|git\.Repo\.clone_from|boto3\.(client|resource)"
    r"|(tensorflow\.)?keras\.utils\.get_file|tensorflow_datasets\.load"
    r"|(tensorflow\.)?keras\.datasets\.\w+\.load_data|yfinance\.download"
    r"|fastai\.\w+(\.\w+)*\.(untar_data|download_url|download_data)"
    r"|kaggle\.api\.\w+|pip\.main|pip\._internal\.\w*main"
)
_FLAGGED: Final = re.compile(r"torchvision\.datasets\.\w+")
_READERS: Final = re.compile(
    r"pandas\.read_\w+|polars\.(read|scan)_\w+|imageio(\.v\d)?\.imread|"
    r"skimage\.io\.imread|(tensorflow_hub|hub)\.(load|KerasLayer)|numpy\.DataSource\(\)"
    r"\.open|fsspec\.open|pyarrow\.(csv|parquet)\.read_\w+"
)
_URL: Final = re.compile(r"(https?|ftp|s3|gs|gcs|hf|az)://")
# Loaders of `datasets.load_dataset` that read local files.
_LOCAL_LOADERS: Final = frozenset(
    ("csv", "json", "parquet", "text", "imagefolder", "audiofolder", "arrow", "pandas")
)
_HUB: Final = re.compile(
    r"kagglehub\.(dataset_download|model_download|competition_download|"
    r"notebook_output_download|utility_script_install|load_dataset|dataset_load)"
)
_COMMAND_ERRORS: Final = ("CalledProcessError", "SubprocessError", *NETWORK_ERRORS)
_FIX: Final = "attach the data in the metadata, or turn enable_internet on"


def check_network(subject: Subject) -> Iterator[Finding]:
    """S05: a network call while internet is off."""
    if subject.internet:
        return
    for command in find_commands(subject):
        caught = subject.caught(unit := command.unit, command.call, _COMMAND_ERRORS)
        if needs_network(command) and not (caught and is_checked(subject, command)):
            fix = "attach wheels or data and use pip install --no-index"
            shown = command.text
            yield _offline(subject, unit, command.call, shown, fix)
    for unit, call, name in subject.live_calls():
        shown = _reaches_out(subject, unit, call, name)
        if shown and not subject.caught(unit, call, NETWORK_ERRORS):
            yield _offline(subject, unit, call, shown, _FIX)


def _offline(
    subject: Subject, unit: Unit, node: ast.AST, shown: str, fix: str
) -> Finding:
    message = f"network call with internet off: {_short(shown)}"
    return subject.found("S05", "error", unit, node, message, fix)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def _reaches_out(subject: Subject, unit: Unit, call: ast.Call, name: str) -> str:
    """Describe the network call that `call` makes; empty if it makes none."""
    if _CALLS.fullmatch(name):
        return "" if _stays_here(subject, unit, call) else _shown(subject, unit, call)
    if _FLAGGED.fullmatch(name):
        on = subject.constant(unit, keyword(call, "download")) is True
        return f"{name}(download=True)" if on else ""
    if name == "wandb.init":
        return "" if _wandb_offline(subject, unit, call) else "wandb.init"
    if name == "datasets.load_dataset":
        return _hub_dataset(subject, unit, call)
    if _READERS.fullmatch(name) and call.args:
        texts = subject.texts(unit, call.args[0])
        urls = [t for t in texts if _URL.match(t) and not is_local_url(t)]
        return f"{name}({urls[0].replace(UNKNOWN, '...')!r})" if urls else ""
    return ""


def _shown(subject: Subject, unit: Unit, call: ast.Call) -> str:
    text = subject.texts(unit, call.args[0])[0] if call.args else ""
    name = ast.unparse(call.func)
    return f"{name}({text!r})" if _URL.match(text) and UNKNOWN not in text else name


def _stays_here(subject: Subject, unit: Unit, call: ast.Call) -> bool:
    """Say whether the address is this machine's own."""
    first = argument(call, 0, "url", "host", "address")
    if isinstance(first, ast.Tuple) and first.elts:
        first = first.elts[0]
    if first is None:
        return False
    texts = subject.texts(unit, first)
    hosts = ("localhost", "127.0.0.1", "0.0.0.0", "::1")
    return all(is_local_url(text) or text in hosts for text in texts)


def _wandb_offline(subject: Subject, unit: Unit, call: ast.Call) -> bool:
    if any(subject.sets_variable(name) for name in ("WANDB_MODE", "WANDB_DISABLED")):
        return True
    texts = subject.texts(unit, keyword(call, "mode"))
    return bool({"offline", "disabled", "dryrun"} & set(texts))


def _hub_dataset(subject: Subject, unit: Unit, call: ast.Call) -> str:
    for text in subject.texts(unit, argument(call, 0, "path")):
        local = text.startswith(("/", ".", "~")) or UNKNOWN in text
        if not local and text not in _LOCAL_LOADERS:
            return f"datasets.load_dataset({text!r})"
    return ""


def check_interactive(subject: Subject) -> Iterator[Finding]:
    """S31: what asks a person, or Kaggle's secret service, in a pushed run."""
    for unit, call, name in subject.live_calls():
        last = name.rpartition(".")[2]
        if name in ("builtins.input", "getpass.getpass") or (
            last == "UserSecretsClient" and name.startswith("kaggle_secrets")
        ):
            shown = name.removeprefix("builtins.").removeprefix("getpass.")
            instead = {
                "input": "write the value into the code",
                "getpass": "leave the secret out of the kernel",
            }.get(shown, "attach what the secret would fetch")
            message = f"{shown.rpartition('.')[2]} is not available in a pushed run"
            if not subject.caught(unit, call, ("EOFError", "ConnectionError")):
                yield subject.found("S31", "warning", unit, call, message, instead)


def check_hub(subject: Subject) -> Iterator[Finding]:
    """S32: kagglehub downloads of what is not attached."""
    for unit, call, name in subject.live_calls():
        if not _HUB.fullmatch(name):
            continue
        handles = subject.texts(unit, argument(call, 0, "handle"))
        if subject.metadata is None:
            missing = [handle for handle in handles if UNKNOWN not in handle]
        else:
            missing = [h for h in handles if not _is_attached(subject, h)]
        if missing and not subject.caught(unit, call, NETWORK_ERRORS):
            yield subject.found(
                "S32",
                "warning",
                unit,
                call,
                f"kagglehub cannot attach {missing[0]} during a batch run",
                "attach it in model_sources/dataset_sources and open its mount",
            )


def _is_attached(subject: Subject, handle: str) -> bool:
    if UNKNOWN in handle:
        return True
    parts = [part.lower() for part in handle.split("/") if part]
    return bool(parts) and all(
        part in subject.sources.parts or part.isdigit() or part == "versions"
        for part in parts[:2]
    )


RULES: Final = (
    Rule("S05", "error", "network call with internet off", check_network),
    Rule("S31", "warning", "asks a person or a service", check_interactive),
    Rule("S32", "warning", "kagglehub download in a batch run", check_hub),
)
