"""Configuration is strict, and what is wrong with it is one sentence that names the place."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import Field, ValidationError, field_validator

from aedeploy.config import Config, parse
from aedeploy.errors import ConfigError


class Inner(Config):
    depth: int = 1


class Example(Config):
    latent_dim: int = Field(ge=1)
    activation: Literal["relu", "elu"] = "relu"
    sigma: float = 0.0
    inner: Inner = Inner()

    @field_validator("sigma")
    @classmethod
    def _not_negative(cls, sigma: float) -> float:
        if sigma < 0:
            raise ValueError("A noise level is not negative")
        return sigma


def message_of(values: dict[str, object]) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(Example, values, "model")
    return str(caught.value)


def test_good_values_are_read() -> None:
    assert parse(Example, {"latent_dim": 2, "inner": {"depth": 3}}, "model").inner.depth == 3


def test_an_unknown_key_is_named_with_the_nearest_one() -> None:
    assert message_of({"latent_dim": 2, "latent_din": 3}) == (
        "'model.latent_din' is not a known key (did you mean 'latent_dim'?). "
        "Known keys there: activation, inner, latent_dim, sigma."
    )


def test_an_unknown_key_of_an_inner_table_is_named_with_its_place() -> None:
    assert message_of({"latent_dim": 2, "inner": {"dept": 3}}) == "'model.inner.dept' is not a known key."


def test_a_missing_key_is_named() -> None:
    assert message_of({}) == "'model.latent_dim' is missing: it must be given."


@pytest.mark.parametrize(
    ("values", "place", "reason"),
    [
        ({"latent_dim": 0}, "'model.latent_dim' cannot be 0", "greater than or equal to 1"),
        ({"latent_dim": "many"}, "'model.latent_dim' cannot be 'many'", "valid integer"),
        ({"latent_dim": 1, "activation": "gelu"}, "'model.activation' cannot be 'gelu'", "'relu' or 'elu'"),
        ({"latent_dim": 1, "sigma": -1}, "'model.sigma' cannot be -1", "a noise level is not negative"),
        ({"latent_dim": 1, "inner": 3}, "'model.inner' cannot be 3", "Inner"),
    ],
)
def test_a_wrong_value_is_named_with_the_reason(values: dict[str, object], place: str, reason: str) -> None:
    message = message_of(values)
    assert message.startswith(place)
    assert reason in message
    assert "\n" not in message
    assert "Value error" not in message


def test_a_configuration_does_not_change_once_read() -> None:
    config = parse(Example, {"latent_dim": 2}, "model")
    with pytest.raises(ValidationError, match="frozen"):
        config.latent_dim = 3  # type: ignore[misc]
