from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aedeploy.images.write import write_png


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_what_is_written_reads_back_to_the_bit(tmp_path: Path, channels: int, mode: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    write_png(tmp_path / "a.png", pixels)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == mode
        assert (np.asarray(image).reshape(pixels.shape) == pixels).all()


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    target.mkdir()
    (target / "kept").touch()
    with pytest.raises(OSError, match="directory"):
        write_png(target, np.zeros((2, 2, 1), np.uint8))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (target / "kept").exists()
