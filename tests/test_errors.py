"""The exception tree is what its docstring draws, and each message says what to do."""

from __future__ import annotations

import inspect
import re

import pytest

from aedeploy import errors
from aedeploy.errors import (
    AedeployError,
    IntegrityError,
    MissingDependencyError,
    NothingToDoError,
    ParityError,
    UnknownNameError,
    did_you_mean,
)

CLASSES = [
    value
    for _, value in inspect.getmembers(errors, inspect.isclass)
    if issubclass(value, AedeployError) and value.__module__ == errors.__name__
]


def drawn_tree() -> dict[str, str]:
    """Each drawn class and its parent, from the indentation of the module's docstring."""
    parents: dict[str, str] = {}
    above: list[tuple[int, str]] = [(-1, "Exception")]
    for indent, name in re.findall(r"^( {4,})(\w+Error)\b", errors.__doc__ or "", re.MULTILINE):
        while above[-1][0] >= len(indent):
            above.pop()
        parents[name] = above[-1][1]
        above.append((len(indent), name))
    return parents


def test_the_drawn_tree_is_the_real_one() -> None:
    assert drawn_tree() == {kind.__name__: kind.__base__.__name__ for kind in CLASSES}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_each_class_says_in_one_sentence_what_it_is(kind: type[AedeployError]) -> None:
    text = vars(kind).get("__doc__") or ""
    assert re.fullmatch(r"[A-Z][^\n]*\.", text), f"{kind.__name__} needs a docstring of one line"
    assert ". " not in text


def test_exit_codes_are_those_of_the_design() -> None:
    expected = {
        "ConfigError": 2,
        "UnknownNameError": 2,
        "IntegrityError": 5,
        "ParityError": 5,
        "PictureError": 2,
        "NothingToDoError": 4,
    }
    assert {kind.__name__: kind.exit_code for kind in CLASSES} == {
        kind.__name__: expected.get(kind.__name__, 1) for kind in CLASSES
    }


def test_an_unknown_name_lists_the_known_ones_and_offers_the_nearest() -> None:
    error = UnknownNameError("variant", "vea-2d", ["vae-2d", "ae", "mlp-32"])
    assert str(error) == "There is no variant 'vea-2d' (did you mean 'vae-2d'?). Known: ae, mlp-32, vae-2d."
    assert error.known == ["ae", "mlp-32", "vae-2d"]


def test_an_unknown_name_among_none_says_so() -> None:
    assert str(UnknownNameError("backend", "x", [])) == "There is no backend 'x'. Known: none."


def test_a_missing_package_comes_with_the_line_that_installs_it() -> None:
    error = MissingDependencyError("torch", "train", "Training")
    assert "Training needs the package 'torch'" in str(error)
    assert "pip install 'aedeploy[train]'" in str(error)
    assert (error.package, error.extra) == ("torch", "train")


def test_a_parity_error_carries_its_report() -> None:
    report = {"passed": False}
    assert ParityError("The encoder is off.", report).report is report


@pytest.mark.parametrize(("kind", "code"), [(IntegrityError, 5), (NothingToDoError, 4), (AedeployError, 1)])
def test_an_error_can_be_caught_at_the_root(kind: type[AedeployError], code: int) -> None:
    with pytest.raises(AedeployError) as caught:
        raise kind("What is wrong, and what to do.")
    assert caught.value.exit_code == code


@pytest.mark.parametrize(
    ("name", "hint"),
    [("mlp32", " (did you mean 'mlp-32'?)"), ("denoise", " (did you mean 'denoising'?)"), ("qqqq", ""), ("", "")],
)
def test_only_a_near_name_is_offered(name: str, hint: str) -> None:
    assert did_you_mean(name, ["mlp-32", "denoising", "vae"]) == hint
