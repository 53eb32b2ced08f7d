"""Weights kept in half precision, and bfloat16 where a device computes in it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_run import Configure

from aedeploy.bundle.golden import load_golden
from aedeploy.models.load import load_model
from aedeploy.training.config import TrainConfig
from aedeploy.training.events import Ended
from aedeploy.training.loop import computes_bf16
from aedeploy.training.run import train

CPU = torch.device("cpu")


def run(config: TrainConfig) -> Ended:
    *_, ended = train(config)
    assert isinstance(ended, Ended)
    return ended


def best(path: Path) -> dict[str, torch.Tensor]:
    """The best epoch's weights, as the checkpoint has them."""
    stored = load_file(path / "checkpoint.safetensors")
    return {name.removeprefix("best/"): value for name, value in stored.items() if name.startswith("best/")}


@pytest.mark.parametrize("variant", ["mlp-32", "deep-mlp", "denoiser-gray"])
def test_a_bundles_weights_are_rounded_and_the_runs_own_are_not(configure: Configure, variant: str) -> None:
    ended = run(configure("training.weights=float16", variant=variant))
    kept, exact = load_file(ended.bundle.path / "weights.safetensors"), best(ended.bundle.path)
    for name, value in exact.items():
        assert kept[name].dtype == (torch.float16 if value.is_floating_point() else value.dtype)
        assert torch.equal(kept[name], value.half() if value.is_floating_point() else value)
    assert any(not torch.equal(kept[name].float(), value) for name, value in exact.items())


def test_what_is_measured_and_proven_is_the_rounded_model(configure: Configure) -> None:
    ended = run(configure("training.weights=float16"))
    model = load_model(ended.bundle).module
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}
    cases = load_golden(ended.bundle.file(ended.bundle.manifest.golden))
    with torch.inference_mode():
        for case in cases:
            if case.role == "autoencoder":
                made = model(torch.from_numpy(case.inputs["image"]))
                torch.testing.assert_close(made, torch.from_numpy(case.outputs["reconstruction"]), rtol=0, atol=1e-7)


def test_they_take_half_the_room(configure: Configure, tmp_path: Path) -> None:
    whole, half = (
        run(configure(f"training.weights={dtype}", out=tmp_path / dtype)) for dtype in ("float32", "float16")
    )
    values = sum(value.nbytes for value in load_file(whole.bundle.path / "weights.safetensors").values())
    assert whole.bundle.manifest.weights.bytes - half.bundle.manifest.weights.bytes == pytest.approx(values / 2, abs=64)
    assert half.metrics["mse"] == pytest.approx(whole.metrics["mse"], rel=0.01)


def test_going_on_is_from_the_exact_weights(configure: Configure, tmp_path: Path) -> None:
    half = ["training.weights=float16"]
    run(configure(*half, "training.epochs=4", out=tmp_path / "four"))
    run(configure(*half, "training.epochs=2", out=tmp_path / "grown"))
    run(configure(*half, "training.epochs=4", out=tmp_path / "grown", resume=True))
    for name in ("weights", "checkpoint"):
        one, other = (load_file(tmp_path / folder / f"{name}.safetensors") for folder in ("four", "grown"))
        assert [key for key in one if not torch.equal(one[key], other[key])] == []


def test_a_number_beyond_the_range_of_half_precision_stays(configure: Configure) -> None:
    config = configure("training.weights=float16")
    run(config)
    path = config.out / "checkpoint.safetensors"
    with safe_open(path, framework="pt") as stored:
        metadata, tensors = stored.metadata(), {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    tensors["best/trunk.1.bias"][0] = 1e6
    save_file(tensors, path, metadata)
    ended = run(dataclasses.replace(config, resume=True))
    kept = load_file(ended.bundle.path / "weights.safetensors")
    assert (kept["trunk.1.bias"].dtype, kept["trunk.1.bias"][0].item()) == (torch.float32, 1e6)
    assert kept["trunk.1.weight"].dtype == torch.float16
    load_model(ended.bundle)


def test_auto_is_bfloat16_where_the_device_computes_in_it(configure: Configure, tmp_path: Path) -> None:
    expected = "bf16" if computes_bf16(CPU) else "float32"
    for precision in ("auto", expected):
        run(configure(f"training.precision={precision}", variant="vae", out=tmp_path / precision))
    auto, same = (load_file(tmp_path / name / "weights.safetensors") for name in ("auto", expected))
    assert all(torch.equal(auto[name], value) for name, value in same.items())


@pytest.mark.parametrize(
    ("able", "found"),
    [({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"bf16": True}, True), ({"avx512_f": True}, False)],
)
def test_a_processor_must_be_able_to(able: dict[str, bool], found: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is not would round all the same, and take longer."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, **able})
    assert computes_bf16(CPU) is found
    assert not computes_bf16(torch.device("mps"))
    monkeypatch.delattr(torch.cpu, "get_capabilities")  # as in a PyTorch that does not tell
    assert not computes_bf16(CPU)
