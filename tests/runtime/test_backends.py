"""Every engine computes what the bundle's golden vectors say, and refuses what it cannot do."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
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
        from aedeploy.runtime.backends._torch import check_torch_device

        if {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}[device]:
            pytest.skip(f"this machine has {device}")
        with pytest.raises(BackendError, match=f"--device {device}: PyTorch finds no such device here"):
            check_torch_device(device)

    def test_the_cpu_is_always_there(self) -> None:
        pytest.importorskip("torch")
        from aedeploy.runtime.backends._torch import check_torch_device

        check_torch_device("cpu")


@pytest.fixture
def exported(request: pytest.FixtureRequest, trained_bundles: dict[str, Bundle], tmp_path: Path) -> Bundle:
    """A bundle of its own, exported in the format that the test names."""
    from aedeploy.export import export_bundle

    copied = open_bundle(shutil.copytree(trained_bundles["mlp-32"].path, tmp_path / "größe 画像 #1 %20"))
    return export_bundle(copied, [request.param], parity=False).bundle


def replaced(bundle: Bundle, role: str, format: str, content: bytes) -> Bundle:
    """The bundle with another file for that graph, vouched for by the manifest."""
    record = bundle.graph(role, format)
    (bundle.path / record.file.path).write_bytes(content)
    return bundle.with_graphs([record.model_copy(update={"file": record_file(bundle.path, record.file.path)})])


@pytest.mark.parametrize("exported", ["openvino"], indirect=True)
class TestOpenvino:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("openvino")

    def test_it_computes_in_float32_although_its_default_here_may_be_less(self, exported: Bundle) -> None:
        from aedeploy.runtime.backends.openvino import load_openvino

        openvino = load_openvino()
        record = exported.graph("decoder", "openvino")
        latent = np.random.default_rng(0).standard_normal((16, 32)).astype(np.float32) * 10
        with open_graph(exported, "decoder", backend="eager") as reference:
            want = reference.run({"latent": latent})["image"]
        with open_graph(exported, "decoder", format="openvino") as runner:
            got = runner.run({"latent": latent})["image"]
            compiled = runner._request.get_compiled_model()  # type: ignore[attr-defined]
            assert compiled.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.f32
        np.testing.assert_allclose(got, want, atol=1e-5)
        core = openvino.Core()
        files = [(exported.path / file.path).read_bytes() for file in (record.file, record.data)]
        chosen = core.compile_model(core.read_model(*files), "CPU")
        if chosen.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.bf16:
            # What nobody asked for, and nobody would see: the reason for asking.
            assert np.abs(chosen({"latent": latent})["image"] - want).max() > 1e-4

    def test_the_threads_are_those_asked_for(self, exported: Bundle) -> None:
        with open_graph(exported, "encoder", format="openvino", threads=1) as runner:
            compiled = runner._request.get_compiled_model()  # type: ignore[attr-defined]
            assert compiled.get_property("INFERENCE_NUM_THREADS") == 1

    def test_a_result_is_not_written_over_by_the_next_call(self, exported: Bundle) -> None:
        with open_graph(exported, "autoencoder", format="openvino") as runner:
            first = runner.run({"image": np.zeros((2, 1, 28, 28), np.float32)})["reconstruction"]
            kept = first.copy()
            runner.run({"image": np.ones((2, 1, 28, 28), np.float32)})
            np.testing.assert_array_equal(first, kept)

    def test_a_device_that_is_not_there_is_an_error(self, exported: Bundle) -> None:
        from aedeploy.runtime.backends.openvino import load_openvino

        if "GPU" in load_openvino().Core().available_devices:
            pytest.skip("OpenVINO has a GPU here")
        with pytest.raises(BackendError, match=r"--device gpu: OpenVINO finds no such device here \(it has cpu\)"):
            open_graph(exported, "encoder", format="openvino", device="gpu")

    @pytest.mark.parametrize("content", [b"", b"not a graph", b"<?xml version='1.0'?><net/>"])
    def test_what_is_no_graph_is_an_error(self, exported: Bundle, content: bytes) -> None:
        with pytest.raises(BackendError, match=r"OpenVINO cannot open graphs/openvino/encoder\.xml"):
            open_graph(replaced(exported, "encoder", "openvino", content), "encoder", format="openvino")

    def test_another_roles_graph_under_its_name_is_an_error(self, exported: Bundle) -> None:
        decoder, record = exported.graph("decoder", "openvino"), exported.graph("encoder", "openvino")
        swapped = exported.with_graphs([record.model_copy(update={"file": decoder.file, "data": decoder.data})])
        with pytest.raises(BackendError, match="does not have the inputs and outputs of the manifest"):
            open_graph(swapped, "encoder", format="openvino")

    def test_an_output_that_has_an_earlier_name_too_is_found(
        self, exported: Bundle, trained_bundles: dict[str, Bundle], tmp_path: Path
    ) -> None:
        """Of a decoder that adds a bias last and is clamped to what it is within already."""
        from aedeploy.export import export_bundle

        copied = open_bundle(shutil.copytree(trained_bundles["mlp-2d"].path, tmp_path / "mlp-2d"))
        bundle = export_bundle(copied, ["openvino"], parity=False).bundle
        for case in load_golden(bundle.file(bundle.manifest.golden)):
            with open_graph(bundle, case.role, format="openvino") as runner:
                outputs = runner.run(case.inputs)
            for name, want in case.outputs.items():
                np.testing.assert_allclose(outputs[name], want, rtol=1e-4, atol=1e-5)

    def test_altered_weights_are_refused(self, exported: Bundle) -> None:
        record = exported.graph("encoder", "openvino")
        assert record.data is not None
        path = exported.path / record.data.path
        path.write_bytes(path.read_bytes()[:-1] + b"\x01")
        with pytest.raises(IntegrityError, match=r"encoder\.bin"):
            open_graph(exported, "encoder", format="openvino")

    def test_nothing_that_reports_over_the_network_is_imported(self, exported: Bundle) -> None:
        program = (
            "import sys\n"
            "from aedeploy.bundle import open_bundle\n"
            "from aedeploy.runtime.open import open_graph\n"
            "open_graph(open_bundle(sys.argv[1]), 'encoder', format='openvino')\n"
            "assert not [name for name in sys.modules if 'telemetry' in name], sys.modules.keys()\n"
            "assert 'torch' not in sys.modules\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(exported.path)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("exported", ["ncnn"], indirect=True)
class TestNcnn:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        # Before the bundle is made, which needs both.
        pytest.importorskip("ncnn")
        pytest.importorskip("pnnx")

    def test_it_computes_in_float32_although_its_default_may_be_less(self, exported: Bundle) -> None:
        latent = np.random.default_rng(0).standard_normal((16, 32)).astype(np.float32) * 10
        with open_graph(exported, "decoder", backend="eager") as reference:
            want = reference.run({"latent": latent})["image"]
        with open_graph(exported, "decoder", format="ncnn") as runner:
            np.testing.assert_allclose(runner.run({"latent": latent})["image"], want, atol=1e-5)
            options = runner._net.opt  # type: ignore[attr-defined]
            on = {name for name in dir(options) if name.startswith("use_") and getattr(options, name) is True}
        assert not [name for name in on if "fp16" in name or "bf16" in name or name == "use_vulkan_compute"]

    def test_small_images_are_no_work_for_two_and_large_ones_are(
        self, exported: Bundle, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with open_graph(exported, "encoder", format="ncnn", threads=2) as runner:
            assert runner._net.opt.num_threads == 1  # type: ignore[attr-defined]
        monkeypatch.setattr("aedeploy.runtime.backends.ncnn._WORTH_SHARING", 28 * 28)
        for threads in (1, 2):
            with open_graph(exported, "encoder", format="ncnn", threads=threads) as runner:
                assert runner._net.opt.num_threads == threads  # type: ignore[attr-defined]

    def test_no_batch_gives_none(self, exported: Bundle) -> None:
        with open_graph(exported, "encoder", format="ncnn") as runner:
            latent = runner.run({"image": np.zeros((0, 1, 28, 28), np.float32)})["latent"]
        assert (latent.shape, latent.dtype) == ((0, 32), np.float32)

    def test_the_callers_array_stays_as_it_is(self, exported: Bundle) -> None:
        """ncnn has layers that work in place."""
        image = np.random.default_rng(0).random((2, 1, 28, 28), np.float32)
        kept = image.copy()
        with open_graph(exported, "autoencoder", format="ncnn") as runner:
            first = runner.run({"image": image})["reconstruction"]
            before = first.copy()
            runner.run({"image": 1.0 - image})
        np.testing.assert_array_equal(image, kept)
        np.testing.assert_array_equal(first, before)

    def test_an_array_that_is_a_view_counts_as_it_reads(self, exported: Bundle) -> None:
        view = np.random.default_rng(0).random((3, 28, 28, 1), np.float32).transpose(0, 3, 2, 1)[::-1]
        with open_graph(exported, "encoder", format="ncnn") as runner:
            got, want = runner.run({"image": view}), runner.run({"image": np.ascontiguousarray(view)})
        np.testing.assert_array_equal(got["latent"], want["latent"])

    def test_threads_may_share_a_runner(self, exported: Bundle) -> None:
        images = np.random.default_rng(0).random((4, 8, 1, 28, 28), np.float32)
        with open_graph(exported, "encoder", format="ncnn") as runner, ThreadPoolExecutor(4) as pool:
            want = [runner.run({"image": batch})["latent"] for batch in images]
            got = list(pool.map(lambda batch: runner.run({"image": batch})["latent"], images))
        np.testing.assert_array_equal(got, want)

    @pytest.mark.parametrize("content", [b"", b"not a graph", b"7767517\n", b"7767517\n0 0\n", b"\xff" * 1000])
    def test_what_is_no_graph_is_an_error(self, exported: Bundle, content: bytes) -> None:
        with pytest.raises(BackendError, match=r"ncnn cannot open graphs/ncnn/encoder\.param"):
            open_graph(replaced(exported, "encoder", "ncnn", content), "encoder", format="ncnn")

    def test_a_layer_that_this_release_has_not_is_named(self, exported: Bundle) -> None:
        record = exported.graph("encoder", "ncnn")
        content = (exported.path / record.file.path).read_bytes().replace(b"InnerProduct", b"OuterProduct")
        with pytest.raises(BackendError, match="has no layer OuterProduct: install a newer one"):
            open_graph(replaced(exported, "encoder", "ncnn", content), "encoder", format="ncnn")

    def test_another_roles_graph_under_its_name_is_an_error(self, exported: Bundle) -> None:
        decoder, record = exported.graph("decoder", "ncnn"), exported.graph("encoder", "ncnn")
        swapped = exported.with_graphs([record.model_copy(update={"file": decoder.file, "data": decoder.data})])
        with pytest.raises(BackendError, match="does not have the inputs and outputs of the manifest"):
            open_graph(swapped, "encoder", format="ncnn")

    def test_weights_that_end_too_soon_are_an_error(self, exported: Bundle) -> None:
        record = exported.graph("encoder", "ncnn")
        assert record.data is not None
        path = exported.path / record.data.path
        path.write_bytes(path.read_bytes()[:-4])
        short = exported.with_graphs([record.model_copy(update={"data": record_file(exported.path, record.data.path)})])
        with pytest.raises(BackendError, match="it is damaged, or its weights are another graph's"):
            open_graph(short, "encoder", format="ncnn")

    def test_altered_weights_are_refused(self, exported: Bundle) -> None:
        record = exported.graph("encoder", "ncnn")
        assert record.data is not None
        path = exported.path / record.data.path
        path.write_bytes(path.read_bytes()[:-1] + b"\x01")
        with pytest.raises(IntegrityError, match=r"encoder\.bin"):
            open_graph(exported, "encoder", format="ncnn")

    def test_an_output_of_another_shape_is_an_error(self, exported: Bundle) -> None:
        record = exported.graph("encoder", "ncnn")
        latent = record.outputs[0].model_copy(update={"shape": ("batch", 16)})
        wrong = exported.with_graphs([record.model_copy(update={"outputs": (latent,)})])
        with (
            open_graph(wrong, "encoder", format="ncnn") as runner,
            pytest.raises(BackendError, match=r"ncnn gave 'latent' as \[32\] an image, not as \[16\]"),
        ):
            runner.run({"image": np.zeros((1, 1, 28, 28), np.float32)})

    def test_no_torch_is_imported(self, exported: Bundle) -> None:
        program = (
            "import sys, numpy\n"
            "from aedeploy.bundle import open_bundle\n"
            "from aedeploy.runtime.open import open_graph\n"
            "with open_graph(open_bundle(sys.argv[1]), 'encoder', format='ncnn') as runner:\n"
            "    runner.run({'image': numpy.zeros((1, 1, 28, 28), numpy.float32)})\n"
            "assert not {'torch', 'pnnx', 'requests'} & set(sys.modules), sys.modules.keys()\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(exported.path)], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("exported", ["exported-program"], indirect=True)
class TestExportedProgram:
    @pytest.mark.parametrize("content", [b"", b"not a graph", b"PK\x03\x04"])
    def test_what_is_no_graph_is_an_error(self, exported: Bundle, content: bytes) -> None:
        wrong = replaced(exported, "encoder", "exported-program", content)
        with pytest.raises(BackendError, match=r"torch cannot load graphs/exported-program/encoder\.pt2"):
            open_graph(wrong, "encoder", format="exported-program")

    def test_an_image_of_the_wrong_size_is_refused(self, exported: Bundle) -> None:
        with (
            open_graph(exported, "encoder", format="exported-program") as runner,
            pytest.raises(BackendError, match="'image' must be float32"),
        ):
            runner.run({"image": np.zeros((1, 1, 16, 16), np.float32)})

    def test_a_device_that_is_not_there_is_an_error(self, exported: Bundle) -> None:
        import torch

        if torch.cuda.is_available():
            pytest.skip("this machine has cuda")
        with pytest.raises(BackendError, match="--device cuda: PyTorch finds no such device here"):
            open_graph(exported, "encoder", format="exported-program", device="cuda")
