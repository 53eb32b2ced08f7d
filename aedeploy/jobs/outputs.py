"""Where the outputs go: a tree that mirrors the input's, in which no two inputs meet."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath, PurePosixPath

from aedeploy.errors import ConfigError
from aedeploy.files import PARTIAL_SUFFIX
from aedeploy.jobs.spec import OutputNames, Source

# Where A.png and a.png are one file, as file systems are set up there.
_CASELESS = sys.platform in ("darwin", "win32")


def image_output(path: str, names: OutputNames) -> str:
    """The output of an input, relative to the output folder: ``a/b.jpg`` gives ``a/b.png``, or ``a/b.jpg.png``."""
    folder, slash, name = path.rpartition("/")
    stem = name.rpartition(".")[0] if names == "short" else name
    return f"{folder}{slash}{stem or name}.png"


def is_inside(path: str) -> bool:
    """Whether a relative path stays below the folder that it is relative to."""
    native = PurePath(path)
    return bool(native.parts) and not native.anchor and ".." not in native.parts and "\0" not in path


def check_collisions(paths: Iterable[str], names: OutputNames) -> None:
    """Refuse inputs of which two would write one file, or one a file where another needs a folder.

    Raises:
        ConfigError: it names both inputs, and what to do.
    """
    owner: dict[str, str] = {}
    for path in paths:
        target = image_output(path, names)
        if _CASELESS:
            target = target.casefold()
        if target in owner:
            remedy = "rename one of them" if names == "full" or path == owner[target] else "use --names full"
            raise ConfigError(f"{owner[target]} and {path} would both be written to {target}: {remedy}.")
        owner[target] = path
    for folder in {target.rpartition("/")[0] for target in owner}:
        for needed in (folder, *map(str, PurePosixPath(folder).parents)):
            if needed in owner:
                raise ConfigError(f"{owner[needed]} would be written to {needed}, which is a folder too: rename one.")


def check_folders(source: Path, output: Path) -> None:
    """Refuse to write into the input folder, or into a file.

    Raises:
        ConfigError: ``output`` is the input folder or lies in it, or is no folder.
    """
    root = (source if source.is_dir() else source.parent).resolve()
    target = output.resolve()
    if target == root or (source.is_dir() and target.is_relative_to(root)):
        raise ConfigError(f"--out {output} is in the input folder {root}: name a folder outside of it.")
    if output.exists() and not output.is_dir():
        raise ConfigError(f"--out {output} is a file: name a folder.")


def check_inputs_kept(source: Path, root: Path, sources: Sequence[Source], output: Path) -> None:
    """Refuse to write an output into a folder of inputs, wherever ``output`` and the links in it lead.

    Raises:
        ConfigError: an output would be in the input folder, or beside an input that a link leads to.
    """
    top = Path(os.path.realpath(root))
    taken = {Path(os.path.realpath(f"{root}/{folder}")) for folder in {_folder(one.file) for one in sources}}
    for folder in sorted({_folder(one.path) for one in sources}):
        target = Path(os.path.realpath(f"{output}/{folder}"))
        if target in taken or (source.is_dir() and target.is_relative_to(top)):
            raise ConfigError(
                f"--out {output} would put outputs into {target}, where the inputs are: name a folder outside of it."
            )


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def remove_partials(folder: Path) -> None:
    """Delete what a killed job had not finished writing."""
    for parent, _, files in os.walk(folder):
        for name in files:
            if name.endswith(PARTIAL_SUFFIX):
                (Path(parent) / name).unlink(missing_ok=True)
