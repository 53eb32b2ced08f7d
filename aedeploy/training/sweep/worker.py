"""What a point's process does. It is told what by its one argument, and answers on stdout, a JSON object a line.

Its standard input is its tie to the sweep: nothing comes over it, but when the sweep closes it, or is gone however that
came about, this process stops after its step, as by Ctrl-C. So no process outlives the one that wants its result.
"""

from __future__ import annotations

import _thread
import json
import os
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any

import torch

from aedeploy.bundle.store import CHECKPOINT_FILE, HISTORY_FILE, MANIFEST_FILE
from aedeploy.errors import AedeployError, BusyError, TrainingError
from aedeploy.files import write_json
from aedeploy.recipes import recipe_from_dict
from aedeploy.training.config import TrainConfig
from aedeploy.training.data.source import DataRequest
from aedeploy.training.events import Ended, EpochDone, Event, Started, StepsDone
from aedeploy.training.run import train
from aedeploy.training.signals import Stop, stop_on_signals
from aedeploy.training.sweep.results import POINT_FILE, Row, read_row

Say = Callable[[Mapping[str, Any]], None]

# The process of a sweep that was killed takes so long at most to leave its folder.
_PATIENCE_SECONDS = 120.0


def main(task: Mapping[str, Any]) -> None:
    """Train the point that ``task`` describes (see pool.py), and say what came of it."""
    say = _own_stdout()
    torch.set_num_threads(task["threads"])
    try:
        with stop_on_signals() as stop:
            threading.Thread(target=_stop_when_alone, daemon=True).start()
            say({"end": "done" if _train(task, stop, say) else "stopped"})
    except KeyboardInterrupt:
        say({"end": "stopped"})
    except AedeployError as error:
        say({"end": "failed", "reason": str(error), "trace": traceback.format_exc()})
    except Exception as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        say({"end": "failed", "reason": f"{type(error).__name__}: {reason}.", "trace": traceback.format_exc()})


def _own_stdout() -> Say:
    """Keep stdout for messages: what else is printed in this process goes to stderr."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(message: Mapping[str, Any]) -> None:
        with suppress(OSError):  # nobody listens any more, which _stop_when_alone notices too
            stream.write(json.dumps(message) + "\n")
            stream.flush()

    return say


def _stop_when_alone() -> None:
    with suppress(OSError):
        while os.read(0, 1):
            pass
    _thread.interrupt_main()  # by the handler of a signal: a wish to stop, or the end if nothing has begun


def _train(task: Mapping[str, Any], stop: Stop, say: Say) -> bool:
    """Whether the point is trained to its end."""
    out, begun = Path(task["out"]), time.monotonic()
    while True:
        if read_row(out):
            return True
        try:
            return _train_once(task, stop, say)
        except BusyError:
            if time.monotonic() - begun > _PATIENCE_SECONDS:
                raise
            time.sleep(0.2)


def _train_once(task: Mapping[str, Any], stop: Stop, say: Say) -> bool:
    started = None
    for event in train(_config(task), stop.event):
        if isinstance(event, Started):
            _check_data(event, task["digest"])
            started, stop.armed = event, True
        elif isinstance(event, Ended):
            assert started is not None
            if event.completed:
                write_json(event.bundle.path / POINT_FILE, _row(task, started, event))
            return event.completed
        if started:
            say({"share": _share(event, started)})
    return False


def _config(task: Mapping[str, Any]) -> TrainConfig:
    out, data = Path(task["out"]), task["data"]
    resume = (out / CHECKPOINT_FILE).is_file()
    return TrainConfig(
        recipe=recipe_from_dict(task["recipe"]),
        out=out,
        data=DataRequest(
            **{
                **data,
                "data_root": Path(data["data_root"]) if data["data_root"] is not None else None,
                "image_size": tuple(data["image_size"]) if data["image_size"] is not None else None,
            }
        ),
        seed=task["seed"],
        device=task["device"],
        resume=resume,
        # What a process left that was killed before its first checkpoint.
        overwrite=not resume and any((out / name).is_file() for name in (MANIFEST_FILE, HISTORY_FILE)),
    )


def _check_data(started: Started, digest: str | None) -> None:
    if digest is not None and started.data.digest != digest:
        raise TrainingError(
            f"The images of {started.data.name} are no longer those that the other points were trained on, and the "
            "figures could not be compared: sweep into another folder with --out."
        )


def _share(event: Event, started: Started) -> float:
    """How much of all epochs is done."""
    if isinstance(event, StepsDone):
        return (event.epoch - 1 + event.step / event.steps) / started.epochs
    done = event.epoch if isinstance(event, EpochDone) else started.epochs_done
    return done / started.epochs


def _row(task: Mapping[str, Any], started: Started, ended: Ended) -> dict[str, Any]:
    row = Row(
        point=task["name"],
        values=task["values"],
        latent=started.latent,
        parameters=started.parameters,
        compression_ratio=prod(started.image_shape) / started.latent if started.latent else None,
        epochs=ended.epochs,
        train_loss=ended.train_loss,
        test=dict(ended.metrics),
        seconds=round(_seconds(ended), 3),
        weights=ended.bundle.manifest.weights.sha256,
        data=started.data.digest,
    )
    return vars(row)


def _seconds(ended: Ended) -> float:
    """Of all epochs, also of those before the run was resumed."""
    try:
        lines = (ended.bundle.path / HISTORY_FILE).read_text(encoding="utf-8").splitlines()
        return sum(float(json.loads(line)["seconds"]) for line in lines)
    except (OSError, ValueError, KeyError, TypeError):
        return ended.seconds
