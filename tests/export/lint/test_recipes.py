"""No recipe of ours has an error, and what they are warned of is true of untrained weights alone."""

from __future__ import annotations

import numpy as np
import pytest

from aedeploy.data.digits import digits
from aedeploy.export.lint import lint, subject_of
from aedeploy.models.build import build_model
from aedeploy.recipes import load_recipe, recipe_names


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    return digits().held_out[:4]


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_has_no_error(name: str, samples: np.ndarray) -> None:
    built = build_model(load_recipe(name).model, (1, 28, 28))
    findings = lint(subject_of(built, samples, ("onnx", "torchscript")))
    assert [finding for finding in findings if finding.severity == "error"] == []
    assert {finding.rule for finding in findings} <= {"output-range"}
