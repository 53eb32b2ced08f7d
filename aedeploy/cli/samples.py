"""Real images of a folder, for options that take some: --samples, --calibration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from aedeploy.bundle import Bundle
    from aedeploy.images.geometry import Geometry

#: Enough to judge or calibrate by; more would only take longer.
MOST = 64


def read_samples(bundle: Bundle, folder: Path, option: str, most: int = MOST) -> np.ndarray:
    """Up to ``most`` images of a folder, as a bundle's image contract wants them (see :func:`read_folder`)."""
    from aedeploy.runtime.codec import image_geometry

    return read_folder(image_geometry(bundle), folder, option, most)


def read_folder(geometry: Geometry, folder: Path, option: str, most: int = MOST) -> np.ndarray:
    """Up to ``most`` images of a folder in a size and colour: uint8 [N, H, W, C].

    Files that cannot be read as images are left out.

    Raises:
        NothingToDoError: none can be read; the message names the ``option``.
    """
    import numpy as np

    from aedeploy.errors import ImageError, NothingToDoError
    from aedeploy.images.folder import list_images
    from aedeploy.images.read import read_image

    images = []
    listing = list_images(folder)
    for name in listing.images:
        try:
            images.append(geometry.apply(read_image(listing.root / name, geometry.mode)))
        except ImageError:
            continue
        if len(images) == most:
            break
    if not images:
        raise NothingToDoError(f"--{option} {folder}: none of its files can be read as an image.")
    return np.stack(images)
