"""What cannot be meant is refused before anything is listed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aedeploy.bundle import Bundle
from aedeploy.errors import ConfigError
from aedeploy.jobs.request import JobRequest


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": Path("s3://bucket/latents")}, "--out is a folder of this machine, and s3:/bucket/latents"),
        ({"max_pixels": 0}, "--max-pixels must be 1 or more: 0 is not"),
        ({"workers": 0}, "--workers must be 1 or more, or auto: 0 is not"),
        ({"score": True, "quantile": 0.9}, "--quantile is of the errors of --calibrate DIR"),
        ({"calibrate": Path("good")}, "belong to --score"),
        ({"resize": "fot"}, "--resize is one of exact, fit, crop: 'fot' is not .did you mean 'fit'"),
        ({"max_failures": "5 per cent"}, "--max-failures is a number or a share"),
    ],
)
def test_what_cannot_be_meant_is_refused(bundle: Bundle, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        JobRequest(**{"job": "reconstruct", "bundle": bundle, "source": "in", "output": Path("out"), **options})


@pytest.mark.parametrize("output", ["out", "a:b", "C:/out", "out/s3:/x"])
def test_a_folder_may_have_nearly_any_name(bundle: Bundle, output: str) -> None:
    request = JobRequest(job="encode", bundle=bundle, source="in", output=Path(output))
    assert request.output == Path(output)
