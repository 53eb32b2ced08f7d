"""Every recipe of the folder loads, and a mistake in one is a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aedeploy.errors import ConfigError, UnknownNameError
from aedeploy.recipes import DEFAULT_RECIPE, Recipe, load_recipe, recipe_from_dict, recipe_names, with_values

GOOD = """
summary = "Mine"
[model]
latent_dim = 4
[model.backbone]
name = "mlp"
[objective.reconstruction]
loss = "mse"
[training]
epochs = 1
"""


def test_the_recipes_of_the_first_release_are_there() -> None:
    assert {"ae", "mlp-32", "denoising", "vae", "vae-2d"} <= set(recipe_names())
    assert DEFAULT_RECIPE in recipe_names()


@pytest.mark.parametrize("name", recipe_names())
class TestEveryRecipe:
    def test_says_what_it_is_and_where_it_is_from(self, name: str) -> None:
        recipe = load_recipe(name)
        assert recipe.name == name
        assert recipe.summary
        assert recipe.source
        assert "\n" not in recipe.summary + recipe.source

    def test_names_its_parts(self, name: str) -> None:
        recipe = load_recipe(name)
        assert recipe.model["backbone"]["name"]
        assert recipe.model["bottleneck"]["name"]
        assert recipe.objective["reconstruction"]["loss"]
        assert recipe.training["epochs"] >= 1

    def test_comes_back_from_a_manifest(self, name: str) -> None:
        recipe = load_recipe(name, ["model.latent_dim=7"])
        assert recipe_from_dict(json.loads(json.dumps(recipe.as_dict()))) == recipe


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("7", 7),
        ("1e-3", 1e-3),
        ("true", True),
        ("[256, 64]", [256, 64]),
        ('"relu"', "relu"),
        ("relu", "relu"),
        ("", ""),
        (" 7 ", 7),
        ("a=b", "a=b"),
    ],
)
def test_an_override_is_read_as_toml_or_else_as_text(raw: str, value: object) -> None:
    assert load_recipe("mlp-32", [f"training.thing={raw}"]).training["thing"] == value


def test_overrides_reach_inner_tables_and_make_new_ones() -> None:
    recipe = load_recipe("mlp-32", ["model.backbone.hidden=[8]", "corruption.gaussian.sigma=0.5"])
    assert recipe.model["backbone"]["hidden"] == [8]
    assert recipe.model["backbone"]["name"] == "mlp"
    assert recipe.corruption == {"gaussian": {"sigma": 0.5}}


def test_the_last_of_two_overrides_wins_and_the_recipe_itself_does_not_change() -> None:
    before = load_recipe("mlp-32")
    assert load_recipe("mlp-32", ["training.lr=1", "training.lr=2"]).training["lr"] == 2
    assert load_recipe("mlp-32") == before


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("latent_dim=3", "dotted key"),
        ("model.latent_dim", "dotted key"),
        ("=3", "dotted key"),
        ("model.=3", "dotted key"),
        ("modle.latent_dim=3", "did you mean 'model'"),
        ("summary.x=3", "not a table of a recipe"),
        ("model.latent_dim.x=3", "'latent_dim' is a value, not a table"),
    ],
)
def test_an_override_that_cannot_be_is_refused(override: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        load_recipe("mlp-32", [override])


def test_values_by_key_are_what_overrides_are_and_share_nothing() -> None:
    recipe, hidden = load_recipe("mlp-32"), [8]
    other = with_values(recipe, {"model.backbone.hidden": hidden, "training.lr": 0.5}, "--over")
    assert other == load_recipe("mlp-32", ["model.backbone.hidden=[8]", "training.lr=0.5"])
    assert other.model["backbone"]["hidden"] is not hidden
    assert recipe == load_recipe("mlp-32")
    with pytest.raises(ConfigError, match=r"^--over modle\.x: 'modle' is not a table of a recipe"):
        with_values(recipe, {"modle.x": 1}, "--over")


def test_an_unknown_recipe_comes_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"There is no variant 'denoise' \(did you mean 'denoising'\?\)"):
        load_recipe("denoise")


@pytest.mark.parametrize("name", ["", ".", "../recipes/ae", "ae.tml", "__init__"])
def test_what_is_no_file_of_the_folder_is_unknown(name: str) -> None:
    with pytest.raises(UnknownNameError):
        load_recipe(name)


def test_a_recipe_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(GOOD)
    recipe = load_recipe(str(tmp_path / "mine.toml"), ["model.latent_dim=9"])
    assert isinstance(recipe, Recipe)
    assert (recipe.name, recipe.summary, recipe.model["latent_dim"]) == ("mine", "Mine", 9)
    assert str(tmp_path) not in json.dumps(recipe.as_dict())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[model", "is not valid TOML"),
        ("[modle]\nlatent_dim = 3", r"'modle' is not a table of a recipe \(did you mean 'model'\?\)"),
        ("model = 3", "'model' of the recipe 'mine' must be a table"),
        ("[summary]\nx = 1", "'summary' of the recipe 'mine' must be a string"),
        ("summary = 3", "'summary' of the recipe 'mine' must be a string"),
    ],
)
def test_a_mistake_in_ones_own_is_a_sentence(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(ConfigError, match=reason):
        load_recipe(str(tmp_path / "mine.toml"))


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_recipe(str(tmp_path / "none.toml"))
    (tmp_path / "latin.toml").write_bytes(b'summary = "gr\xfc\xdfe"')
    with pytest.raises(ConfigError, match="cannot be read"):
        load_recipe(str(tmp_path / "latin.toml"))
