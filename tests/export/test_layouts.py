"""Layouts of deployment targets: a Triton model repository, held against Triton's own schema and documented rules."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_denoiser import write_small_denoiser
from tiny_bundle import write_tiny_bundle

from aedeploy.bundle import Bundle, GraphRecord, TensorSpec, open_bundle
from aedeploy.errors import BundleError, ConfigError, IntegrityError, UnknownNameError
from aedeploy.export import export_bundle
from aedeploy.export.layouts import layout_names, triton, write_layout

#: The names that Triton's repository and its URLs can take.
PLAIN = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path / "tiny", gaussian=True)


@pytest.fixture(scope="module")
def vector(trained_bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A vector latent, in every format that Triton runs, of both kinds of pixels."""
    return _exported(trained_bundles["standardised-rgb"], tmp_path_factory.mktemp("vector") / "a model")


@pytest.fixture(scope="module")
def spatial(trained_bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A spatial latent with indices, and images of any size."""
    return _exported(trained_bundles["vq-vae"], tmp_path_factory.mktemp("spatial") / "spatial")


def _exported(trained: Bundle, folder: Path) -> Bundle:
    copy = open_bundle(shutil.copytree(trained.path, folder))
    for pixels in ("float32", "uint8"):
        export_bundle(copy, ["onnx", "torchscript"], pixels=pixels, parity=False)
    return open_bundle(copy.path)


def changed(bundle: Bundle, **changes: object) -> Bundle:
    return bundle.save(bundle.manifest.model_copy(update=changes))


def parsed(text: str) -> Any:
    """A config.pbtxt as Triton's published ModelConfig message, which refuses what it does not know."""
    model_config_pb2 = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="tritonclient is not installed")
    text_format = pytest.importorskip("google.protobuf.text_format")
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def models(repository: Path) -> Iterator[tuple[Path, Any]]:
    for folder in sorted(repository.iterdir()):
        yield folder, parsed((folder / "config.pbtxt").read_text(encoding="utf-8"))


def graph_of(bundle: Bundle, folder: Path) -> GraphRecord:
    return next(graph for graph in bundle.manifest.graphs if triton.model_name(bundle, graph) == folder.name)


def assert_tensors(kind: str, found: Any, specs: tuple[TensorSpec, ...], by_number: bool) -> None:
    from tritonclient.utils import triton_to_np_dtype

    assert [tensor.name for tensor in found] == [
        f"{kind}__{at}" if by_number else spec.name for at, spec in enumerate(specs)
    ]
    for tensor, spec in zip(found, specs, strict=True):
        data_type = (
            type(tensor).DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number[tensor.data_type].name
        )
        assert np.dtype(triton_to_np_dtype(data_type.removeprefix("TYPE_"))) == np.dtype(spec.dtype)
        # With a batch dimension of its own, Triton's full shape is [-1] + dims.
        inner = list(tensor.reshape.shape) if tensor.HasField("reshape") else list(tensor.dims)
        assert [-1, *inner] == [-1 if isinstance(size, str) else size for size in spec.shape]
        assert len(tensor.dims) >= 1, "Triton knows no empty shape"


def assert_repository(bundle: Bundle, repository: Path) -> None:
    """The rules of Triton's pages on the model repository and on model configuration."""
    found = list(models(repository))
    assert len(found) == len(bundle.manifest.graphs)
    for folder, config in found:
        graph = graph_of(bundle, folder)
        suffix = Path(graph.file.path).suffix
        assert config.name == folder.name
        assert set(folder.name) <= PLAIN
        assert (config.backend, config.platform) == {
            ".onnx": ("onnxruntime", "onnxruntime_onnx"),
            ".pt": ("pytorch", "pytorch_libtorch"),
        }[suffix]
        assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == [
            f"1/{config.default_model_filename}",
            "config.pbtxt",
        ]
        assert config.default_model_filename == f"model{suffix}"
        copied = folder / "1" / config.default_model_filename
        assert copied.read_bytes() == (bundle.path / graph.file.path).read_bytes()
        assert config.max_batch_size >= 1
        assert config.HasField("dynamic_batching")
        assert_tensors("INPUT", config.input, graph.inputs, by_number=suffix == ".pt")
        assert_tensors("OUTPUT", config.output, graph.outputs, by_number=suffix == ".pt")
        assert config.parameters["aedeploy.sha256"].string_value == graph.file.sha256


@pytest.mark.parametrize("kind", ["vector", "spatial"])
def test_a_repository_is_what_triton_takes(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    bundle = request.getfixturevalue(kind)
    write_layout("triton", bundle, tmp_path / "model repository")
    assert_repository(bundle, tmp_path / "model repository")


def test_indices_and_bytes_keep_their_types(spatial: Bundle, tmp_path: Path) -> None:
    write_layout("triton", spatial, tmp_path / "repository")
    texts = {folder.name: (folder / "config.pbtxt").read_text() for folder in (tmp_path / "repository").iterdir()}
    assert "TYPE_INT64" in texts["vq-vae-encoder-onnx"]
    assert "TYPE_UINT8" in texts["vq-vae-encoder-onnx-uint8"]
    assert "dims: [ -1, -1, 1 ]" in texts["vq-vae-encoder-onnx-uint8"]


@pytest.mark.parametrize("batch", [1, 3])
def test_the_files_of_a_repository_give_what_the_configuration_names(
    spatial: Bundle, tmp_path: Path, batch: int
) -> None:
    import onnxruntime

    write_layout("triton", spatial, tmp_path / "repository", ["onnx"])
    for folder, config in models(tmp_path / "repository"):
        session = onnxruntime.InferenceSession(folder / "1" / config.default_model_filename)
        (given,) = session.get_inputs()
        assert [tensor.name for tensor in config.input] == [given.name]
        dtype = np.uint8 if "uint8" in given.type else np.float32
        shape = [batch, *(8 if size == -1 else size for size in config.input[0].dims)]
        outputs = session.run([tensor.name for tensor in config.output], {given.name: np.zeros(shape, dtype)})
        for tensor, array in zip(config.output, outputs, strict=True):
            assert array.shape[0] == batch
            assert all(want in (-1, got) for want, got in zip(tensor.dims, array.shape[1:], strict=True))


def test_a_denoiser_that_is_told_the_noise_has_two_inputs(tmp_path: Path) -> None:
    bundle = write_small_denoiser(tmp_path / "denoiser", channels=3)
    for pixels in ("float32", "uint8"):
        bundle = export_bundle(bundle, ["onnx", "torchscript"], pixels=pixels, parity=False).bundle
    write_layout("triton", bundle, tmp_path / "repository")
    assert_repository(bundle, tmp_path / "repository")
    for folder, config in models(tmp_path / "repository"):
        _, sigma = config.input
        assert sigma.name == ("sigma" if "onnx" in folder.name else "INPUT__1")
        assert list(sigma.dims) == [1, -1, -1]
        # TYPE_FP32, of graphs of bytes too.
        assert sigma.data_type == 11


@pytest.mark.parametrize("name", ["ein Modell [b]", "ünïcödé", "..", 'a"b\\c', "x" * 200, "$(rm -rf)", "-", "a.b"])
def test_a_hostile_name_becomes_a_plain_one(bundle: Bundle, tmp_path: Path, name: str) -> None:
    bundle = changed(bundle, name=name)
    write_layout("triton", bundle, tmp_path / "repository")
    assert_repository(bundle, tmp_path / "repository")


def test_names_that_look_alike_stay_apart(tmp_path: Path) -> None:
    one = changed(write_tiny_bundle(tmp_path / "one"), name="a b")
    other = changed(write_tiny_bundle(tmp_path / "other", scale=2.0), name="a/b")
    names = {triton.model_name(bundle, bundle.manifest.graphs[0]) for bundle in (one, other)}
    assert len(names) == 2


def test_one_number_an_image_is_reshaped(bundle: Bundle) -> None:
    encoder = bundle.manifest.graph("encoder", "onnx")
    assert encoder is not None
    flat = TensorSpec(name="indices", dtype="int64", shape=("batch",))
    graph = encoder.model_copy(update={"outputs": (*encoder.outputs, flat)})
    config = parsed(triton.config(bundle, graph))
    assert_tensors("OUTPUT", config.output, graph.outputs, by_number=False)
    assert list(config.output[-1].dims) == [1]


def test_a_model_that_cannot_be_cut_has_one_model(bundle: Bundle, tmp_path: Path) -> None:
    whole = tuple(graph for graph in bundle.manifest.graphs if graph.role == "autoencoder")
    bundle = changed(bundle, latent=None, graphs=whole)
    write_layout("triton", bundle, tmp_path / "repository")
    assert_repository(bundle, tmp_path / "repository")
    assert [path.name for path in (tmp_path / "repository").iterdir()] == ["tiny-autoencoder-onnx"]


def test_what_triton_does_not_run_is_left_out(bundle: Bundle, tmp_path: Path) -> None:
    other = bundle.manifest.graphs[0]
    other = other.model_copy(update={"format": "ort", "file": other.file.model_copy(update={"path": "a.ort"})})
    bundle = changed(bundle, graphs=(*bundle.manifest.graphs, other))
    laid_out = write_layout("triton", bundle, tmp_path / "repository")
    assert {graph.format for graph in laid_out} == {"onnx"}
    with pytest.raises(BundleError, match=r"no ort graph that triton runs \(it has onnx, ort\)"):
        write_layout("triton", bundle, tmp_path / "other", ["ort"])


def test_a_graph_that_failed_parity_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    first, *rest = bundle.manifest.graphs
    bundle = changed(bundle, graphs=(first.model_copy(update={"parity": "failed"}), *rest))
    with pytest.raises(BundleError, match=f"onnx {first.role} graph .* failed its parity check"):
        write_layout("triton", bundle, tmp_path / "repository")
    assert not (tmp_path / "repository").exists()


def test_an_altered_file_is_refused_and_nothing_is_left(bundle: Bundle, tmp_path: Path) -> None:
    path = bundle.path / bundle.manifest.graphs[-1].file.path
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(IntegrityError, match="was altered"):
        write_layout("triton", bundle, tmp_path / "repository")
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_must_be_new_empty_or_its_own(bundle: Bundle, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    write_layout("triton", bundle, repository)
    with pytest.raises(ConfigError, match="--overwrite"):
        write_layout("triton", bundle, repository)
    only = changed(bundle, graphs=bundle.manifest.graphs[:1])
    write_layout("triton", only, repository, overwrite=True)
    assert len(list(repository.iterdir())) == 1


@pytest.mark.parametrize("theirs", ["notes.txt", "tiny-encoder-onnx/1/labels.txt", "other/config.pbtxt"])
def test_what_somebody_added_is_never_removed(bundle: Bundle, tmp_path: Path, theirs: str) -> None:
    repository = tmp_path / "repository"
    write_layout("triton", bundle, repository)
    (repository / theirs).parent.mkdir(exist_ok=True)
    (repository / theirs).write_text("mine")
    with pytest.raises(ConfigError, match="did not write"):
        write_layout("triton", bundle, repository, overwrite=True)
    assert (repository / theirs).read_text() == "mine"


def test_a_file_or_the_bundle_itself_is_no_place(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="is a file"):
        write_layout("triton", bundle, tmp_path / "file", overwrite=True)
    with pytest.raises(ConfigError, match="in the bundle"):
        write_layout("triton", bundle, bundle.path / "graphs" / "triton")


def test_an_unknown_layout_is_refused_by_name(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'triton'"):
        write_layout("tritn", bundle, tmp_path / "repository")
    assert layout_names() == ["triton"]
