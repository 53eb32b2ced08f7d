"""Every recipe builds at every kind of size, and does what its contract says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
import torch
from recipe_questions import grey_shape
from torch import Tensor

from aedeploy.bundle import TensorSpec
from aedeploy.bundle.manifest import ROLES, Role
from aedeploy.errors import BackendError
from aedeploy.models.build import BuiltModel, PixelStatistics, build_model
from aedeploy.models.contract import graph_specs, roles_of
from aedeploy.recipes import load_recipe, recipe_names
from aedeploy.runtime.runner import check_inputs

COLOUR = (3, 64, 64)
DTYPES = {"float32": torch.float32, "int64": torch.int64, "uint8": torch.uint8}


@pytest.fixture(params=[f"{name}-{size}" for name in recipe_names() for size in ("grey", "colour")])
def built(request: pytest.FixtureRequest) -> BuiltModel:
    name, _, size = request.param.rpartition("-")
    shape = grey_shape(name) if size == "grey" else COLOUR
    torch.manual_seed(0)
    statistics = PixelStatistics(mean=[0.4] * shape[0], std=[0.2] * shape[0])
    result = build_model(load_recipe(name).model, shape, statistics)
    result.module.eval()
    return result


def random_images(built: BuiltModel, batch: int) -> Tensor:
    """Images of the model's shape, in [0, 1]."""
    return torch.rand(batch, *built.image_shape, generator=torch.Generator().manual_seed(1))


def sigma_of(built: BuiltModel, image: Tensor) -> tuple[Tensor, ...]:
    """How much noise a model is told of, if it is: less to the left than to the right."""
    if built.noise is None:
        return ()
    return (torch.linspace(0, built.noise.maximum, image.shape[3]).expand(len(image), 1, *image.shape[2:]),)


def run(built: BuiltModel, role: Role, image: Tensor) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
    """Named inputs and outputs of a role, for an image."""
    sigma = sigma_of(built, image)
    given = {"image": image, **dict(zip(["sigma"], sigma, strict=False))}
    with torch.inference_mode():
        if role == "encoder":
            return given, built.module.encode(image, *sigma)
        if role == "autoencoder":
            return given, {"reconstruction": built.module(image, *sigma)}
        latent = built.module.encode(image, *sigma)["latent"]
        return {"latent": latent}, {"image": built.module.decode(latent)}


def takes_images(built: BuiltModel) -> list[Role]:
    """The roles whose graphs take images."""
    return [role for role in roles_of(built) if role != "decoder"]


def misfits(specs: tuple[TensorSpec, ...], tensors: Mapping[str, Tensor], sizes: dict[str, int]) -> Iterator[str]:
    """What in ``tensors`` is not as ``specs`` say; ``sizes`` collects what the named dimensions are."""
    if list(tensors) != [spec.name for spec in specs]:
        yield f"names {list(tensors)}"
    for spec in specs:
        tensor = tensors[spec.name]
        if tensor.dtype != DTYPES[spec.dtype] or tensor.ndim != len(spec.shape):
            yield f"{spec.name} is {tensor.dtype} {tuple(tensor.shape)}"
        for want, got in zip(spec.shape, tensor.shape, strict=True):
            if (sizes.setdefault(want, got) if isinstance(want, str) else want) != got:
                yield f"{spec.name} is {tuple(tensor.shape)}, not {spec.shape}"
        if spec.minimum is not None and (tensor.min() < spec.minimum or tensor.max() > (spec.maximum or 0.0)):
            yield f"{spec.name} leaves [{spec.minimum}, {spec.maximum}]"


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_every_graph_is_as_its_contract_says(built: BuiltModel, batch: int) -> None:
    sizes: dict[str, int] = {}
    for role in roles_of(built):
        inputs, outputs = graph_specs(built, role)
        given, got = run(built, role, random_images(built, batch))
        assert list(misfits(inputs, given, sizes)) == []
        assert list(misfits(outputs, got, sizes)) == []
    assert sizes["batch"] == batch


def test_the_contracts_agree_with_the_graphs(built: BuiltModel) -> None:
    image, latent = built.image, built.latent
    assert (image.channels, image.height, image.width) == built.image_shape
    assert image.height % image.multiple_of == image.width % image.multiple_of == 0
    assert image.mode == {1: "L", 3: "RGB"}[image.channels]
    if latent is None:
        assert (roles_of(built), built.encoder_outputs) == (("autoencoder",), ())
        return
    assert roles_of(built) == ROLES
    assert graph_specs(built, "decoder")[0][0].shape == ("batch", *latent.shape)
    assert latent.kind == {1: "vector", 3: "spatial"}[len(latent.shape)]
    names = [spec.name for spec in graph_specs(built, "encoder")[1]]
    assert names[0] == "latent"
    assert ("logvar" in names) == (latent.distribution == "gaussian")


def test_other_sizes_are_taken_by_the_size_rule_or_refused(built: BuiltModel) -> None:
    contract = built.image
    rule = contract.multiple_of
    for height, width in [(contract.minimum, contract.minimum), (3 * rule, 5 * rule), (64, 96)]:
        image = torch.rand(2, contract.channels, height, width)
        if contract.dynamic_size:
            with torch.inference_mode():
                assert built.module(image, *sigma_of(built, image)).shape == image.shape
        else:
            with pytest.raises(BackendError, match="'image' must be float32"):
                check_inputs(graph_specs(built, "autoencoder")[0], {"image": image.numpy()})


def test_the_same_image_gives_the_same_output_whatever_the_seed(built: BuiltModel) -> None:
    image = random_images(built, 3)
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        results.append(
            {name: tensor for role in takes_images(built) for name, tensor in run(built, role, image)[1].items()}
        )
    for name, tensor in results[0].items():
        assert torch.equal(tensor, results[1][name]), name


def test_an_image_is_not_touched_by_its_batch_mates(built: BuiltModel) -> None:
    image = random_images(built, 1)
    mates = torch.cat([torch.zeros_like(image), image, torch.ones_like(image), 1 - image])
    for role in takes_images(built):
        alone, among = run(built, role, image)[1], run(built, role, mates)[1]
        for name in alone:
            torch.testing.assert_close(among[name][1:2], alone[name], rtol=1e-5, atol=1e-5)


def test_the_input_is_left_as_it_was(built: BuiltModel) -> None:
    image = random_images(built, 2)
    before = image.clone()
    run(built, "autoencoder", image)
    assert torch.equal(image, before)


def test_the_whole_is_its_two_halves(built: BuiltModel) -> None:
    if built.latent is None:
        pytest.skip("it has no halves")
    image = random_images(built, 2)
    whole, halves = run(built, "autoencoder", image)[1], run(built, "decoder", image)[1]
    assert torch.equal(whole["reconstruction"], halves["image"])


def test_every_weight_is_trained(built: BuiltModel) -> None:
    image = random_images(built, 4)
    built.module.train()
    step = built.module.training_pass(image, image, sigma_B1HW=next(iter(sigma_of(built, image)), None))
    loss = (step.output - step.target).square().sum() + sum(code.square().sum() for code in step.code.values())
    loss.backward()
    assert [name for name, weight in built.module.named_parameters() if weight.grad is None] == []


#: Of 28×28 grey images; counted by hand from the networks of their sources.
PARAMETERS = {
    "mlp-2d": 472_986,
    "mlp-20": 644_804,
    "mlp-64": 484_944,
    "conv": 225,
    "deep-conv": 83_905,
    "strided-conv": 83_905,
    "upsample-conv": 83_905,
    "deep-mlp": 1_144_880,
    # 784-512-256-128-32 and back.
    "stacked": sum(a * b + b for a, b in [(784, 512), (512, 256), (256, 128), (128, 32)])
    + sum(a * b + b for a, b in [(32, 128), (128, 256), (256, 512), (512, 784)]),
    "flexible": 435_536,
    "stochastic": 563_888,
    "mlp512-2d": 784 * 512 + 512 + 512 * 2 + 2 + 2 * 512 + 512 + 512 * 784 + 784,
    "vae-2d": 784 * 512 + 512 + 2 * (512 * 2 + 2) + 2 * 512 + 512 + 512 * 784 + 784,
    "mlp-32": 209_968,
    "vae": 784 * 400 + 400 + 2 * (400 * 20 + 20) + 20 * 400 + 400 + 400 * 784 + 784,
}


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS.items())
def test_parameter_counts(name: str, parameters: int) -> None:
    module = build_model(load_recipe(name).model, (1, 28, 28)).module
    assert sum(weight.numel() for weight in module.parameters()) == parameters
