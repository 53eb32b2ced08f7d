"""A bundle that is measured in a second."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_bundle import write_tiny_bundle

from aedeploy.bundle import Bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path / "ein Bündel [1]")
