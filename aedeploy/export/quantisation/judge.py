"""What a graph in less than float32 costs, in dB of images and in decisions that fall otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
import onnx

from aedeploy.export.quantisation.ranges import feeds, open_session
from aedeploy.export.split import Graph, Inputs
from aedeploy.images.pixels import to_floats

#: Enough to tell one plan from another; a search asks for a plan's figures dozens of times.
_VALUES = 2**20
_MOST_IMAGES = 64


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of a graph, against PyTorch in float32."""

    psnr: float  # dB, of images in [0, 1]; infinite when they are equal
    otherwise: float  # the share of indices that came out otherwise; 0 where there are none


class Judge:
    """Runs candidates for a graph on real images, again and again, and compares them with PyTorch."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        samples = graph.samples_NHWC
        self._samples = samples[: max(1, min(_MOST_IMAGES, _VALUES // samples[0].size))]
        self._inputs = graph.real_inputs(self._samples)
        self._reference = graph.reference(self._inputs)
        self._images = graph.images(self._reference)

    def cost(self, model: onnx.ModelProto) -> Cost:
        """What a candidate costs on real images; one that gives NaN costs everything."""
        outputs = run(model, self._inputs)
        if any(not np.isfinite(array).all() for array in outputs.values()):
            return Cost(psnr=-inf, otherwise=1.0)
        mean_square = float(np.mean((self._graph.images(outputs) - self._images).astype(np.float64) ** 2))
        psnr = inf if mean_square == 0.0 else float(-10 * np.log10(mean_square))
        if "indices" not in outputs:
            return Cost(psnr=psnr, otherwise=0.0)
        return Cost(psnr=psnr, otherwise=float(np.mean(outputs["indices"] != self._reference["indices"])))

    def own_psnr(self, sigma: float) -> float:
        """dB, of what a denoiser itself makes of images with that much noise, against the images without it."""
        found = self._graph.reference(self._graph.real_inputs(self._samples, sigma))
        clean = to_floats(self._samples)
        images = self._graph.images(found)
        if found[self._graph.outputs[0].name].dtype == np.uint8:
            images = images.transpose(0, 3, 1, 2)
        return float(-10 * np.log10(np.mean((images - clean).astype(np.float64) ** 2)))


def run(model: onnx.ModelProto, inputs: Inputs) -> dict[str, np.ndarray]:
    """All outputs of a model, for inputs of any number."""
    session = open_session(model)
    names = [output.name for output in session.get_outputs()]
    parts = [session.run(names, feed) for feed in feeds(session, inputs)]
    return {name: np.concatenate(arrays) for name, arrays in zip(names, zip(*parts, strict=True), strict=True)}


def extremes(graph: Graph) -> Inputs:
    """What this graph is given for images that are black, white, a checkerboard and noise: where sums overflow."""
    shape = graph.samples_NHWC.shape[1:]
    rows, columns = np.indices(shape[:2])
    board = np.repeat(((rows + columns) % 2 * 255).reshape(*shape[:2], 1), shape[2], axis=2)
    noise = np.random.default_rng(0).integers(0, 256, (4, *shape))
    images = np.stack([np.zeros(shape), np.full(shape, 255), board, *noise])
    return graph.real_inputs(images.astype(np.uint8))
