"""Every engine computes what the bundle's golden vectors say, and refuses what it cannot do."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import write_tiny_bundle

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.bundle.golden import BATCHES, load_golden
from aedeploy.bundle.manifest import ROLES
from aedeploy.bundle.store import record_file
from aedeploy.errors import BackendError, IntegrityError
from aedeploy.runtime.open import open_graph


@pytest.fixture(params=[{}, {"mode": "RGB"}, {"gaussian": True}], ids=["grey", "colour", "gaussian"])
def bundle(request: pytest.FixtureRequest, tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path / "tiny", **request.param)


def with_file(bundle: Bundle, role: str, content: bytes) -> Bundle:
    """The bundle with another file for that graph, vouched for by the manifest: an exporter's mistake."""
    record = bundle.graph(role, "onnx")
    (bundle.path / record.file.path).write_bytes(content)
    return bundle.with_graphs([record.model_copy(update={"file": record_file(bundle.path, record.file.path)})])


class TestOnnxruntime:
    def test_the_golden_vectors_come_out(self, bundle: Bundle) -> None:
        cases = load_golden(bundle.file(bundle.manifest.golden))
        assert {(case.role, case.batch) for case in cases} == {(role, batch) for role in ROLES for batch in BATCHES}
        for case in cases:
            with open_graph(bundle, case.role) as runner:
                outputs = runner.run(case.inputs)
            assert list(outputs) == [spec.name for spec in runner.outputs]
            for name, want in case.outputs.items():
                np.testing.assert_allclose(outputs[name], want, atol=1e-5)

    @pytest.mark.parametrize("batch", [1, 2, 64])
    def test_any_batch_goes_in_and_the_same_comes_out(self, bundle: Bundle, batch: int) -> None:
        with open_graph(bundle, "autoencoder") as runner:
            shape = (batch, *runner.inputs[0].shape[1:])
            assert runner.run({"image": np.zeros(shape, np.float32)})["reconstruction"].shape == shape

    def test_an_array_that_is_a_view_counts_as_it_reads(self, bundle: Bundle) -> None:
        with open_graph(bundle, "encoder") as runner:
            _, channels, height, width = runner.inputs[0].shape
            image = np.random.default_rng(0).random((3, height, width, channels), np.float32)
            view = image.transpose(0, 3, 1, 2)[::-1]
            got, want = runner.run({"image": view}), runner.run({"image": np.ascontiguousarray(view)})
        np.testing.assert_array_equal(got["latent"], want["latent"])

    def test_an_image_of_the_wrong_size_is_refused(self, bundle: Bundle) -> None:
        with open_graph(bundle, "encoder") as runner, pytest.raises(BackendError, match="'image' must be float32"):
            runner.run({"image": np.zeros((1, 1, 16, 16), np.float32)})

    def test_cuda_that_is_not_there_is_an_error(self, bundle: Bundle) -> None:
        import onnxruntime

        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            pytest.skip("this onnxruntime has CUDA")
        with pytest.raises(
            BackendError, match=r"--device cuda: this onnxruntime has no CUDAExecutionProvider.*--device cpu"
        ):
            open_graph(bundle, "encoder", device="cuda")

    @pytest.mark.parametrize("content", [b"", b"not a graph", b"\0" * 1000])
    def test_what_is_no_graph_is_an_error(self, bundle: Bundle, content: bytes) -> None:
        with pytest.raises(BackendError, match=r"onnxruntime cannot open encoder\.onnx"):
            open_graph(with_file(bundle, "encoder", content), "encoder")

    def test_another_roles_graph_under_its_name_is_an_error(self, bundle: Bundle) -> None:
        decoder = (bundle.path / bundle.graph("decoder", "onnx").file.path).read_bytes()
        with pytest.raises(BackendError, match="does not have the inputs and outputs of the manifest"):
            open_graph(with_file(bundle, "encoder", decoder), "encoder")

    def test_a_bundle_in_a_folder_with_an_odd_name(self, bundle: Bundle, tmp_path: Path) -> None:
        odd = tmp_path / "größe 画像 #1 %20"
        bundle.path.rename(odd)
        with open_graph(open_bundle(odd), "encoder") as runner:
            assert runner.inputs[0].name == "image"


class TestEager:
    @pytest.mark.parametrize("recipe", ["mlp-32", "vae", "denoising"])
    def test_the_golden_vectors_come_out(self, trained_bundles: dict[str, Bundle], recipe: str) -> None:
        bundle = trained_bundles[recipe]
        for case in load_golden(bundle.file(bundle.manifest.golden)):
            with open_graph(bundle, case.role, backend="eager") as runner:
                outputs = runner.run(case.inputs)
            assert list(outputs) == [spec.name for spec in runner.outputs]
            for name, want in case.outputs.items():
                np.testing.assert_allclose(outputs[name], want, atol=1e-6)

    def test_it_needs_no_exported_graph_and_refuses_altered_weights(
        self, trained_bundles: dict[str, Bundle], tmp_path: Path
    ) -> None:
        bundle = open_bundle(shutil.copytree(trained_bundles["mlp-32"].path, tmp_path / "copy"))
        path = bundle.path / "weights.safetensors"
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(IntegrityError, match=r"weights\.safetensors of bundle 'mlp-32'"):
            open_graph(bundle, "encoder", backend="eager")


class TestTorchBackends:
    @pytest.mark.parametrize("device", ["cuda", "mps"])
    def test_a_device_that_is_not_there_is_an_error(self, device: str) -> None:
        torch = pytest.importorskip("torch")
        from aedeploy.runtime.backends.torchscript import check_torch_device

        if {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}[device]:
            pytest.skip(f"this machine has {device}")
        with pytest.raises(BackendError, match=f"--device {device}: PyTorch finds no such device here"):
            check_torch_device(device)

    def test_the_cpu_is_always_there(self) -> None:
        pytest.importorskip("torch")
        from aedeploy.runtime.backends.torchscript import check_torch_device

        check_torch_device("cpu")
