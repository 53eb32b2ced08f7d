"""What a contender's process does: open its graph, and on each word from the parent measure once more.

It is told what by its one argument, takes words on its standard input, a line each, and answers on its standard
output, a JSON object a line. When its input ends, its parent is gone or has had enough: it ends at once, in the
midst of a measurement too.
"""

from __future__ import annotations

import gc
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.bundle.golden import GoldenCase, load_golden, load_samples
from aedeploy.bundle.manifest import SIGMA
from aedeploy.errors import AedeployError
from aedeploy.images.noise import sigma_maps
from aedeploy.images.pixels import to_bytes, to_floats
from aedeploy.runtime.open import open_graph
from aedeploy.runtime.runner import Arrays, GraphRunner

# Of one round: long enough to see the slow calls, short enough that a round of all contenders is over soon.
_LATENCY_SECONDS, _LATENCY_CALLS = 0.2, (5, 200)
_THROUGHPUT_SECONDS, _THROUGHPUT_CALLS = 0.4, (2, 2000)
# TorchScript optimises in its second call with a new shape.
_WARM_UP = 3
_IMAGES_AT_ONCE = 16


def main(task: Mapping[str, Any]) -> None:
    """Serve the parent until it has no more to ask."""
    say = _own_stdout()
    asked: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(asked,), daemon=True).start()
    measured = None
    while True:
        word = json.loads(asked.get())
        try:
            if word["do"] == "open":
                measured = Measured(task)
                say({})
            elif measured is not None and word["do"] == "round":
                say(measured.round())
            elif measured is not None and word["do"] == "reconstruct":
                measured.reconstruct(Path(word["inputs"]), Path(word["into"]))
                say({})
        except AedeployError as error:
            say({"error": str(error)})
        except MemoryError:
            say({"error": "There is not enough memory for it."})
        except Exception as error:  # an engine's own: a row's status, not the end of the others
            say({"error": f"{type(error).__name__}: {error}"})


class Measured:
    """One graph, opened as its task says."""

    def __init__(self, task: Mapping[str, Any]) -> None:
        self._task = task
        if task["module"] and not task["format"]:
            # Somebody's own code, which the weights need: the one who asks for this row has named it.
            from aedeploy.models.own import trust

            trust(task["module"])
        self._bundle = open_bundle(Path(task["bundle"]))
        self._runner = self._open(task["role"])
        self._one, self._many = (_inputs(self._bundle, task, count) for count in (1, task["batch"]))

    def round(self) -> dict[str, Any]:
        """Open the graph afresh, and time calls of one image and of a batch."""
        self._runner.close()
        start = time.perf_counter()
        self._runner = self._open(self._task["role"])
        load = time.perf_counter() - start
        gc.collect()
        gc.disable()
        try:
            latencies = self._calls(self._one, _LATENCY_SECONDS, _LATENCY_CALLS)
            batches = self._calls(self._many, _THROUGHPUT_SECONDS, _THROUGHPUT_CALLS)
        finally:
            gc.enable()
        return {
            "load": load,
            "latencies": latencies,
            "images_per_second": self._task["batch"] * len(batches) / sum(batches),
            "peak_bytes": peak_bytes(),
        }

    def reconstruct(self, inputs: Path, into: Path) -> None:
        """Write what the whole autoencoder makes of its inputs, .npz of float32, as .npy, float32 [N, C, H, W]."""
        with np.load(inputs) as stored:
            given = dict(stored)
        as_bytes = self._task["pixels"] == "uint8"
        parts = []
        with self._open("autoencoder") as runner:
            for start in range(0, len(given["image"]), _IMAGES_AT_ONCE):
                part = {name: array[start : start + _IMAGES_AT_ONCE] for name, array in given.items()}
                if as_bytes:
                    part["image"] = to_bytes(part["image"])
                result = runner.run(part)["reconstruction"]
                parts.append(to_floats(result) if as_bytes else result)
        np.save(into, np.concatenate(parts))

    def _open(self, role: str) -> GraphRunner:
        task = self._task
        return open_graph(
            self._bundle,
            role,
            backend=task["backend"],
            format=task["format"],
            pixels=task["pixels"] if task["format"] else None,
            device=task["device"],
            threads=task["threads"],
            allow_failed=True,
        )

    def _calls(self, inputs: Arrays, seconds: float, calls: tuple[int, int]) -> list[float]:
        """What each call took: as many as fit in the time, within bounds."""
        for _ in range(_WARM_UP):
            self._runner.run(inputs)
        fewest, most = calls
        taken: list[float] = []
        begun = time.perf_counter()
        while len(taken) < fewest or (len(taken) < most and time.perf_counter() - begun < seconds):
            start = time.perf_counter()
            self._runner.run(inputs)
            taken.append(time.perf_counter() - start)
        return taken


def _inputs(bundle: Bundle, task: Mapping[str, Any], count: int) -> Arrays:
    """Real inputs of the training size, repeated as often as it takes."""
    golden = bundle.file(bundle.manifest.golden)
    if task["role"] == "decoder":
        cases = [case for case in load_golden(golden) if case.role == "decoder"]
        latents = _of_own_size(bundle, max(cases, key=lambda case: case.batch))
        return {"latent": np.take(latents, range(count), axis=0, mode="wrap")}
    images = np.take(load_samples(golden), range(count), axis=0, mode="wrap")
    floats = to_floats(images)
    return {"image": images if task["pixels"] == "uint8" else floats, **_told(bundle, floats)}


def _of_own_size(bundle: Bundle, case: GoldenCase) -> np.ndarray:
    """Golden latents, repeated in both directions where they are of smaller images than the model's own."""
    image, latents = bundle.manifest.image, case.inputs["latent"]
    if latents.ndim == 2:
        return latents
    golden = case.outputs["image"].shape[2:]
    more = [
        place * own // size - place
        for place, own, size in zip(latents.shape[2:], (image.height, image.width), golden, strict=True)
    ]
    return np.pad(latents, ((0, 0), (0, 0), *((0, beyond) for beyond in more)), mode="wrap")


def _told(bundle: Bundle, images_BCHW: np.ndarray) -> Arrays:
    """What a graph is given beside images."""
    noise = bundle.manifest.noise
    if noise is None:
        return {}
    batch, _, height, width = images_BCHW.shape
    return {SIGMA: sigma_maps(batch, height, width, noise.maximum)}


def peak_bytes() -> int | None:
    """The most memory that this process ever had in use; None where the system does not say."""
    try:
        # Not getrusage: what it counts in a process goes back to the one that started it.
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _listen(asked: queue.Queue[str]) -> None:
    for line in sys.stdin:
        asked.put(line)
    os._exit(0)


def _own_stdout() -> Any:
    """Keep stdout for answers: what else is printed in this process goes to stderr."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(answer: Mapping[str, Any]) -> None:
        try:
            stream.write(json.dumps(answer) + "\n")
            stream.flush()
        except OSError:  # nobody listens any more
            os._exit(0)

    return say
