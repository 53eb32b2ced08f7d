"""No recipe of ours has an error, and what they are warned of is true of untrained weights alone."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_photographs import photograph

from aedeploy.export.lint import lint, subject_of
from aedeploy.models.build import build_model
from aedeploy.recipes import load_recipe, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_has_no_error(name: str) -> None:
    # By 28, which digits have, and by the multiples of 8 that a denoiser needs.
    size = 32 if load_recipe(name).model["backbone"]["name"] == "denoiser" else 28
    samples = np.stack([photograph(number, size, size)[:, :, :1] for number in range(4)])
    built = build_model(load_recipe(name).model, (1, size, size))
    findings = lint(subject_of(built, samples, ("onnx", "torchscript")))
    assert [finding for finding in findings if finding.severity == "error"] == []
    assert {finding.rule for finding in findings} <= {"output-range"}
