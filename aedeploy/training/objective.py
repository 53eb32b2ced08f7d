"""The objective: its terms, added up."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Literal

import torch
from torch import Tensor

from aedeploy.config import Config, parse
from aedeploy.errors import ConfigError, UnknownNameError
from aedeploy.models.autoencoder import TrainingPass
from aedeploy.names import load_named, names_in
from aedeploy.training.objectives import ObjectiveTerm, Premises

OBJECTIVES = "aedeploy.training.objectives"


class ObjectiveConfig(Config):
    """What stands in [objective] itself; every table in it is a term.

    ``mean``: over all pixels of the batch, and the other terms are divided by as many, so that the proportions of an
    ELBO stay what they are. ``image_sum``: summed over an image, mean over the images. ``sum``: over the whole batch.
    """

    reduction: Literal["mean", "image_sum", "sum"] = "mean"


@dataclass(frozen=True, kw_only=True)
class WeighedTerm:
    """A term and its place in the loss."""

    name: str
    weight: float
    term: ObjectiveTerm
    warmup_epochs: float = 0.0

    def weight_at(self, epoch: float) -> float:
        """The weight when so many epochs are over."""
        return self.weight * min(1.0, epoch / self.warmup_epochs) if self.warmup_epochs else self.weight


class Objective:
    """The loss of a recipe.

    Figures for a person are by pixel where the reduction is ``mean`` and by image where it is not: those of a summed
    loss would depend on the batch size.
    """

    def __init__(
        self, terms: Sequence[WeighedTerm], reduction: str, *, likelihood: bool, table: Mapping[str, Any]
    ) -> None:
        self.terms = terms
        self.reduction = reduction
        self.table = table  # the recipe's, with every default written out
        self.likelihood = likelihood  # whether the reconstruction's sum is a negative log-likelihood, in nats

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(term.name for term in self.terms)

    def __call__(self, taken: TrainingPass, epoch: float = inf) -> tuple[Tensor, Tensor]:
        """The loss of a batch, to differentiate, and the sum of each term, unweighted and detached: float32 [terms].

        ``epoch``: how many are over, with the part of the one that is running; a weight may grow with it.
        """
        scale = self.scale(len(taken.target), taken.target[0].numel())
        sums = [each.term(taken) for each in self.terms]
        weighted = [each.weight_at(epoch) * scale * value for each, value in zip(self.terms, sums, strict=True)]
        return functools.reduce(torch.add, weighted), torch.stack(sums).detach()

    def figures(self, sums: Sequence[float], images: int, pixels: int) -> tuple[float, dict[str, float]]:
        """The loss and its unweighted parts, by pixel or by image, from the terms' sums over ``images`` images.

        With full weights, warm-up or not, so that epochs can be compared.
        """
        unit = self.unit(images, pixels)
        parts = {name: value / unit for name, value in zip(self.names, sums, strict=True)}
        return sum(each.weight * parts[each.name] for each in self.terms), parts

    def unit(self, images: int, pixels: int) -> int:
        """What figures are by, of so many images of so many pixels: pixels or images."""
        return images * pixels if self.reduction == "mean" else images

    def scale(self, images: int, pixels: int) -> float:
        """By what a sum over a batch enters its loss."""
        return 1.0 if self.reduction == "sum" else 1.0 / self.unit(images, pixels)


def build_objective(table: Mapping[str, Any], premises: Premises) -> Objective:
    """Read a recipe's [objective] table for a model of these premises.

    Raises:
        ConfigError: a key is unknown, there is no reconstruction term, or a term makes no sense for the model.
        UnknownNameError: there is no such term.
    """
    settings = {key: value for key, value in table.items() if key in ObjectiveConfig.model_fields}
    tables = {key: value for key, value in table.items() if key not in settings}
    config = parse(ObjectiveConfig, settings, "objective")
    for name, values in tables.items():
        if name not in term_names():
            raise UnknownNameError("objective term", name, [*term_names(), *ObjectiveConfig.model_fields])
        if not isinstance(values, Mapping):
            raise ConfigError(f"'objective.{name}' must be a table of its settings, and is {values!r}.")
    if "reconstruction" not in tables:
        raise ConfigError(
            "The objective has no reconstruction term, so nothing would make the output resemble the image: "
            "add [objective.reconstruction] with a loss."
        )
    terms: list[WeighedTerm] = []
    resolved = config.model_dump(mode="json")
    for name, values in tables.items():
        module = load_named(OBJECTIVES, name, "objective term")
        term_config = parse(module.TermConfig, values, f"objective.{name}")
        term = module.Term(term_config, premises)
        terms.append(
            WeighedTerm(name=name, weight=term_config.weight, term=term, warmup_epochs=term_config.warmup_epochs)
        )
        resolved[name] = term_config.model_dump(mode="json")
    likelihood = resolved["reconstruction"]["loss"] == "bce"
    return Objective(terms, config.reduction, likelihood=likelihood, table=resolved)


def term_names() -> list[str]:
    """The names of all objective terms."""
    return names_in(OBJECTIVES)
