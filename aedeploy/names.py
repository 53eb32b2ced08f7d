"""A folder is a registry: its file names are the names, and listing them imports nothing.

Used for every axis that grows by one file: backbones, bottlenecks, objective terms, corruptions, export
formats, runtime backends, job engines. ``batch_topk.py`` is called ``batch-topk`` by users.
"""

from __future__ import annotations

import ast
import importlib
import importlib.resources
from contextlib import suppress
from importlib.resources.abc import Traversable
from types import ModuleType

from aedeploy.errors import UnknownNameError


def names_in(package: str) -> list[str]:
    """The names of a package's modules, sorted, without importing any of them."""
    stems = (entry.name.removesuffix(".py") for entry in _folder(package).iterdir() if entry.name.endswith(".py"))
    return sorted(stem.replace("_", "-") for stem in stems if not stem.startswith("_"))


def summaries_in(package: str) -> dict[str, str]:
    """Each name of a package and the first line of its module's docstring, without importing any of them."""
    summaries = {}
    for name in names_in(package):
        source = _folder(package).joinpath(f"{name.replace('-', '_')}.py").read_text(encoding="utf-8")
        summaries[name] = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
    return summaries


def literals_in(package: str, name: str) -> dict[str, object]:
    """What the module called ``name`` in ``package`` sets to plain values, without importing it."""
    source = _folder(package).joinpath(f"{name.replace('-', '_')}.py").read_text(encoding="utf-8")
    found: dict[str, object] = {}
    for statement in ast.parse(source).body:
        target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
        value = getattr(statement, "value", None)
        if isinstance(target, ast.Name) and value is not None:
            with suppress(ValueError):
                found[target.id] = ast.literal_eval(value)
    return found


def load_named(package: str, name: str, what: str) -> ModuleType:
    """Import the module called ``name`` in ``package``.

    Raises:
        UnknownNameError: there is no such file; the message calls the thing ``what``.
    """
    known = names_in(package)
    if name not in known:
        raise UnknownNameError(what, name, known)
    return importlib.import_module(f"{package}.{name.replace('-', '_')}")


def _folder(package: str) -> Traversable:
    # From the root downwards: asking for the package itself would import it, and with it what it imports.
    root, *parts = package.split(".")
    return importlib.resources.files(root).joinpath(*parts)
