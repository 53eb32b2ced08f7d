from __future__ import annotations

import gc
import sys
from types import ModuleType

import pytest

from aedeploy.cli.large_imports import large_imports


def test_the_collector_waits_leaves_what_came_alone_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "triton", raising=False)
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


def test_nothing_more_is_left_alone_once_triton_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "triton", ModuleType("triton"))
    gc.unfreeze()
    with large_imports():
        pass
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
