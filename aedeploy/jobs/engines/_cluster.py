"""The connection to a Ray cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from aedeploy.errors import ConfigError, JobError
from aedeploy.jobs.engines import EngineOptions
from aedeploy.runtime.cores import available_cores

# Seconds.
_ANSWERS_WITHIN = 5.0

# Of the Ray that is started here: paths and reports go through it, no pixels.
_STORE_BYTES = 256 * 2**20


@contextlib.contextmanager
def connected(ray: ModuleType, options: EngineOptions) -> Iterator[None]:
    """The cluster: one that this process is connected to already, or the one of the address, or one of our own."""
    if ray.is_initialized():
        yield
        return
    address = options.address or os.environ.get("RAY_ADDRESS") or "local"
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    how: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        how |= {"num_cpus": options.workers or available_cores(), "object_store_memory": _STORE_BYTES}
        how |= {"include_dashboard": False}
    else:
        _check_address(address)
    _hush(ray)
    try:
        with _same_signals():
            ray.init(**how)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        if address == "local":
            raise JobError(f"Ray cannot be started here: {last_line(error)}.") from error
        raise _no_cluster(address, last_line(error)) from error
    try:
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _same_signals() -> Iterator[None]:
    """Ray would end this process at SIGTERM, where a job is to finish what was begun."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


def _check_address(address: str) -> None:
    """Ray itself would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if "/" in host or not port.isdecimal():
        raise ConfigError(f"--address is  auto , or HOST:PORT of the cluster's head: {address!r} is neither.")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWERS_WITHIN).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, getattr(error, "strerror", None) or str(error)) from error


def _no_cluster(address: str, why: str) -> ConfigError:
    return ConfigError(
        f"There is no Ray cluster at {address}, or this machine is no node of it ({why}): start one with "
        " ray start --head , or leave out --address."
    )


def _hush(ray: ModuleType) -> None:
    """Ray prints pages about processes that died on stdout, whatever it is asked: that is where --json goes."""
    worker: Any = getattr(ray._private, "worker", None)
    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *arguments, **options: None


def last_line(error: BaseException) -> str:
    """What an error of Ray says, without the page around it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else type(error).__name__
