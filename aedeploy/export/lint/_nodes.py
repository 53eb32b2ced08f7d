"""What an operator of a captured graph is."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Node

_DROPOUTS = {"dropout", "native_dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"}
_BATCH_NORMS = {"batch_norm", "native_batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit"}


def name_of(node: Node) -> str:
    """An operator's name without its overload and without the mark of one that works in place: ``dropout``."""
    named = getattr(node.target, "overloadpacket", node.target)
    name = str(getattr(named, "__name__", named))
    return name.removesuffix("_") if not name.startswith("__") else name


def argument(node: Node, name: str, default: Any = None) -> Any:
    """What an operator is given under a name of its schema."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return default
    for position, declared in enumerate(schema.arguments):
        if declared.name == name:
            if position < len(node.args):
                return node.args[position]
            return node.kwargs.get(name, declared.default_value if declared.has_default_value() else default)
    return default


def is_active_dropout(node: Node) -> bool:
    """Whether it sets values to 0 by chance."""
    if name_of(node) == "lstm" or name_of(node) == "gru":
        return bool(argument(node, "train")) and float(argument(node, "dropout", 0.0)) > 0
    return name_of(node) in _DROPOUTS and bool(argument(node, "train", True)) and float(argument(node, "p", 0.0)) > 0


def is_training_norm(node: Node) -> bool:
    """Whether it normalises by the statistics of the batch that it is given."""
    return name_of(node) in _BATCH_NORMS and bool(argument(node, "training", argument(node, "train", False)))


def is_random(node: Node) -> bool:
    """Whether what it gives, and somebody takes, changes from call to call; dropout apart."""
    tags = getattr(node.target, "tags", ())
    if torch.Tag.nondeterministic_seeded not in tags or not _is_used(node):
        return False
    if name_of(node) in {*_DROPOUTS, "lstm", "gru", "rnn_tanh", "rnn_relu"}:
        return False
    if "dropout_p" in _names(node):  # attention
        return float(argument(node, "dropout_p", 0.0)) > 0
    return "training" not in _names(node) or bool(argument(node, "training"))  # randomised leaky ReLU


def _names(node: Node) -> set[str]:
    schema = getattr(node.target, "_schema", None)
    return {declared.name for declared in schema.arguments} if schema is not None else set()


def _is_used(node: Node) -> bool:
    """One that works in place counts as used: what it changes is."""
    schema = getattr(node.target, "_schema", None)
    return bool(node.users) or bool(schema is not None and schema.is_mutable)
