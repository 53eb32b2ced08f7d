"""The model: images to latents and back, by its graphs in onnxruntime."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]

from contract import CONTRACT

Arrays = dict[str, np.ndarray]

FOLDER = Path(__file__).resolve().parent


class Autoencoder:
    """A graph is opened when it is first used; sessions may be shared by threads.

    Images are float32 [N, C, H, W] in [0, 1], as ``image_file.read_image`` gives them one by one. ``sigma``, of a model
    that is told how much noise they have, is its standard deviation in levels of 255.
    """

    def __init__(self, folder: Path = FOLDER, *, threads: int = 0) -> None:
        """``folder`` holds ``model/``. ``threads`` 0: as many as cores that this process may use."""
        self._folder = folder
        self._threads = threads or _cores()
        self._sessions: dict[str, onnxruntime.InferenceSession] = {}

    def encode(self, images: np.ndarray, sigma: float | None = None) -> Arrays:
        """``latent`` [N, …], and ``logvar`` or ``indices`` where the model has them."""
        return self.run("encoder", told(images, sigma))

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Images, float32 [N, C, H, W] in [0, 1]."""
        return self.run("decoder", {"latent": latents})["image"]

    def reconstruct(self, images: np.ndarray, sigma: float | None = None) -> np.ndarray:
        """The same images as the model gives them back, float32 [N, C, H, W] in [0, 1]."""
        return self.run("autoencoder", told(images, sigma))["reconstruction"]

    def run(self, role: str, inputs: Arrays) -> Arrays:
        """One graph of the contract, all its outputs by name. Raises KeyError where the model has no such graph."""
        graph = graph_of(role)
        names = [output["name"] for output in graph["outputs"]]
        return dict(zip(names, self._session(role, graph).run(names, inputs), strict=True))

    def _session(self, role: str, graph: dict[str, Any]) -> onnxruntime.InferenceSession:
        if role not in self._sessions:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = self._threads
            options.log_severity_level = 4
            path = str(self._folder / graph["file"])
            # The CPU by name: another provider computes slightly otherwise, and would have to prove itself.
            self._sessions[role] = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return self._sessions[role]


def graph_of(role: str) -> dict[str, Any]:
    """What the contract says of a graph."""
    for graph in CONTRACT["graphs"]:
        if graph["role"] == role:
            found: dict[str, Any] = graph
            return found
    raise KeyError(role)


def told(images: np.ndarray, sigma: float | None) -> Arrays:
    """What a graph takes for images. Raises ValueError where ``sigma`` is missing, not such a one, or of no use."""
    noise = CONTRACT["noise"]
    if noise is None:
        if sigma is not None:
            raise ValueError("this model is told nothing of the noise: leave sigma out")
        return {"image": images}
    if sigma is None or not 0 <= sigma <= noise["maximum"]:
        raise ValueError(
            "this model is told how much noise there is: give sigma, its standard deviation in levels of 255, "
            f"from 0 to {noise['maximum']:g}"
        )
    batch, _, height, width = images.shape
    return {"image": images, "sigma": np.full((batch, 1, height, width), sigma, np.float32)}


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
