"""Write the pages that are read from the code: ``make docs``. A test fails when one of them is out of date.

commands.md           every command and option, from the command line itself
bundle.schema.json    what a bundle's manifest may say, as JSON Schema
variants.md           every recipe, and every key of every part that a recipe can be made of
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def commands() -> str:
    """The command reference, in Markdown, by Typer's own generator."""
    generator = [sys.executable, "-m", "typer", "aedeploy.cli.app", "utils", "docs"]
    # Width and colour of whoever runs this must not show.
    plain = {**os.environ, "COLUMNS": "120", "TERMINAL_WIDTH": "120", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(
        [*generator, "--name", "aedeploy", "--title", "Commands"], env=plain, capture_output=True, check=True
    )
    text = "\n".join(line.rstrip() for line in done.stdout.decode().splitlines()).strip()
    # The generator cuts the list of commands at 45 letters; their sections have the whole line.
    for name, summary in re.findall(r"^## `aedeploy ([\w-]+)`\n\n(.+)$", text, re.MULTILINE):
        text = re.sub(rf"^\* `{name}`: .*$", f"* [`{name}`](#aedeploy-{name}): {summary}", text, flags=re.MULTILINE)
    return f"<!-- Written by docs/generate.py: change the commands, then run make docs. -->\n\n{text}\n"


def schema() -> str:
    """The JSON Schema of ``bundle.json``."""
    from aedeploy.bundle import SCHEMA_VERSION, Manifest

    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": f"Schema version {SCHEMA_VERSION}. Written by docs/generate.py.",
        **Manifest.model_json_schema(),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


AXES = {
    "Backbones": ("model.backbone", "aedeploy.models.backbones", "BackboneConfig"),
    "Bottlenecks": ("model.bottleneck", "aedeploy.models.bottlenecks", "BottleneckConfig"),
    "Corruptions": ("corruption", "aedeploy.training.corruption", "CorruptionConfig"),
    "Objective terms": ("objective", "aedeploy.training.objectives", "TermConfig"),
    "Training methods": ("training.method", "aedeploy.training.methods", "MethodConfig"),
}

VARIANTS = """<!-- Written by docs/generate.py: change the recipes and the parts, then run make docs. -->

# Variants

A variant is a recipe: one TOML file that names a backbone, a bottleneck, corruptions, the terms of an objective and a
training method, with all their settings. These come with aedeploy; [training.md](training.md) says how to write your
own, and [results.md](results.md) what each is worth on MNIST; the denoisers of photographs are measured in
[denoising.md](denoising.md).
"""


def variants() -> str:
    """The recipes, and the parts with their keys."""
    from aedeploy.models.build import ModelConfig
    from aedeploy.names import load_named, names_in, summaries_in
    from aedeploy.recipes import load_recipe, recipe_names
    from aedeploy.training.config import TrainingConfig
    from aedeploy.training.data.patches import PatchConfig
    from aedeploy.training.objective import ObjectiveConfig

    recipes = [load_recipe(name) for name in recipe_names()]
    rows = [f"| `{recipe.name}` | {recipe.summary} | {recipe.source} |" for recipe in recipes]
    parts = [VARIANTS, "\n".join(["| recipe | what it is | source |", "|---|---|---|", *rows])]
    for title, (where, package, config) in AXES.items():
        parts.append(f"## {title}")
        for name in names_in(package):
            module = load_named(package, name, title)
            named = where.startswith("model.") or where == "training.method"
            table = f"[{where}] name = {name!r}" if named else f"[{where}.{name}]"
            parts += [f"### `{table}`", summaries_in(package)[name], *_keys(getattr(module, config))]
    for title, where, config in (
        ("The model", "model", ModelConfig),
        ("The objective", "objective", ObjectiveConfig),
        ("Training", "training", TrainingConfig),
        ("Patches of photographs", "training.patches", PatchConfig),
    ):
        parts += [f"## {title}", f"### `[{where}]`", *_keys(config)]
    # Docstrings write code as reStructuredText does.
    return "\n\n".join(part.strip() for part in parts if part).replace("``", "`") + "\n"


def _keys(config: Any) -> list[str]:
    """The keys of a table, with what may stand there."""
    import inspect

    from aedeploy.config import Config

    lines = []
    for name, field in config.model_fields.items():
        if name == "name" or str(field.annotation).startswith("dict[") or _is_table(field.annotation):
            continue
        default = "needed" if field.is_required() else _toml(field.get_default(call_default_factory=True))
        described = f": {field.description}" if field.description else ""
        lines.append(f"- `{name}` ({_type(field.annotation)}; {default}){described}")
    own = inspect.getdoc(config) if config.__doc__ != Config.__doc__ else None
    return [part for part in (own, "\n".join(lines)) if part and not part.startswith("It has nothing to set")]


def _is_table(annotation: Any) -> bool:
    """Whether a key is a table of its own, which has a section of its own too."""
    from typing import get_args

    from aedeploy.config import Config

    parts = get_args(annotation) or (annotation,)
    return any(isinstance(part, type) and issubclass(part, Config) for part in parts)


def _toml(value: Any) -> str:
    if value is None:
        return "none unless given"
    return f"`{json.dumps(value)}`"


def _type(annotation: Any) -> str:
    """A type, as a person who writes TOML would say it."""
    from typing import Annotated, Literal, get_args, get_origin

    if get_origin(annotation) is Annotated:
        return _type(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{json.dumps(value)}`" for value in get_args(annotation))
    if get_origin(annotation) is tuple:
        inner = [part for part in get_args(annotation) if part is not Ellipsis]
        return f"[{_type(inner[0])}, …]" if len(inner) == 1 else f"[{', '.join(map(_type, inner))}]"
    if get_args(annotation):
        return " or ".join(_type(part) for part in get_args(annotation) if part is not type(None))
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}[annotation]


PAGES = {"commands.md": commands, "bundle.schema.json": schema, "variants.md": variants}


if __name__ == "__main__":
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), encoding="utf-8")
        print(f"docs/{name}")
