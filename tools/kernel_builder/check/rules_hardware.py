"""M05, S16-S19: what the code expects of the machine, against what it gets."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from kernel_builder.check.findings import Finding
from kernel_builder.check.program import Unit
from kernel_builder.check.rules_base import Rule, Subject, argument, keyword

_NEEDS_CUDA: Final = re.compile(
    r"torch\.cuda\.(set_device|get_device_(name|properties|capability)|"
    r"current_device|synchronize|mem_get_info|memory_\w+|Stream|Event)"
)
_DEVICE_WORD: Final = re.compile(r"(?i)cuda|gpu|device|accelerator")
_CUDA: Final = re.compile(r"cuda(:\d+)?")
_ERRORS: Final = ("RuntimeError", "AssertionError")
_ARCH_ASKED: Final = (
    "torch.cuda.get_device_capability",
    "torch.cuda.get_arch_list",
)
_NATIVE_BF16: Final = 80  # Ampere
_SPAWNERS: Final = re.compile(
    r"(torch\.)?multiprocessing(\.\w+)*\.(Pool|Process|spawn|ProcessPoolExecutor)"
    r"|(torch\.)?multiprocessing\.get_context\(\)\.(Pool|Process)"
    r"|(torch\.)?multiprocessing\.(set_start_method)"
    r"|concurrent\.futures\.(process\.)?ProcessPoolExecutor"
    r"|torch\.distributed\.launcher\.\w+|accelerate\.notebook_launcher"
)


# -- M05


def check_cuda(subject: Subject) -> Iterator[Finding]:
    """M05: the code cannot do without CUDA, and the metadata asks for no GPU."""
    if subject.metadata is None:
        return
    empty = subject.metadata.raw.get("machine_shape") == ""
    if subject.gpu and not empty:
        return
    for unit, node, shown in _cuda_uses(subject):
        if subject.gpu:
            yield subject.in_metadata(
                "M05",
                "warning",
                "machine_shape",
                f"code needs CUDA ({unit.path}:{node.lineno}) but machine_shape is "
                "empty: which GPU it gets is left to Kaggle",
                f"write {subject.profile.default_gpu}",
            )
        else:
            yield subject.found(
                "M05",
                "error",
                unit,
                node,
                f"code needs CUDA but metadata asks for no GPU: {shown}",
                "set enable_gpu to true and machine_shape to "
                f"{subject.profile.default_gpu}, or choose the device with "
                "torch.cuda.is_available()",
            )
        return


def _cuda_uses(
    subject: Subject,
) -> Iterator[tuple[Unit, ast.Assert | ast.If | ast.Call, str]]:
    yield from _demands(subject)
    for unit, call, name in subject.live_calls():
        shown = _cuda_use(subject, unit, call, name)
        optional = subject.caught(unit, call, _ERRORS) or _is_asked_first(unit, call)
        if shown and not optional:
            yield unit, call, shown


def _is_asked_first(unit: Unit, call: ast.Call) -> bool:
    """Say whether a condition or loop around a call asks for the device somehow."""
    tests: list[ast.expr] = [above.test for above in unit.around(call, ast.If)]
    tests += [above.test for above in unit.around(call, ast.IfExp)]
    tests += [above.iter for above in unit.around(call, ast.For)]
    return any(_DEVICE_WORD.search(ast.unparse(test)) for test in tests)


def _demands(
    subject: Subject,
) -> Iterator[tuple[Unit, ast.Assert | ast.If, str]]:
    """Find where the code refuses to go on without CUDA."""
    asked = "torch.cuda.is_available()"
    for unit, claim in subject.program.nodes(ast.Assert):
        if (
            _asks(subject, unit, claim.test, asked)
            and subject.live(unit, claim)
            and subject.reach.conditions.truth(unit, claim.test) is False
        ):
            yield unit, claim, f"assert {ast.unparse(claim.test)}"
    for unit, branch in subject.program.nodes(ast.If):
        stops = isinstance(branch.body[-1], ast.Raise)
        if stops and _asks(subject, unit, branch.test, asked):
            taken = subject.reach.conditions.truth(unit, branch.test)
            if taken and subject.live(unit, branch):
                yield unit, branch, f"if {ast.unparse(branch.test)}: raise"


def _asks(subject: Subject, unit: Unit, test: ast.expr, name: str) -> bool:
    return any(
        subject.dotted(unit, node) == name
        for node in ast.walk(test)
        if isinstance(node, ast.Call)
    )


def _cuda_use(subject: Subject, unit: Unit, call: ast.Call, name: str) -> str:
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if _NEEDS_CUDA.fullmatch(name):
        return f"{name}()"
    if method == "cuda" and not name.startswith("torch.cuda"):
        return f"{ast.unparse(call.func)}()"
    first = name == "torch.device" or method == "to"
    places = call.args[:1] if first else []
    if name == "torch.autocast" or name.endswith("amp.autocast"):
        return ""  # only warns without CUDA
    if name.startswith(("torch.", "transformers.", "torchvision.")) or method == "to":
        places += [
            value
            for word in ("device", "map_location")
            if (value := keyword(call, word)) is not None
        ]
    for place in places:
        if _is_cuda(subject, unit, place):
            return ast.unparse(call)[:60]
    return _boosting(subject, unit, call, name)


def _is_cuda(subject: Subject, unit: Unit, expr: ast.expr) -> bool:
    """Say whether a device expression is a literal `cuda` in every case."""
    texts = subject.texts(unit, expr)
    return bool(texts) and all(_CUDA.fullmatch(text) for text in texts)


def _boosting(subject: Subject, unit: Unit, call: ast.Call, name: str) -> str:
    if name.endswith(("pytorch_lightning.Trainer", "lightning.Trainer")):
        accelerator = subject.constant(unit, keyword(call, "accelerator"))
        return f"{name}(accelerator='gpu')" if accelerator in ("gpu", "cuda") else ""
    if (
        name.startswith("catboost.")
        and subject.constant(unit, keyword(call, "task_type")) == "GPU"
    ):
        return f"{name}(task_type='GPU')"
    if name.startswith("lightgbm."):
        device = keyword(call, "device") or keyword(call, "device_type")
        if subject.constant(unit, device) in ("gpu", "cuda"):
            return f"{name}(device={subject.constant(unit, device)!r})"
    return ""


# -- S16


def check_precision(subject: Subject) -> Iterator[Finding]:
    """S16: bfloat16 or FlashAttention 2 on a GPU that has neither."""
    machine = subject.machine
    if machine is None or machine.capability >= _NATIVE_BF16:
        return
    if any(
        _asks_architecture(unit, call, name)
        for unit, call, name in subject.program.calls()
    ):
        return
    seen: set[int] = set()
    for unit, node, shown in [*_bf16_names(subject), *_bf16_arguments(subject)]:
        line = getattr(node, "lineno", 0)
        if line in seen or not subject.live(unit, node):
            continue
        seen.add(line)
        yield subject.found(
            "S16",
            "warning",
            unit,
            node,
            f"{machine.name} (sm_{machine.capability}) has no native {shown}",
            "use fp16 with a GradScaler"
            if "bf16" in shown
            else "use attn_implementation='sdpa'",
        )


def _asks_architecture(unit: Unit, call: ast.Call, name: str) -> bool:
    """Say whether a call asks for the GPU's kind, and does more than to print it."""
    if name in _ARCH_ASKED:
        return True
    kinds = ("torch.cuda.get_device_name", "torch.cuda.get_device_properties")
    return name in kinds and any(True for _ in unit.around(call, ast.Compare))


def _bf16_names(subject: Subject) -> Iterator[tuple[Unit, ast.AST, str]]:
    for unit, node in subject.program.nodes(ast.Attribute):
        if (
            node.attr == "bfloat16"
            and subject.dotted(unit, node) == "torch.bfloat16"
            and not _is_compared(unit, node)
        ):
            yield unit, node, "bf16 (torch.bfloat16)"


def _is_compared(unit: Unit, node: ast.AST) -> bool:
    return any(True for _ in unit.around(node, ast.Compare))


def _bf16_arguments(subject: Subject) -> Iterator[tuple[Unit, ast.AST, str]]:
    for unit, call, _ in subject.live_calls():
        for word in ("bf16", "bf16_full_eval"):
            if subject.constant(unit, keyword(call, word)) is True:
                yield unit, call, f"bf16 ({word}=True)"
        precision = subject.constant(unit, keyword(call, "precision"))
        if isinstance(precision, str) and precision.startswith("bf16"):
            yield unit, call, f"bf16 (precision={precision!r})"
        if isinstance(call.func, ast.Attribute) and call.func.attr == "bfloat16":
            yield unit, call, "bf16 (.bfloat16())"
        attention = subject.constant(unit, keyword(call, "attn_implementation"))
        if attention in ("flash_attention_2", "flash_attention_3"):
            yield unit, call, f"{attention}"


# -- S17


def check_workers(subject: Subject) -> Iterator[Finding]:
    """S17: more loader workers than Kaggle has processors."""
    cpus = subject.profile.limits["cpu_count"]
    for unit, call, _ in subject.live_calls():
        for word in ("num_workers", "dataloader_num_workers"):
            value = keyword(call, word)
            workers = subject.constant(unit, value)
            if value is not None and isinstance(workers, int) and workers > cpus:
                message = f"Kaggle has {cpus} vCPU: {word}={workers}"
                fix = f"use at most {cpus}"
                yield subject.found("S17", "warning", unit, value, message, fix)


# -- S18


def check_spawn(subject: Subject) -> Iterator[Finding]:
    """S18: processes started while the script is imported again."""
    spawns = _start_method(subject) in ("spawn", "forkserver")
    for unit, call, name in subject.live_calls():
        if not _SPAWNERS.fullmatch(name) or not unit.is_entry:
            continue
        if name.endswith("set_start_method"):
            continue
        starts = ast.unparse(call.func)
        if subject.reach.import_time(unit, call):
            yield subject.found(
                "S18",
                "warning",
                unit,
                call,
                f"{starts} runs when the script is imported, and spawn re-imports the "
                "script",
                'guard it with if __name__ == "__main__"',
            )
        elif subject.notebook and (spawns or name.endswith(".spawn")):
            yield subject.found(
                "S18",
                "warning",
                unit,
                call,
                f"{starts}: a notebook cannot spawn functions defined in a cell",
                "use kernel_type script, or the fork start method",
            )


def _start_method(subject: Subject) -> str:
    for unit, call, name in subject.live_calls():
        if name.endswith(("multiprocessing.set_start_method", ".get_context")):
            value = subject.constant(unit, argument(call, 0, "method"))
            if isinstance(value, str):
                return value
    return "fork" if subject.profile.python_version < (3, 14) else "forkserver"


# -- S19


def check_two_gpus(subject: Subject) -> Iterator[Finding]:
    """S19: code that spreads over both GPUs without having been tried on two."""
    machine = subject.machine
    if machine is None or machine.devices < 2:
        return
    if subject.sets_variable("CUDA_VISIBLE_DEVICES"):
        return
    for unit, call, name in subject.live_calls():
        if name in ("torch.nn.DataParallel", "torch.nn.parallel.DataParallel") or (
            name.endswith(("pytorch_lightning.Trainer", "lightning.Trainer"))
            and _takes_all(subject, unit, call)
        ):
            yield subject.found(
                "S19",
                "warning",
                unit,
                call,
                f"{machine.devices} GPUs are visible on {machine.name}: "
                f"{ast.unparse(call.func)} uses them all",
                "set CUDA_VISIBLE_DEVICES=0, or test on two devices",
            )


def _takes_all(subject: Subject, unit: Unit, call: ast.Call) -> bool:
    accelerator = subject.constant(unit, keyword(call, "accelerator"))
    devices = keyword(call, "devices")
    value = subject.constant(unit, devices)
    everything = devices is None or value in ("auto", -1, "-1")
    return accelerator in (None, "auto", "gpu", "cuda") and everything


RULES: Final = (
    Rule("M05", "error", "code needs CUDA, no GPU asked for", check_cuda),
    Rule("S16", "warning", "precision the GPU has not", check_precision),
    Rule("S17", "warning", "too many loader workers", check_workers),
    Rule("S18", "warning", "unguarded processes", check_spawn),
    Rule("S19", "warning", "two GPUs visible", check_two_gpus),
)
