"""The manifest is strict: what this version does not know, it refuses by name."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from aedeploy.bundle import SCHEMA_VERSION, Bundle, Manifest
from aedeploy.bundle.manifest import parse_manifest
from aedeploy.errors import ManifestError


@pytest.fixture
def values(make_bundle: Callable[..., Bundle]) -> dict[str, Any]:
    return json.loads(make_bundle().manifest.model_dump_json())


def message_of(values: object) -> str:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(values if isinstance(values, str) else json.dumps(values), "x/bundle.json")
    message = str(caught.value)
    assert message.startswith("x/bundle.json")
    return message


def changed(values: dict[str, Any], place: str, value: object) -> dict[str, Any]:
    """A copy with the value at ``place`` ("graphs.0.role") set."""
    result = copy.deepcopy(values)
    *parents, last = place.split(".")
    at: Any = result
    for part in parents:
        at = at[int(part)] if isinstance(at, list) else at[part]
    at[int(last) if isinstance(at, list) else last] = value
    return result


def test_what_was_written_is_read(values: dict[str, Any]) -> None:
    manifest = parse_manifest(json.dumps(values), "x")
    assert json.loads(manifest.model_dump_json()) == values


@pytest.mark.parametrize(
    "place", ["extra", "image.crop", "latent.extra", "graphs.0.extra", "graphs.0.file.extra", "provenance.user"]
)
def test_an_unknown_key_is_refused_by_name(values: dict[str, Any], place: str) -> None:
    assert f"'{place}' is not a known key" in message_of(changed(values, place, 1))


def test_a_misspelt_key_comes_with_the_nearest(values: dict[str, Any]) -> None:
    values["metric"] = values.pop("metrics")
    assert "'metrics'" in message_of(values)


def test_a_newer_schema_is_refused_by_its_version_whatever_else_it_says(values: dict[str, Any]) -> None:
    message = message_of({"schema_version": SCHEMA_VERSION + 1, "a key of the future": []})
    assert f"schema version {SCHEMA_VERSION + 1}" in message
    assert "upgrade aedeploy" in message


@pytest.mark.parametrize("version", [0, -1, "1.0.0", "1", "2", 2.0, True, None, 1.5])
def test_a_version_that_never_was_is_refused(values: dict[str, Any], version: object) -> None:
    assert "'schema_version'" in message_of(changed(values, "schema_version", version))


@pytest.mark.parametrize(
    "path",
    [
        "../weights.safetensors",
        "graphs/../../weights.safetensors",
        "graphs/..",
        "/etc/passwd",
        "C:/weights",
        "C:weights",
        "graphs\\onnx\\encoder.onnx",
        "..\\weights",
        "\\\\host\\share",
        "a\0b",
        "",
        ".",
    ],
)
@pytest.mark.parametrize("place", ["weights.path", "graphs.1.file.path"])
def test_a_path_that_could_leave_the_bundle_is_refused(values: dict[str, Any], place: str, path: str) -> None:
    message = message_of(changed(values, place, path))
    assert f"'{place}'" in message
    assert "stay inside the bundle" in message


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("weights.sha256", "ABC"),
        ("weights.sha256", "A" * 64),
        ("weights.bytes", -1),
        ("weights.bytes", "many"),
        ("image.channels", 2),
        ("image.height", 0),
        ("graphs.0.role", "discriminator"),
        ("graphs.0.parity", "probably"),
        ("graphs.0.outputs.0.dtype", "float16"),
        ("latent.kind", "list"),
        ("provenance", None),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_its_place(values: dict[str, Any], place: str, value: object) -> None:
    assert f"'{place}' cannot be {value!r}" in message_of(changed(values, place, value))


@pytest.mark.parametrize(("key", "value"), [("maximum", 0.0), ("maximum", 256.0), ("unit", "parts of one")])
def test_noise_is_told_in_levels_of_255(values: dict[str, Any], key: str, value: object) -> None:
    values["noise"] = {"maximum": 55.0}
    noise = parse_manifest(json.dumps(values), "x").noise
    assert noise is not None
    assert (noise.maximum, noise.unit) == (55.0, "levels of 255")
    values["noise"][key] = value
    assert f"'noise.{key}' cannot be {value!r}" in message_of(values)


@pytest.mark.parametrize("key", ["name", "recipe", "image", "weights", "golden", "provenance", "metrics", "latent"])
def test_a_missing_key_is_named(values: dict[str, Any], key: str) -> None:
    del values[key]
    assert f"'{key}' is missing" in message_of(values)


@pytest.mark.parametrize("text", ["", "{", "not json", '{"a": 1,}', "\ufeff{}", "[" * 100_000])
def test_what_is_not_json_is_a_damaged_bundle(text: str) -> None:
    assert "is not JSON" in message_of(text)


@pytest.mark.parametrize("text", ["[]", "3", "null", '"text"'])
def test_json_that_is_no_object_is_a_damaged_bundle(text: str) -> None:
    assert "holds no JSON object" in message_of(text)


@given(text=st.text())
def test_any_text_is_a_manifest_error_and_nothing_else(text: str) -> None:
    with pytest.raises(ManifestError):
        parse_manifest(text, "x")


def test_the_digest_is_the_models_and_not_the_exports(make_bundle: Callable[..., Bundle]) -> None:
    one, other = make_bundle("one").manifest, make_bundle("other").manifest
    assert one.model_copy(update={"graphs": (), "metrics": {}, "name": "renamed"}).digest == one.digest
    assert one.digest != other.digest
    wider = one.image.model_copy(update={"width": 8})
    assert one.model_copy(update={"image": wider}).digest != one.digest


def test_a_graph_is_found_by_role_and_format(make_bundle: Callable[..., Bundle]) -> None:
    manifest = make_bundle().manifest
    found = manifest.graph("decoder", "onnx")
    assert found is not None
    assert found.role == "decoder"
    assert manifest.graph("autoencoder", "onnx") is None
    assert manifest.graph("decoder", "torchscript") is None


@pytest.mark.parametrize(("corruption", "denoises"), [({}, False), ({"gaussian": {"sigma": 0.1}}, True)])
def test_whether_it_denoises_is_read_from_its_recipe(
    make_bundle: Callable[..., Bundle], corruption: dict[str, Any], denoises: bool
) -> None:
    manifest = make_bundle().manifest
    assert manifest.model_copy(update={"recipe": {"corruption": corruption}}).denoises is denoises


def test_the_published_schema_accepts_a_manifest_and_is_as_strict(values: dict[str, Any]) -> None:
    schema = Manifest.model_json_schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    assert list(validator.iter_errors(values)) == []
    for place, value in [("extra", 1), ("image.channels", 2), ("weights.sha256", "x"), ("graphs.0.extra", 1)]:
        assert not validator.is_valid(changed(values, place, value)), place


def test_two_graphs_of_one_format_and_role_are_refused(values: dict[str, Any]) -> None:
    twice = {**values, "graphs": values["graphs"][:1] * 2}
    assert "two graphs of the same format, pixels and role" in message_of(twice)


def test_a_model_without_a_latent_has_no_encoder(values: dict[str, Any]) -> None:
    assert any(graph["role"] == "encoder" for graph in values["graphs"])
    assert "autoencoder graph only" in message_of({**values, "latent": None})
