"""Pillow without its warnings, in as many threads as read."""

from __future__ import annotations

import logging
import threading
import warnings
from contextlib import AbstractContextManager

from PIL import Image

# Without a handler anywhere, Python itself would print what Pillow logs of a broken file.
logging.getLogger("PIL").addHandler(logging.NullHandler())


class QuietPillow:
    """How many threads are reading now, and what was set before the first of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0
        self._before: warnings.catch_warnings[None] | None = None
        self._raised = False
        self._limit: int | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._readers == 0:
                self._before = warnings.catch_warnings()
                self._before.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._readers += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._readers -= 1
            if self._readers == 0 and self._before is not None:
                self._before.__exit__(None, None, None)
                if self._raised:
                    Image.MAX_IMAGE_PIXELS, self._raised = self._limit, False

    def allow(self, pixels: int) -> None:
        """Let Pillow open an image of that many pixels, until the last reader leaves; it refuses some 179 million."""
        if Image.MAX_IMAGE_PIXELS is None or pixels <= 2 * Image.MAX_IMAGE_PIXELS:
            return
        with self._lock:
            if Image.MAX_IMAGE_PIXELS is not None:
                if not self._raised:
                    self._limit, self._raised = Image.MAX_IMAGE_PIXELS, True
                Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, pixels // 2 + 1)


QUIET = QuietPillow()


def quiet_pillow() -> AbstractContextManager[None]:
    """Ignore Pillow's warnings: what a file is good for is said by its pixels or by an ImageError.

    ``warnings.catch_warnings`` alone is not safe in threads: one that leaves would undo what another still needs.
    Hold this around many reads to pay for the filter once.
    """
    return QUIET
