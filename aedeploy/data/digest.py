"""What identifies images, wherever they lie."""

from __future__ import annotations

import hashlib


class PixelDigest:
    """SHA-256 of images: their shape, then their bytes, [H, W, C] each, in order; however they are cut into pieces."""

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        self._hash = hashlib.sha256("x".join(map(str, image_shape)).encode())

    def update(self, pixels: object) -> None:
        """Add images, uint8 [n, H, W, C], contiguous."""
        self._hash.update(pixels)  # type: ignore[arg-type]  # an array is a buffer, which its stubs do not say

    def hexdigest(self) -> str:
        return self._hash.hexdigest()
