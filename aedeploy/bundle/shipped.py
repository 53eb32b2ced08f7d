"""The bundles that come with the package: denoisers for photographs, there when it is installed."""

from __future__ import annotations

from pathlib import Path

from aedeploy.bundle.store import INSTALLED, MANIFEST_FILE, Bundle, open_bundle
from aedeploy.errors import BundleError, UnknownNameError

GREY = "denoiser-gray"
COLOUR = "denoiser-color"

# Of a wheel they are beside the code; of a checkout, where bundles go by default.
_CHECKOUT = INSTALLED.parents[1] / "artifacts"


def shipped_names() -> tuple[str, ...]:
    """What they are called, there or not."""
    return GREY, COLOUR


def shipped_path(name: str) -> Path | None:
    """The folder of a shipped bundle; None where it is not there, or ``name`` is of none."""
    if name not in shipped_names():
        return None
    return next((folder / name for folder in (INSTALLED, _CHECKOUT) if (folder / name / MANIFEST_FILE).is_file()), None)


def shipped_bundle(name: str) -> Bundle:
    """A bundle that came with the package. It may be in a folder that nobody can write to.

    Raises:
        UnknownNameError: there is none of that name.
        BundleError: this installation is without it.
    """
    if name not in shipped_names():
        raise UnknownNameError("shipped bundle", name, shipped_names())
    path = shipped_path(name)
    if path is None:
        raise BundleError(
            f"This installation of aedeploy came without its bundle {name!r}: install it again, or name a bundle of "
            "your own with --bundle."
        )
    return open_bundle(path)


def is_shipped(folder: Path) -> bool:
    """Whether a folder is that of a shipped bundle, and no copy of it."""
    here = folder.resolve()
    return any(path is not None and here == path.resolve() for path in map(shipped_path, shipped_names()))
