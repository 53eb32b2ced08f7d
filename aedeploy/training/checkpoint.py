"""``checkpoint.safetensors``: all that a run needs to go on exactly where it stopped. No pickle, replaced atomically.

Tensors are named ``model/…`` (the last weights), ``best/…`` (those of the best epoch so far), ``average/…``,
``method/…`` (networks beside the model), ``optimizer/<player>/…`` and ``loop/totals`` (the losses of the epoch so far);
the metadata holds the progress in numbers, and the identity of the run.
Random states are not in it: see randomness.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from aedeploy.errors import ConfigError, IntegrityError
from aedeploy.files import write_bytes
from aedeploy.training.loop import Fit

_VERSION = 2


def save_checkpoint(path: Path, fit: Fit, identity: Mapping[str, Any]) -> None:
    """Write the state of a run that is between two steps. ``identity``: what must be the same to go on."""
    progress, tensors = fit.state()
    metadata = {"version": _VERSION, "progress": progress, "identity": identity}
    on_cpu = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    # Not by save_file, whose files only their owner can read.
    write_bytes(path, save(on_cpu, {"aedeploy": json.dumps(metadata)}))


def restore(path: Path, fit: Fit, identity: Mapping[str, Any]) -> None:
    """Bring a new Fit to where the run was. Of several processes the leader reads, and the others are told.

    Raises:
        ConfigError: the run there is another one; the message names the first difference.
        IntegrityError: the file is damaged, or of another version.
    """
    metadata, tensors = fit.world.same(_read_own(path, identity) if fit.world.leads else ({}, {}))
    done = metadata["progress"]["epoch"]
    if done > fit.epochs:
        raise ConfigError(
            f"The run in {path.parent} has {done} epochs done, and {fit.epochs} are asked for: give a larger --epochs."
        )
    try:
        fit.load_state(metadata["progress"], tensors)
    except (KeyError, TypeError, RuntimeError) as error:
        raise IntegrityError(f"{path.name} does not fit the model ({error}): start anew with --overwrite.") from None


def _read_own(path: Path, identity: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    metadata, tensors = _read(path)
    _check_identity(metadata["identity"], identity, path)
    return metadata, tensors


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as stored:
            metadata = json.loads((stored.metadata() or {})["aedeploy"])
            if metadata["version"] == _VERSION:
                return metadata, {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  # not a dict
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise IntegrityError(f"{path.name} cannot be read ({error}): start anew with --overwrite.") from None
    raise IntegrityError(
        f"{path.name} is of version {metadata['version']}, and this release reads {_VERSION}: "
        "resume with the release that wrote it, or start anew with --overwrite."
    )


def _check_identity(was: Mapping[str, Any], is_now: Mapping[str, Any], path: Path) -> None:
    # Through JSON, as the stored one went: tuples are lists then.
    before, now = _flat(was), _flat(json.loads(json.dumps(is_now)))

    # Epochs stand in an identity only where a schedule spans them: another schedule is to be named before them. And
    # other patches are other data, of which the setting says more than a digest.
    def place(key: str) -> tuple[bool, bool, str]:
        return not key.startswith("training.patches"), key == "training.epochs", key

    for key in sorted(before.keys() | now.keys(), key=place):
        if before.get(key) != now.get(key):
            why = ", over which its schedule spreads the learning rate" if key == "training.epochs" else ""
            raise ConfigError(
                f"The run in {path.parent} cannot be resumed with other options: its {key} was {before.get(key)!r}, "
                f"and is {now.get(key)!r} now{why}; "
                "give the same options as then, or train into another folder with --out."
            )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
