"""What works on a node of a Ray cluster."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
import time
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from aedeploy.errors import JobError
from aedeploy.files import PARTIAL_SUFFIX
from aedeploy.images.read import quiet_pillow
from aedeploy.jobs.chunk import Chunk
from aedeploy.jobs.engines.child import portable
from aedeploy.jobs.gate import ReadingGate
from aedeploy.jobs.shard import Crew, open_work, run_shard
from aedeploy.jobs.spec import Settings, ShardReport, ShardSpec, StageSeconds

# Seconds. Network file systems take a moment to show a file of another machine.
_SEEN_WITHIN = 5.0

#: What makes the bytes of outputs, besides the bundle.
_PACKAGES = ("aedeploy", "numpy", "pillow", "pyarrow", "onnxruntime", "openvino", "ncnn", "torch")


@dataclass(frozen=True, kw_only=True)
class Need:
    """What a node must have."""

    token: Path
    places: tuple[str, ...]  # files and folders
    versions: dict[str, str]


def need(settings: Settings, token: Path) -> Need:
    """What a node must have, as it is here."""
    return Need(token=token, places=_places(settings), versions=_versions())


class Worker:
    """An actor. Errors are answers, not raised: Ray would wrap them."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._token = Path()

    def open(self, settings: Settings, need: Need) -> str | Exception:
        """Make ready; the name of this machine, or what keeps it from working."""
        self._token = need.token
        try:
            _check_node(settings.output, need)
            open_work(settings)
        except Exception as error:
            return portable(error)
        return socket.gethostname()

    def run(self, spec: ShardSpec) -> ShardReport | Exception:
        crew = Crew(gate=ReadingGate(1), seen=self._seen, stop=self._stop)
        try:
            with quiet_pillow():
                report = run_shard(spec, crew)
        except Exception as error:
            return portable(error)
        return report if report.error is None else replace(report, error=portable(report.error))

    def stop(self) -> None:
        """End the shard after the chunk that is at work."""
        self._stop.set()

    def _seen(self, chunk: Chunk, seconds: StageSeconds) -> None:
        if not self._token.exists():  # nobody would know of what is committed now
            os._exit(1)


def _places(settings: Settings) -> tuple[str, ...]:
    """What is a path here must be one there: no URL, no pattern, and no list, since only what it names is read."""
    inputs = [] if settings.origin.kind == "files" else [settings.origin.location]
    bundles = [settings.bundle, *([settings.grey.bundle] if settings.grey else [])]
    return tuple(place for place in (*bundles, *inputs) if Path(place).exists())


def _check_node(output: str, need: Need) -> None:
    host = socket.gethostname()
    for package, theirs in _versions().items():
        if (ours := need.versions.get(package, theirs)) != theirs:
            raise JobError(f"The Ray node {host} has {package} {theirs} and not {ours} as here: outputs would differ.")
    end = time.monotonic() + _SEEN_WITHIN
    while not need.token.exists():
        if time.monotonic() > end:
            raise _not_shared(host, output)
        time.sleep(0.2)
    for place in need.places:
        if not Path(place).exists():
            raise _not_shared(host, place)
    try:
        probe = need.token.with_name(f".{secrets.token_hex(8)}{PARTIAL_SUFFIX}")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise JobError(
            f"The Ray node {host} cannot write to {output}: {error.strerror or error}. Give its user the right to."
        ) from None


def _not_shared(host: str, what: str) -> JobError:
    return JobError(
        f"The Ray node {host} does not see {what}: bundle, inputs and --out must be on storage that all "
        "nodes have under the same path."
    )


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
