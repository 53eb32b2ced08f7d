from __future__ import annotations

import threading
import warnings
from pathlib import Path

import pytest
from PIL import Image

from aedeploy.errors import ImageError
from aedeploy.images.quiet import QUIET, quiet_pillow
from aedeploy.images.read import read_image


def test_pillows_warnings_do_not_leak_and_other_filters_are_as_before(shared_data: Path) -> None:
    # In the index, Pillow warns of this one; here every warning is an error.
    path = shared_data / "hostile/fuzzed/crash-101cc3460e0fd2904d442080e96617d2fe01b29f.fuzzed.tif"
    before = list(warnings.filters)
    with pytest.raises(ImageError, match="not an image"):
        read_image(path, "L")
    assert warnings.filters == before


def test_warnings_stay_quiet_while_any_thread_reads() -> None:
    before = list(warnings.filters)
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with quiet_pillow():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait(10)
    with quiet_pillow():
        pass
    assert warnings.filters != before
    leave.set()
    thread.join()
    assert warnings.filters == before


def test_more_pixels_than_pillow_opens_are_allowed_while_somebody_reads() -> None:
    before = Image.MAX_IMAGE_PIXELS
    with quiet_pillow():
        QUIET.allow(100)
        assert before == Image.MAX_IMAGE_PIXELS
        QUIET.allow(10**9)
        with QUIET:
            assert Image.MAX_IMAGE_PIXELS is not None
            assert 2 * Image.MAX_IMAGE_PIXELS >= 10**9
        assert before != Image.MAX_IMAGE_PIXELS
    assert before == Image.MAX_IMAGE_PIXELS
