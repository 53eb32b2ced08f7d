from __future__ import annotations

import gc

import pytest

from aedeploy.cli.large_imports import large_imports


def test_the_collector_waits_leaves_what_came_alone_and_goes_on() -> None:
    with large_imports():
        assert not gc.isenabled()
        came: list[object] = []
        came.append(came)
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0
    assert not any(item is came for item in gc.get_objects())
    gc.unfreeze()


def test_the_collector_goes_on_after_an_import_that_fails() -> None:
    with pytest.raises(ImportError), large_imports():
        raise ImportError("torch")
    assert gc.isenabled()
    gc.unfreeze()
