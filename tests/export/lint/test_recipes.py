"""No recipe of ours has an error, and what they are warned of is true of untrained weights alone."""

from __future__ import annotations

import numpy as np
import pytest
from recipe_questions import grey_shape
from tiny_photographs import photograph

from aedeploy.export.lint import lint, subject_of
from aedeploy.models.build import build_model
from aedeploy.recipes import load_recipe, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_has_no_error(name: str) -> None:
    shape = grey_shape(name)
    samples = np.stack([photograph(number, *shape[1:])[:, :, :1] for number in range(4)])
    built = build_model(load_recipe(name).model, shape)
    findings = lint(subject_of(built, samples, ("onnx", "torchscript")))
    assert [finding for finding in findings if finding.severity == "error"] == []
    assert {finding.rule for finding in findings} <= {"output-range"}
