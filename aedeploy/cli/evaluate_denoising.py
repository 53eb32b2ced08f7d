"""``aedeploy evaluate --denoising``: how well noise is removed, beside the classical methods."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from aedeploy.cli.console import Output
from aedeploy.errors import ConfigError

if TYPE_CHECKING:
    from aedeploy.evaluation.denoising import DenoisingEvaluation
    from aedeploy.evaluation.denoising.run import DenoisingOptions
    from aedeploy.runtime.codec import Codec


def numbers(given: Sequence[str] | None) -> list[float] | None:
    """The numbers of an option that takes several, between commas or repeated; None where it was not given.

    Raises:
        ConfigError: one of them is no number.
    """
    if not given:
        return None
    found = []
    for word in ",".join(given).split(","):
        try:
            found.append(float(word))
        except ValueError:
            found.append(float("nan"))
        if not isfinite(found[-1]):
            raise ConfigError(f"--sigma {word!r} is no number: give numbers between commas, such as 15,25,50.")
    return list(dict.fromkeys(found))


def run_denoising(
    codec: Codec,
    folder: Path,
    output: Output,
    *,
    sigmas: list[float] | None,
    told: str | None,
    baselines: str | None,
    seed: int,
    limit: int | None,
    out: Path | None,
) -> bool:
    """Measure, say and save it; whether files could not be read."""
    from aedeploy.bundle.locate import ARTIFACTS
    from aedeploy.cli.evaluation_tables import denoising_tables, failure_lines
    from aedeploy.evaluation.denoising.protocol import DEFAULT_SIGMAS
    from aedeploy.evaluation.denoising.run import DenoisingOptions

    options = DenoisingOptions(
        sigmas=sigmas or DEFAULT_SIGMAS,
        told=told or "sigma",  # type: ignore[arg-type]  # another word is refused by name
        classical=_names(baselines),
        seed=seed,
        limit=limit,
    )
    output.note(f"Measuring {codec.bundle.path} by {codec.backend} on noise added to the images of {folder}…")
    result = _measured(codec, folder, options, output)
    for note in result.notes:
        output.note(f"Note: {note}")
    saved = result.save(out if out is not None else ARTIFACTS / f"{result.bundle}-denoising")
    output.show(*denoising_tables(result))
    where = f"Every image: {saved[0]}, {saved[1].name}"
    images = result.images + len(result.failures)
    text = "\n".join([*result.verdicts, where, *failure_lines(result.failures, images)])
    output.result({**result.as_dict(), "files": [str(path) for path in saved]}, text)
    return bool(result.failures)


def _names(baselines: str | None) -> list[str] | None:
    if baselines is None:
        return None
    return [] if baselines == "none" else [word.strip() for word in baselines.split(",")]


def _measured(codec: Codec, folder: Path, options: DenoisingOptions, output: Output) -> DenoisingEvaluation:
    """Measure, with a bar on a terminal."""
    from rich import progress

    from aedeploy.evaluation.denoising import DenoisingEvaluation
    from aedeploy.evaluation.denoising.run import denoising_evaluation

    shown = output.messages
    with progress.Progress(console=shown, transient=True, disable=not shown.is_terminal) as bar:
        task = bar.add_task("denoise")
        for event in denoising_evaluation(codec, folder, options):
            if isinstance(event, DenoisingEvaluation):
                return event
            bar.update(task, completed=event.done, total=event.total)
    raise AssertionError  # a generator that did not raise has ended with it
