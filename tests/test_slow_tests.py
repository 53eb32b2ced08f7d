"""The table of slow tests names tests that are there."""

from __future__ import annotations

from pathlib import Path

import pytest
from slow_tests import SLOW, is_slow

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(("file", "beginning"), [(file, name) for file, names in SLOW.items() for name in names])
def test_each_is_there(file: str, beginning: str) -> None:
    wanted = f"def {beginning.rpartition('::')[2] or 'test_'}"
    assert wanted in (ROOT / file).read_text(encoding="utf-8")


def test_what_is_named_is_slow_and_the_rest_is_not() -> None:
    assert is_slow("tests/embed/test_cpp.py::test_it_conforms_and_proves_itself[cpp-libtorch-conv]")
    assert not is_slow("tests/embed/test_cpp.py::test_it_conforms_and_proves_itself[cpp-onnx-conv]")
    assert not is_slow("tests/parity/test_sabotage.py::test_another")
    assert not is_slow("tests/test_errors.py::test_another")
