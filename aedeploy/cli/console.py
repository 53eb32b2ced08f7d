"""What is printed where. Results go to stdout, or one JSON object with ``--json``; everything else to stderr."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TextIO

import typer

from aedeploy.errors import AedeployError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

P = ParamSpec("P")

#: Ctrl-C, as shells report it.
INTERRUPTED = 130

_PIPE_WIDTH = 160

#: With --json, where the result goes while a command runs.
_result_stream: ContextVar[TextIO | None] = ContextVar("result_stream", default=None)


@dataclass(frozen=True, kw_only=True)
class Output:
    """How one command speaks. Made by :func:`reporting`, from the options that every command has."""

    json: bool
    quiet: bool
    verbose: bool
    debug: bool

    @property
    def messages(self) -> Console:
        """Where progress and messages go: stderr; silent when quiet. Honours NO_COLOR and plain pipes."""
        from rich.console import Console

        return Console(stderr=True, quiet=self.quiet, highlight=False)

    def note(self, text: str) -> None:
        """A sentence for the person who waits."""
        if not self.quiet:
            self.messages.print(text, markup=False, soft_wrap=True)

    def detail(self, text: str) -> None:
        """A sentence for the person who asked for more with --verbose."""
        if self.verbose:
            self.note(text)

    def error(self, message: str) -> None:
        """What went wrong, on stderr, also when quiet."""
        from rich.console import Console
        from rich.text import Text

        text = Text("Error: ", style="bold red") + Text(message, style="default")
        Console(stderr=True, highlight=False).print(text, soft_wrap=True)

    def result(self, value: Mapping[str, Any], text: str | None = None) -> None:
        """The command's result: ``value`` with --json, else ``text``."""
        stream = _result_stream.get() or sys.stdout
        if self.json:
            stream.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")
        elif text:
            stream.write(text.rstrip("\n") + "\n")
        stream.flush()

    def show(self, *renderables: RenderableType) -> None:
        """Tables and panels as part of the result, on stdout, wherever no JSON was asked for."""
        if self.json:
            return
        from rich.console import Console

        Console(highlight=False, width=self.width).print(*renderables, sep="\n")

    @property
    def width(self) -> int:
        """Columns that :meth:`show` has: the window's. A pipe has none, and rich would fold tables at 80."""
        from rich.console import Console

        console = Console()
        return console.width if console.is_terminal else _PIPE_WIDTH


def reporting(command: Callable[P, None]) -> Callable[P, None]:
    """Turn what a command raises into one sentence and the documented exit code.

    The command must have the parameters ``json_``, ``quiet``, ``verbose`` and ``debug`` of options.py.
    """

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        output = output_of(kwargs)
        try:
            with _nothing_else_on_stdout() if output.json else contextlib.nullcontext():
                command(*args, **kwargs)
        except AedeployError as error:
            fail(output, str(error), type(error).__name__, error.exit_code)
        except KeyboardInterrupt:
            fail(output, "Interrupted.", "KeyboardInterrupt", INTERRUPTED)
        except BrokenPipeError:
            # Whoever read the output has had enough (`… | head`): nothing more can be said, and nothing is wrong.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except OSError as error:
            # A full disk, a folder without permission, a name too long: the system's own word is the clearest.
            where = f"{error.filename}: " if error.filename else ""
            fail(output, f"{where}{error.strerror or error}.", type(error).__name__, 1)
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            # A fault of ours: still one sentence, one JSON object, and the exit code of a failure.
            message = f"{type(error).__name__}: {error}. This was not foreseen, so it is a fault: --debug shows where."
            fail(output, message, type(error).__name__, 1)

    return run


@contextlib.contextmanager
def _nothing_else_on_stdout() -> Iterator[None]:
    """With --json: what somebody's own model prints goes to stderr, for stdout is one JSON object."""
    token = _result_stream.set(sys.stdout)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _result_stream.reset(token)


def output_of(options: Mapping[str, Any]) -> Output:
    """The Output that a command's own options ask for."""
    return Output(
        json=bool(options.get("json_")),
        quiet=bool(options.get("quiet")),
        verbose=bool(options.get("verbose")),
        debug=bool(options.get("debug")),
    )


def fail(output: Output, message: str, kind: str, code: int) -> NoReturn:
    """Say what is wrong, on stderr and as the JSON object where one was asked for, and end with ``code``."""
    if output.debug:
        traceback.print_exc()
    output.error(message)
    with contextlib.suppress(OSError):  # stdout itself may be what failed
        if output.json:
            output.result({"error": {"type": kind, "message": message}, "exit_code": code})
    raise typer.Exit(code)


def counted(number: int, noun: str) -> str:
    """``1 image``, ``2,000 images``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def speak_any_name() -> None:
    """Let stdout and stderr take names that their encoding has no letters for: escaped, rather than an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
