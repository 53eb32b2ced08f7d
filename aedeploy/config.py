"""Strict configuration: unknown keys and wrong values become one sentence that names the place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from aedeploy.errors import ConfigError, did_you_mean


class Config(BaseModel):
    """The base of every configuration: frozen, and no key that is not declared."""

    # Strict: true is no number; an int is still a float.
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), strict=True)


C = TypeVar("C", bound=BaseModel)


def parse(kind: type[C], values: Mapping[str, Any], where: str) -> C:
    """Read ``values`` as a ``kind``; ``where`` (such as ``"model.backbone"``) prefixes the key in the message.

    Raises:
        ConfigError: a key is unknown (the nearest is offered), missing, or its value is not acceptable.
    """
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError(describe(kind, error, where)) from None


def describe(kind: type[BaseModel], error: ValidationError, where: str) -> str:
    """The first problem of a validation error, in one sentence."""
    # A misspelt key is also a missing one: its spelling is the problem.
    first = min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in (*filter(None, [where]), *first["loc"]))
    if first["type"] == "extra_forbidden":
        known = sorted(kind.model_fields) if len(first["loc"]) == 1 else []
        listed = f" Known keys there: {', '.join(known)}." if known else ""
        return f"{key!r} is not a known key{did_you_mean(str(first['loc'][-1]), known)}.{listed}"
    if first["type"] == "missing":
        return f"{key!r} is missing: it must be given."
    message = (
        first["msg"].removeprefix("Value error, ").replace("valid tuple", "list").replace("valid dictionary", "table")
    )
    return f"{key!r} cannot be {first['input']!r}: {message[0].lower()}{message[1:]}."
