"""Ray, started quietly where nobody has, and ended where it was started here."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from lampblack.exceptions import InvalidInput, MissingExtra, Setting

# Of a core, for each process that scores. Below 1, so that as many of them as there are cores leave
# Ray's own tasks, which read and hand over, room to run.
CPUS_A_WORKER = 0.5

TOKEN = "; set RAY_AUTH_MODE and RAY_AUTH_TOKEN as the cluster has them (docs/scale.md)"


def import_ray() -> Any:
    """Ray with its data sets. It reports nothing home, and says nothing but errors.

    Raises MissingExtra where it is not installed.
    """
    if find_spec("ray") is None:
        raise MissingExtra(Setting("engine", "ray"), " needs Ray", extra="ray")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    import ray.data

    return ray


@contextmanager
def ray_session(address: str | None, workers: int) -> Iterator[Any]:
    """Ray, connected: as it is, to the cluster at `address` or RAY_ADDRESS, or started here.

    What was connected or started here is left or ended afterwards, nothing else is.
    """
    ray = import_ray()
    if ray.is_initialized():
        if address is not None:
            raise InvalidInput(f"Ray is running already; leave the address {address} out")
        with _quiet(ray):
            yield ray
        return
    address = address or os.environ.get("RAY_ADDRESS")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        options |= {"address": "local", "include_dashboard": False}
        needed = math.ceil(CPUS_A_WORKER * workers)
        if needed > (os.cpu_count() or 1):  # else Ray's own count, which knows a container's share
            options["num_cpus"] = needed
    else:
        options |= {"address": address}
    try:
        with _silent_core():
            ray.init(**options)
    except (ConnectionError, ImportError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        hint = TOKEN if "token" in reason.lower() or "authenticat" in reason.lower() else ""
        raise InvalidInput(
            f"Ray cannot be reached at {address or 'this machine'}: {reason}{hint}"
        ) from None
    try:
        with _quiet(ray):
            yield ray
    finally:
        ray.shutdown()


@contextmanager
def _silent_core() -> Iterator[None]:
    """Start Ray's core so that it prints no errors; Python's exceptions are untouched.

    It prints one for every pool of processes, since they may be restarted; and, as it starts, a
    line that says at which level it prints.
    """
    name = "RAY_BACKEND_LOG_LEVEL"
    if name in os.environ:
        yield
        return
    os.environ[name] = "fatal"
    kept = os.dup(2)
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        del os.environ[name]


@contextmanager
def _quiet(ray: Any) -> Iterator[None]:
    """No progress bars or plans of Ray's on the terminal, for as long as this lasts."""
    context = ray.data.DataContext.get_current()
    names = ("enable_progress_bars", "print_on_execution_start")
    before = {name: getattr(context, name) for name in names if hasattr(context, name)}
    logger = logging.getLogger("ray.data")
    level = logger.level
    for name in before:
        setattr(context, name, False)
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        for name, value in before.items():
            setattr(context, name, value)


def most_workers(ray: Any, device: str) -> int:
    """As many processes as the cluster has cores; with "cuda", as it has GPUs."""
    resource = "GPU" if device.startswith("cuda") else "CPU"
    return max(1, int(ray.cluster_resources().get(resource, 1)))


def actor_options(ray: Any, workers: int, device: str) -> dict[str, Any]:
    """Options of `map_batches` for so many processes, each with its own model."""
    options: dict[str, Any] = {"compute": ray.data.ActorPoolStrategy(size=workers)}
    if device.startswith("cuda"):
        return {**options, "num_gpus": 1}
    return {**options, "num_cpus": CPUS_A_WORKER}
