"""Where the outputs go: a tree that mirrors the input's, in which no two inputs meet."""

from __future__ import annotations

from pathlib import Path, PurePath

from aedeploy.errors import ConfigError
from aedeploy.jobs.spec import OutputNames, Settings


def image_output(path: str, names: OutputNames, extension: str = ".png") -> str:
    """The output of an input, relative to the output folder: ``a/b.jpg`` gives ``a/b.png``, or ``a/b.jpg.png``."""
    folder, slash, name = path.rpartition("/")
    stem = name.rpartition(".")[0] if names == "short" else name
    return f"{folder}{slash}{stem or name}{extension}"


def is_inside(path: str) -> bool:
    """Whether a relative path stays below the folder that it is relative to."""
    native = PurePath(path)
    return bool(native.parts) and not native.anchor and ".." not in native.parts and "\0" not in path


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


def scratch_of(settings: Settings) -> Path | None:
    """The folder in which what is not yet whole is written: on the file system of the outputs, as a rule."""
    return None if settings.scratch is None else Path(settings.scratch)
