"""Curves and reconstructions in a terminal: what is drawn where, when nothing is, and that a run goes on as it did."""

from __future__ import annotations

import io
import os
import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from rich.segment import Segment
from terminal import on_a_terminal
from typer.testing import CliRunner

from aedeploy.bundle import DataRecord, open_bundle
from aedeploy.cli.app import app
from aedeploy.cli.console import Output
from aedeploy.cli.terminal_pictures import (
    Curves,
    Scale,
    Strip,
    TerminalPictures,
    scale_of,
    shows_curves,
    shows_images,
    sparkline,
)
from aedeploy.cli.training_progress import TrainingProgress
from aedeploy.training.events import EpochDone, PastEpoch, Started, Watched

TINY = ["--variant=mlp-32", "--set=model.backbone.hidden=[8]", "--latent-dim=2", "--batch-size=8", "--device=cpu"]


class Stream(io.StringIO):
    """What a console writes to: a terminal, or not; of any encoding."""

    def __init__(self, *, terminal: bool = True, encoding: str = "utf-8") -> None:
        super().__init__()
        self.terminal = terminal
        self.named = encoding

    def isatty(self) -> bool:
        return self.terminal

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.named


def console(
    width: int = 100, height: int = 40, stream: Stream | None = None, color: Any = "truecolor", **environment: str
) -> Console:
    return Console(
        file=stream or Stream(),
        width=width,
        height=height,
        force_terminal=True,
        color_system=color,
        highlight=False,
        _environ={"TERM": "xterm-256color", **environment},
    )


def watched(images: np.ndarray, reconstructions: np.ndarray | None = None, epoch: int = 1) -> Watched:
    given = 255 - images if reconstructions is None else reconstructions
    return Watched(epoch=epoch, inputs=images, originals=images, reconstructions=given)


def pixels_of(lines: list[list[Segment]]) -> np.ndarray:
    """Of lines of half blocks: int [2 × lines, columns, 3]; -1 where there is no colour."""
    rows = []
    for line in lines:
        upper, lower = [], []
        for segment in line:
            colour, background = (segment.style.color, segment.style.bgcolor) if segment.style else (None, None)
            for character in segment.text.rstrip("\n"):
                drawn = character == "▀"
                upper.append(colour.triplet if drawn and colour else (-1, -1, -1))
                lower.append(background.triplet if drawn and background else (-1, -1, -1))
        rows += [upper, lower]
    return np.array(rows)


def drawn(strip: Strip, on: Console) -> list[list[Segment]]:
    return on.render_lines(strip, pad=False)


@pytest.mark.parametrize("shape", [(3, 8, 6, 1), (3, 8, 6, 3), (2, 7, 5, 3)])
def test_every_pixel_is_in_its_cell(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    count, height, width, _ = shape
    on = console()
    lines = drawn(Strip(watched(images, epoch=7)), on)
    half = (height + 1) // 2
    assert len(lines) == 2 * (half + 1)
    captions = ["".join(segment.text for segment in lines[at]) for at in (0, half + 1)]
    assert captions == ["held-out images", "reconstructed after epoch 7"]
    for top, wanted in ((1, images), (half + 2, 255 - images)):
        found = pixels_of(lines[top : top + half])
        for number in range(count):
            cell = found[:height, number * (width + 1) : number * (width + 1) + width]
            np.testing.assert_array_equal(cell, np.broadcast_to(wanted[number], (height, width, 3)))
        assert (found[:, width] == -1).all(), "nothing between two images"
        assert (found[height:] == -1).all(), "nothing under the last line of an odd height"


def test_large_images_are_means_of_their_pixels_and_keep_their_shape() -> None:
    images = np.random.default_rng(0).integers(0, 256, (1, 28, 56, 1), dtype=np.uint8)
    lines = drawn(Strip(watched(images)), console())
    means = images[0, :, :, 0].reshape(14, 2, 28, 2).mean((1, 3))
    assert np.abs(pixels_of(lines[1:8])[..., 0] - means).max() <= 1


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (64, 64), (200, 40), (20, 300)])
@pytest.mark.parametrize("window", [(60, 24), (80, 24), (100, 40), (237, 61), (61, 100)])
def test_a_strip_is_never_larger_than_its_window(size: tuple[int, int], window: tuple[int, int]) -> None:
    on = console(*window)
    lines = drawn(Strip(watched(np.zeros((8, *size, 3), np.uint8))), on)
    assert max(sum(segment.cell_length for segment in line) for line in lines) <= window[0]
    assert len(lines) <= window[1] - 8, "the bar, the curves, and some lines above"
    columns = len(pixels_of(lines[1:2])[0])
    assert columns <= 8 * 28 + 7


def test_there_are_four_images_at_least_and_eight_where_there_is_room() -> None:
    def count(window: int) -> int:
        row = drawn(Strip(watched(np.zeros((8, 28, 28, 1), np.uint8))), console(window, 60))[1]
        return "".join(segment.text for segment in row).count(" ") + 1

    assert [count(window) for window in (60, 80, 116, 160, 231, 400)] == [4, 4, 4, 5, 8, 8]


@pytest.mark.parametrize("window", [(59, 40), (100, 23)])
def test_in_a_small_window_there_is_no_strip(window: tuple[int, int]) -> None:
    assert drawn(Strip(watched(np.zeros((8, 28, 28, 1), np.uint8))), console(*window)) == []


def test_of_a_denoiser_it_shows_what_it_was_given() -> None:
    originals, noisy = np.zeros((1, 2, 4, 1), np.uint8), np.full((1, 2, 4, 1), 200, np.uint8)
    lines = drawn(Strip(Watched(epoch=1, inputs=noisy, originals=originals, reconstructions=originals)), console())
    assert lines[0][0].text == "held-out images, corrupted"
    assert (pixels_of(lines[1:2]) == 200).all()


@pytest.mark.parametrize(
    ("on", "images", "curves"),
    [
        (console(), True, True),
        (console(color="256"), True, True),
        (console(color="standard"), False, True),
        (console(NO_COLOR="1"), False, True),
        (console(TERM="dumb"), False, False),
        (console(stream=Stream(terminal=False)), False, False),
        (console(stream=Stream(encoding="ascii")), False, True),
        (console(stream=Stream(encoding="cp437")), True, True),
    ],
    ids=["truecolor", "256", "16 colours", "NO_COLOR", "dumb", "pipe", "ascii", "cp437"],
)
def test_what_a_terminal_can_show(on: Console, images: bool, curves: bool) -> None:
    assert (shows_images(on), shows_curves(on)) == (images, curves)


def test_a_sparkline_goes_from_the_least_to_the_most() -> None:
    scale = Scale(least=1.0, most=8.0)
    assert not scale.logarithmic
    assert sparkline([1, 2, 3, 4, 5, 6, 7, 8], scale, 20) == "▁▂▃▄▅▆▇█"
    wide = Scale(least=1e-4, most=1e4)
    assert wide.logarithmic
    assert sparkline([1e-4, 1e-2, 1.0, 1e4], wide, 20) == "▁▃▅█"
    assert sparkline([5.0, 5.0], Scale(least=5.0, most=5.0), 20) == "▁▁"
    assert not Scale(least=-1.0, most=100.0).logarithmic


def test_a_sparkline_of_many_values_is_that_of_their_means() -> None:
    values = list(np.linspace(8.0, 1.0, 1000))
    line = sparkline(values, Scale(least=1.0, most=8.0), 40)
    assert len(line) == 40
    assert all(before >= after for before, after in pairwise(line))
    assert (line[0], line[-1]) == ("█", "▁")


def test_what_is_no_number_is_a_gap() -> None:
    values = [1.0, float("nan"), float("inf"), 2.0]
    assert scale_of(values) == Scale(least=1.0, most=2.0)
    assert sparkline(values, Scale(least=1.0, most=2.0), 9) == "▁  █"
    assert scale_of([float("nan")]) is None


def text_of(renderable: Any, on: Console) -> list[str]:
    return ["".join(segment.text for segment in line) for line in on.render_lines(renderable, pad=False)]


def test_both_curves_have_one_scale_and_say_which() -> None:
    curves = Curves()
    curves.add("joint", 1, 8.0, 4.5)
    assert text_of(curves, console()) == [], "one epoch is no curve"
    curves.add("joint", 2, 1.0, 2.0)
    assert text_of(curves, console()) == [
        "train     █▁  1",
        "held out  ▅▂  2",
        "          ▁ 1  █ 8;  epochs 1 to 2",
    ]
    curves.add("joint", 3, 0.01, 0.02)
    assert text_of(curves, console())[2] == "          ▁ 0.01  █ 8, logarithmic;  epochs 1 to 3"
    assert text_of(curves, console(stream=Stream(encoding="ascii")))[0] == "train     @*.  0.01"
    assert text_of(curves, console(39, 40)) == []


@pytest.mark.parametrize("width", [40, 61, 100])
def test_curves_of_many_epochs_are_as_wide_as_the_window(width: int) -> None:
    curves = Curves()
    for epoch in range(1, 1001):
        curves.add("joint", epoch, 1.2345678 / epoch, 2.3456789 / epoch)
    assert all(width - 12 <= len(line) <= width for line in text_of(curves, console(width))[:2])


def started(phases: tuple[str, ...] = ("joint",), history: tuple[PastEpoch, ...] = ()) -> Started:
    data = DataRecord(name="tiny", digest="0" * 64, train=27, held_out=3, split="")
    return Started(
        data=data,
        image_shape=(1, 8, 8),
        parameters=10,
        device="cpu",
        phases=phases,
        latent=2,
        max_sigma=None,
        photographs=None,
        epochs=9,
        epochs_done=len(history),
        steps=4,
        notes=(),
        history=history,
    )


def done(epoch: int, loss: float, phase: str = "joint") -> EpochDone:
    return EpochDone(
        epoch=epoch,
        epochs=9,
        phase=phase,
        train_loss=loss,
        train_parts={},
        held_out_loss=loss,
        held_out_parts={},
        best=True,
        lr=1e-3,
        seconds=1.0,
        images_per_second=1.0,
    )


def test_a_run_that_goes_on_has_the_curve_of_its_beginning() -> None:
    pictures = TerminalPictures(console())
    past = [PastEpoch(epoch=at, phase="joint", train_loss=9.0 - at, held_out_loss=9.0 - at) for at in (1, 2, 3)]
    pictures.show(started(history=tuple(past)))
    pictures.show(done(4, 1.0))
    assert text_of(pictures, console())[0] == "train     █▇▆▁  1"
    assert text_of(pictures, console())[2].endswith("epochs 1 to 4")


def shown_by(monkeypatch: pytest.MonkeyPatch, on: Console, *events: Any, pictures: bool = True) -> str:
    """What a person sees of events, in the order in which it is written."""
    monkeypatch.setattr(Output, "messages", property(lambda self: on))
    output = Output(json=False, quiet=False, verbose=False, debug=False)
    with TrainingProgress(output, pictures=pictures) as progress:
        for event in events:
            progress.show(event)
    assert isinstance(on.file, Stream)
    return on.file.getvalue()


def test_each_phase_has_curves_of_its_own_before_the_next_one_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    phases = ("layer 1", "fine-tuning")
    events = [done(1, 1.0, "layer 1"), done(2, 0.5, "layer 1"), done(3, 9.0, "fine-tuning")]
    shown = shown_by(monkeypatch, console(color=None), started(phases), *events, done(4, 3.0, "fine-tuning"))
    assert (
        0
        < shown.rindex("epoch 2/9")
        < shown.rindex("▁ 0.5  █ 1;  layer 1, epochs 1 to 2")
        < shown.rindex("epoch 3/9")
        < shown.rindex("▁ 3  █ 9;  fine-tuning, epochs 3 to 4")
    )


def test_the_last_strip_stays_and_the_lines_of_epochs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.zeros((2, 8, 8, 1), np.uint8)
    events = [started(), done(1, 1.0), watched(images, epoch=1), done(2, 0.5), watched(images, epoch=2)]
    shown = shown_by(monkeypatch, console(), *events)
    stays = shown[shown.rindex("\x1b[?25h") :]  # the live display is over, and the cursor shown again
    assert stays.count("reconstructed after epoch 2") == 1
    assert "epochs 1 to 2" in stays
    assert shown.count("epoch 1/9  train 1") == shown.count("epoch 2/9  train 0.5") == 1
    assert shown.count("\x1b[?2026h") == shown.count("\x1b[?2026l") > 0


def test_without_pictures_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [started(), done(1, 1.0), done(2, 0.5), watched(np.zeros((2, 8, 8, 1), np.uint8), epoch=2)]
    assert re.search("[▀█▁]", shown_by(monkeypatch, console(), *events, pictures=False)) is None
    no_colour = shown_by(monkeypatch, console(NO_COLOR="1"), *events)
    assert "▁" in no_colour
    assert "▀" not in no_colour
    piped = shown_by(monkeypatch, console(stream=Stream(terminal=False)), *events)
    assert re.search("[▀█▁]", piped) is None


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the command runs in, with thirty images of 8×8 in ``tiny.npz``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    np.savez(tmp_path / "tiny.npz", images=np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8))
    return tmp_path


def test_a_pipe_has_its_lines_and_nothing_else(data: Path) -> None:
    result = CliRunner().invoke(app, ["train", "--data=tiny.npz", *TINY, "--epochs=3"], env={"FORCE_COLOR": "1"})
    assert result.exit_code == 0
    assert re.search("[▀█▁]", result.output) is None
    assert "epoch 3/3" in result.stderr


#: ``aedeploy``, interrupted as by Ctrl-C when its second epoch is saved.
INTERRUPTED = """
import os, runpy, signal, sys
saved = []
def watch(event, arguments):
    if event == 'os.rename' and os.fspath(arguments[1]).endswith('checkpoint.safetensors'):
        saved.append(event)
        if len(saved) == 2:
            os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(watch)
runpy.run_module('aedeploy', run_name='__main__')
"""


@pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")
def test_on_a_terminal_ctrl_c_leaves_curves_and_strip_and_the_command_that_goes_on(data: Path) -> None:
    terminal = ["env", "-u", "NO_COLOR", "-u", "COLORTERM", "TERM=xterm-256color", "LINES=40"]
    command = [sys.executable, "-c", INTERRUPTED, "train", "--data=tiny.npz", *TINY, "--epochs=5", "--out=run"]
    returncode, shown, stdout = on_a_terminal([*terminal, *command])
    assert returncode == 130, shown
    stays = shown[shown.rindex("\x1b[?25h") :]
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stays)
    assert "epochs 1 to 2" in plain
    assert "reconstructed after epoch 2" in plain
    assert plain.count("▀" * 8) == 2 * 4 * 3  # two rows of three images of 8×8
    assert "\x1b[38;5;" in stays
    assert "Interrupted after 2 epochs; this goes on from there:" in plain
    assert "--out=run --resume" in plain.replace("\r\n", "")
    assert "next:  aedeploy export" in stdout
    assert "\x1b" not in stdout
    assert open_bundle("run").manifest.metrics["epochs"] == 2
