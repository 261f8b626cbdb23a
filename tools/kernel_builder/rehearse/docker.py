"""Run a rehearsal in Kaggle's own image, by a Docker that is installed here."""

import os
import shutil
import subprocess
import uuid

from kernel_builder.errors import UsageError
from kernel_builder.rehearse import sandbox
from kernel_builder.rehearse.isolation import Isolation
from kernel_builder.rehearse.meters import Command
from kernel_builder.rehearse.sandbox import IO, PROGRAMS, Spec, Step

MONITOR = "/run/kaggle_kit/monitor"
# Host variables that the Docker client itself needs to find its daemon.
CLIENT_VARIABLES = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG")
OPEN = (
    "memory and hangs: the container's own limits apply; its CPU time is not seen, so "
    "only a silent kernel counts as hanging",
)


def isolation(image: str) -> Isolation:
    """The way of running that `--docker IMAGE` asks for.

    Raises:
        UsageError: there is no docker program, no daemon, or no such image here.
    """
    docker = shutil.which("docker")
    if docker is None:
        raise UsageError(
            "--docker: no docker program found; install Docker, or rehearse without "
            "--docker (bubblewrap, --profile)"
        )
    _require(
        [docker, "version", "--format", "{{.Server.Version}}"],
        "--docker: the Docker daemon does not answer; start it",
    )
    _require(
        [docker, "image", "inspect", "--format", "{{.Id}}", image],
        f"--docker {image}: this image is not here; fetch it with: docker pull {image}",
    )
    return Isolation("docker", lambda spec: docker_command(spec, docker, image), OPEN)


def _require(command: list[str], problem: str) -> None:
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{problem} ({error})") from error
    if answer.returncode != 0:
        raise UsageError(f"{problem} ({answer.stderr.strip()[:300]})")


def image_python() -> sandbox.Python:
    """The interpreter inside the image."""
    from pathlib import Path

    return sandbox.Python(Path("python3"), (), "of the image")


def docker_command(spec: Spec, docker: str, image: str) -> Command:
    """`docker run` with Kaggle's mounts, limits and variables; no network."""
    name = f"kaggle-kit-{uuid.uuid4().hex[:12]}"
    argv = [docker, "run", "--rm", "--name", name, "--network", "none"]
    argv += ["--hostname", "kaggle", "--workdir", "/kaggle/working"]
    # Equal limits mean: no swap, as on Kaggle. The image tests use 2 GB of /dev/shm.
    argv += ["--memory", f"{spec.memory_bytes}b", "--memory-swap"]
    argv += [f"{spec.memory_bytes}b", "--cpus", str(spec.cpus), "--shm-size", "2g"]
    if spec.gpu:
        argv += ["--gpus", "all"]
    for step in _steps(spec):
        mount = f"type=bind,source={step.source},target={step.target}"
        argv += ["--mount", mount + (",readonly" if step.kind == "ro" else "")]
    env = sandbox.environment(spec)
    del env["PATH"]  # the image's own
    env["PYTHONPATH"] += f":{MONITOR}"
    for key, value in env.items():
        argv += ["--env", f"{key}={value}"]
    # The supervisor gives what root wrote to whoever owns the folder here.
    argv += [image, *sandbox.kernel_command(spec, PROGRAMS, IO, "/kaggle/src")]
    host = {key: os.environ[key] for key in CLIENT_VARIABLES if key in os.environ}
    return Command(argv, host, spec.scratch, stop=(docker, "kill", name))


def _steps(spec: Spec) -> list[Step]:
    """Our own mounts; the rest of the file system is the image's."""
    scratch = spec.scratch.resolve()
    steps = [
        Step("rw", str(scratch / "io"), IO),
        Step("ro", str(scratch / "programs"), PROGRAMS),
        Step("ro", str(scratch / "lib"), MONITOR),
        Step("ro", str(scratch / "src"), "/kaggle/src"),
        Step("ro", str(scratch / "input"), "/kaggle/input"),
        Step("rw", str(spec.working.resolve()), "/kaggle/working"),
        *(Step("ro", str(m.source.resolve()), m.target) for m in spec.mounts),
    ]
    for step in steps:
        if "," in step.source:
            raise UsageError(
                f"--docker: Docker cannot mount a path with a comma: {step.source}"
            )
    return steps
