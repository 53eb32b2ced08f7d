"""What all tests share: the real data beside a checkout, and small trained bundles."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from recipe_questions import trains_on_patches
from slow_tests import is_slow
from tiny_photographs import write_photographs

from aedeploy.bundle import Bundle
from aedeploy.files import locked

# Of a suite that was started in the background, programs that it starts would ignore SIGINT too, and no test of Ctrl-C
# would mean anything.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images that lies beside a developer's checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real images of ../shared/data are not beside this checkout")
    return SHARED_DATA


@pytest.fixture(scope="session")
def trained_bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    """Bundles trained for one epoch, none exported, each made when it is first asked for by name, for all workers:

    every recipe's, on 600 of the embedded digits, or on 64 patches of drawn photographs where it wants patches, and
    two on small colour images with standardised inputs, ``standardised-rgb`` and ``other-rgb``, of different seeds.
    Copy one before changing it.
    """
    return TrainedBundles(_of_all_workers(tmp_path_factory, "trained"))


@pytest.fixture(scope="session")
def exported_bundles(trained_bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    """Copies of ``trained_bundles``, exported as ONNX and TorchScript. Copy one before changing it."""
    return ExportedBundles(trained_bundles, _of_all_workers(tmp_path_factory, "exported"))


def _of_all_workers(tmp_path_factory: pytest.TempPathFactory, name: str) -> Path:
    """A folder that the processes of pytest-xdist have in common: what one of them has made, no other makes again."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / name
    folder.mkdir(exist_ok=True)
    return folder


@dataclass(frozen=True, kw_only=True)
class _Training:
    recipe: str
    overrides: Sequence[str]
    images: str
    seed: int = 0


_RGB = (
    "model.normalisation=standard",
    "model.output=linear",
    "model.latent_dim=8",
    "model.backbone.hidden=[32]",
    # Every unit passes something on, so that a test that changes one weight changes the output.
    "model.backbone.activation=elu",
    "objective.reconstruction.loss=mse",
)
_SPECIAL = {
    "standardised-rgb": _Training(recipe="mlp-32", overrides=_RGB, images="rgb"),
    "other-rgb": _Training(recipe="mlp-32", overrides=_RGB, images="rgb", seed=1),
}


class TrainedBundles(dict[str, Bundle]):
    """Trains what it is asked for and does not have."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def __missing__(self, name: str) -> Bundle:
        from aedeploy.bundle import open_bundle

        with locked(self._folder / f"{name}.lock"):
            if not (self._folder / name).exists():
                self._train(name)
        self[name] = open_bundle(self._folder / name)
        return self[name]

    def _train(self, name: str) -> None:
        from aedeploy.recipes import load_recipe
        from aedeploy.training.config import TrainConfig
        from aedeploy.training.data.source import DataRequest
        from aedeploy.training.events import Ended
        from aedeploy.training.run import train

        wanted = _SPECIAL.get(name) or _usual(name)
        config = TrainConfig(
            recipe=load_recipe(wanted.recipe, ["training.epochs=1", *wanted.overrides]),
            data=DataRequest(data=str(self._images(wanted.images))),
            out=self._folder / "at-work" / name,
            seed=wanted.seed,
            device="cpu",
        )
        *_, ended = train(config)
        assert isinstance(ended, Ended)
        ended.bundle.path.rename(self._folder / name)

    def _images(self, kind: str) -> Path:
        path = self._folder / (kind if kind == "photographs" else f"{kind}.npz")
        with locked(self._folder / f"{kind}.lock"):
            if path.exists():
                return path
            if kind == "photographs":
                return write_photographs(path)
            np.savez(path, images=_digits() if kind == "digits" else _colour_images())
        return path


class ExportedBundles(dict[str, Bundle]):
    """Exports what it is asked for and does not have."""

    def __init__(self, trained: dict[str, Bundle], folder: Path) -> None:
        super().__init__()
        self._trained = trained
        self._folder = folder

    def __missing__(self, name: str) -> Bundle:
        from aedeploy.bundle import open_bundle
        from aedeploy.export import export_bundle

        with locked(self._folder / f"{name}.lock"):
            if not (self._folder / name).exists():
                at_work = self._folder / "at-work" / name
                copied = open_bundle(shutil.copytree(self._trained[name].path, at_work))
                export_bundle(copied, ["onnx", "torchscript"]).bundle.path.rename(self._folder / name)
        self[name] = open_bundle(self._folder / name)
        return self[name]


def _usual(name: str) -> _Training:
    from aedeploy.recipes import load_recipe

    if trains_on_patches(load_recipe(name)):
        return _Training(recipe=name, overrides=["training.patches.count=64"], images="photographs")
    return _Training(recipe=name, overrides=(), images="digits")


def _digits() -> np.ndarray:
    from aedeploy.data import digits

    return digits().train[:600]


def _colour_images() -> np.ndarray:
    """uint8 [600, 8, 8, 3]: slopes of any direction; red bright, blue dark and of little contrast."""
    random = np.random.default_rng(0)
    ys, xs = np.mgrid[-1:1:8j, -1:1:8j]
    directions = random.uniform(-1, 1, (600, 2, 1, 1, 3))
    slopes = directions[:, 0] * ys[..., None] + directions[:, 1] * xs[..., None]
    return np.clip(slopes * [50, 40, 15] + [170, 128, 60], 0, 255).astype(np.uint8)


@pytest.hookimpl(tryfirst=True)  # before pytest looks at -m
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what :mod:`slow_tests` names."""
    for item in items:
        if is_slow(item.nodeid):
            item.add_marker(pytest.mark.slow)
