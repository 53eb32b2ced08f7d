"""The variants: one TOML file each, beside this module, and the reading of them.

A recipe names a point in the space  corruption × backbone × bottleneck × objective × training, with all its
hyperparameters. Its tables:

    summary, source              one line each: what it is, and where it comes from
    [model]                      latent_dim, output, normalisation; the tables backbone and bottleneck, each with a name
    [corruption.<name>]          what is done to the input in training; none: it is reconstructed as it is
    [objective.<name>]           the terms, and [objective] reduction
    [training]                   epochs, batch_size, lr, …

This module knows the tables; what may stand in each is declared beside its owner, in models/ and training/.
"""

from __future__ import annotations

import copy
import importlib.resources
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aedeploy.errors import ConfigError, UnknownNameError, did_you_mean

DEFAULT_RECIPE = "ae"
_TABLES = ("model", "corruption", "objective", "training")
_KEYS = ("summary", "source", *_TABLES)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A variant, resolved: what trains from it needs nothing else."""

    name: str
    summary: str
    source: str
    model: Mapping[str, Any]
    corruption: Mapping[str, Any]
    objective: Mapping[str, Any]
    training: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """The recipe as plain values, as it stands in a manifest."""
        return {
            "name": self.name,
            "summary": self.summary,
            "source": self.source,
            **{table: copy.deepcopy(dict(getattr(self, table))) for table in _TABLES},
        }


def recipe_names() -> list[str]:
    """The names of the recipes that come with aedeploy."""
    folder = importlib.resources.files(__name__)
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe by its name, or a user's own from a ``.toml`` file, and apply ``KEY=VALUE`` overrides to it.

    A value is read as TOML (``4``, ``1e-3``, ``true``, ``[256, 64]``, ``"relu"``); what is not TOML is a string.

    Raises:
        UnknownNameError: there is no such recipe.
        ConfigError: the file cannot be read, or a table or a key is not one of a recipe's.
    """
    name, text = _read(name_or_path)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The recipe {name_or_path} is not valid TOML: {error}.") from None
    for override in overrides:
        _apply(values, override)
    for key, value in values.items():
        if key not in _KEYS:
            raise ConfigError(
                f"{key!r} is not a table of a recipe{did_you_mean(key, _KEYS)}. Known: {', '.join(_KEYS)}."
            )
        if not isinstance(value, dict if key in _TABLES else str):
            raise ConfigError(f"{key!r} of the recipe {name!r} must be a {'table' if key in _TABLES else 'string'}.")
    return Recipe(
        name=name,
        summary=values.get("summary", ""),
        source=values.get("source", ""),
        **{table: values.get(table, {}) for table in _TABLES},
    )


def recipe_from_dict(values: Mapping[str, Any]) -> Recipe:
    """The inverse of :meth:`Recipe.as_dict`."""
    return Recipe(**{key: values.get(key, {} if key in _TABLES else "") for key in ("name", *_KEYS)})


def _read(name_or_path: str) -> tuple[str, str]:
    if name_or_path.endswith(".toml"):
        path = Path(name_or_path)
        try:
            return path.stem, path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(f"The recipe {path} cannot be read: {reason}.") from None
    if name_or_path not in recipe_names():
        raise UnknownNameError("variant", name_or_path, recipe_names())
    return name_or_path, importlib.resources.files(__name__).joinpath(f"{name_or_path}.toml").read_text("utf-8")


def with_values(recipe: Recipe, values: Mapping[str, Any], option: str) -> Recipe:
    """A recipe with other values for some dotted keys; ``option`` is what a message says they were given with.

    Raises:
        ConfigError: a key does not lead into one of a recipe's tables.
    """
    tables = recipe.as_dict()
    for key, value in values.items():
        _assign(tables, key, copy.deepcopy(value), option)
    return recipe_from_dict(tables)


def is_dotted(key: str) -> bool:
    """Whether a key names a table and something in it, such as ``model.latent_dim``."""
    parts = key.split(".")
    return len(parts) > 1 and all(parts)


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Each key's last words, as many as tell it from the others: ``latent_dim``, but ``gaussian.sigma``."""
    parts = {key: key.split(".") for key in keys}
    names = {}
    for key in keys:
        for count in range(1, len(parts[key]) + 1):
            names[key] = ".".join(parts[key][-count:])
            if sum(other[-count:] == parts[key][-count:] for other in parts.values()) == 1:
                break
    return names


def parse_value(raw: str) -> Any:
    """A value as ``--set`` reads it: TOML, and what is not TOML is a string."""
    try:
        return tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        return raw


def _apply(values: dict[str, Any], override: str) -> None:
    key, equals, raw = override.partition("=")
    if not equals or not is_dotted(key.strip()):
        raise ConfigError(
            f"--set takes KEY=VALUE with a dotted key, such as model.latent_dim=32: {override!r} is not one."
        )
    _assign(values, key.strip(), parse_value(raw.strip()), "--set")


def _assign(tables: dict[str, Any], key: str, value: Any, option: str) -> None:
    *parents, last = key.split(".")
    if parents[0] not in _TABLES:
        raise ConfigError(
            f"{option} {key}: {parents[0]!r} is not a table of a recipe{did_you_mean(parents[0], _TABLES)}."
        )
    table = tables
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{option} {key}: {parent!r} is a value, not a table.")
    table[last] = value
