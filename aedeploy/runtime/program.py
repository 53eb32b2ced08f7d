"""Somebody else's program as a runner: any language, over a protocol of text lines and raw bytes on stdin and stdout.

docs/embedding.md specifies it. Version 1, in short:

    to the program                                 from the program
    conform 1                                      conform 1
    run ROLE COUNT, and COUNT tensors              ok COUNT, and COUNT tensors | error MESSAGE | skip MESSAGE
    image PATH                                     the same, of the encoder, for an image file that it reads itself
    (end of input)                                 exits with 0

A tensor is a line ``tensor NAME DTYPE RANK D0 …`` and then its values, row by row, little-endian.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import prod
from pathlib import Path
from time import monotonic
from typing import Any, NoReturn

import numpy as np

from aedeploy.bundle import GraphRecord
from aedeploy.errors import BackendError
from aedeploy.runtime.runner import Arrays, RunnerLifetime, check_inputs

#: The version of the protocol that this release speaks.
PROTOCOL = 1

_DTYPES: dict[str, np.dtype[Any]] = {"float32": np.dtype("<f4"), "int64": np.dtype("<i8"), "uint8": np.dtype("u1")}
_MOST_LINE = 4096  # bytes
_MOST_TENSOR = 2**28  # bytes
_MOST_TENSORS = 16
_MOST_RANK = 8
_CHUNK = 2**16
_MOST_SAID = 300  # characters of a program's own message


class NotStartedError(BackendError):
    """There is no such program, or it is none that this machine runs."""


class SkippedError(BackendError):
    """The program says that it does not do what it was asked for; the message is its own."""


class ProgramProcess(RunnerLifetime):
    """One started program. It reads and answers one request after the other; its stderr goes to ours.

    Every wait is bounded: a program that says nothing for ``timeout`` seconds is ended, with what it started itself.
    """

    def __init__(self, command: Sequence[str], *, timeout: float) -> None:
        """Start it and agree on the protocol.

        Raises:
            NotStartedError: it cannot be started.
            BackendError: it does not speak the protocol.
        """
        self._timeout = min(timeout, threading.TIMEOUT_MAX)
        try:
            # A group of its own: what a script started has its stdout too, and is ended with it.
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise NotStartedError(f"{command[0]!r} cannot be started ({reason}): name a program after  --") from None
        # Bounded: a program that floods its stdout waits, and memory does not grow.
        self._chunks: queue.Queue[bytes] = queue.Queue(maxsize=64)
        self._pending = bytearray()
        self._closing = threading.Event()
        self._reader = threading.Thread(target=self._read_on, daemon=True)
        self._reader.start()
        try:
            self._send(f"conform {PROTOCOL}\n".encode())
            answer = self._line()
            if answer != f"conform {PROTOCOL}":
                self._fail(
                    f"the program does not speak the conformance protocol: to 'conform {PROTOCOL}' it answered "
                    f"{answer!r}. Its stdout must carry nothing else; what it has to say belongs on stderr"
                )
        except BaseException:
            self.close()
            raise

    def run(self, role: str, inputs: Mapping[str, np.ndarray]) -> Arrays:
        """One call of a graph: its outputs by name.

        Raises:
            SkippedError: the program has no such graph.
            BackendError: it answered with an error, or not as the protocol says, or not in time.
        """
        parts = [f"run {role} {len(inputs)}\n".encode()]
        for name, array in inputs.items():
            shape = " ".join(map(str, array.shape))
            parts.append(f"tensor {name} {array.dtype.name} {array.ndim} {shape}\n".encode())
            parts.append(np.ascontiguousarray(array, _DTYPES[array.dtype.name]).tobytes())
        return self._asked(b"".join(parts))

    def image(self, path: Path) -> Arrays:
        """The encoder's outputs for an image file that :func:`can_be_named`; raises as :meth:`run` does."""
        return self._asked(f"image {path}\n".encode())

    @property
    def alive(self) -> bool:
        """Whether it can be asked on: after an error of its own it can, after one of the protocol it cannot."""
        return self._process.poll() is None

    def close(self) -> None:
        """End of its input; a program that does not end by itself is ended."""
        self._closing.set()
        try:
            if self._process.stdin is not None:
                self._process.stdin.close()
        except OSError:
            pass  # it ended before
        try:
            self._process.wait(timeout=min(5.0, self._timeout))
        except subprocess.TimeoutExpired:
            self._kill()
        self._reader.join(timeout=1.0)
        if self._reader.is_alive():
            # It ended, and left something behind that still has its stdout.
            self._kill()
            self._reader.join(timeout=5.0)
        if self._process.stdout is not None and not self._reader.is_alive():
            self._process.stdout.close()

    def _asked(self, request: bytes) -> Arrays:
        self._send(request)
        answer = self._line()
        kind, _, rest = answer.partition(" ")
        if kind == "error":
            raise BackendError(f"the program answered with an error: {rest[:_MOST_SAID]}")
        if kind == "skip":
            raise SkippedError(rest[:_MOST_SAID] or "the program skips it")
        if kind != "ok" or not (rest.isascii() and rest.isdecimal()) or int(rest) > _MOST_TENSORS:
            self._fail(f"the program answered {answer!r} where 'ok COUNT', 'error …' or 'skip …' was due")
        outputs: Arrays = {}
        for _ in range(int(rest)):
            name, array = self._tensor()
            if name in outputs:
                self._fail(f"the program gave {name!r} twice")
            outputs[name] = array
        return outputs

    def _tensor(self) -> tuple[str, np.ndarray]:
        line = self._line()
        words = line.split(" ")
        well = len(words) >= 4 and words[0] == "tensor" and words[2] in _DTYPES
        well = well and all(word.isascii() and word.isdecimal() and len(word) < 12 for word in words[3:])
        if not well or int(words[3]) != len(words) - 4 or int(words[3]) > _MOST_RANK:
            self._fail(f"the program sent {line!r} where 'tensor NAME DTYPE RANK D0 …' was due")
        dtype, shape = _DTYPES[words[2]], tuple(map(int, words[4:]))
        size = prod(shape) * dtype.itemsize
        if size > _MOST_TENSOR:
            self._fail(f"the program announced {line!r}, which is more than any output has")
        array = np.frombuffer(self._exactly(size), dtype).reshape(shape)
        return words[1], array.astype(dtype.newbyteorder("="), copy=False)

    def _send(self, request: bytes) -> None:
        """Written by a thread of its own: a program that never reads would have us wait for ever."""
        stdin = self._process.stdin
        assert stdin is not None
        problem: list[OSError] = []

        def write() -> None:
            try:
                stdin.write(request)
                stdin.flush()
            except (OSError, ValueError) as error:
                problem.append(error if isinstance(error, OSError) else OSError(str(error)))

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        writer.join(self._timeout)
        if writer.is_alive():
            self._fail(f"the program did not read its input within {self._timeout:g} s")
        if problem:
            self._ended()

    def _line(self) -> str:
        deadline = monotonic() + self._timeout
        while b"\n" not in self._pending and len(self._pending) <= _MOST_LINE:
            self._more(deadline)
        end = self._pending.find(b"\n", 0, _MOST_LINE)
        if end < 0:
            self._fail(f"the program sent {bytes(self._pending[:40])!r}… where a line of the protocol was due")
        line = self._pending[:end].decode(errors="replace").removesuffix("\r")
        del self._pending[: end + 1]
        # What is shown to a person must not command a terminal.
        return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in line)

    def _exactly(self, size: int) -> bytes:
        deadline = monotonic() + self._timeout
        while len(self._pending) < size:
            self._more(deadline)
        found = bytes(self._pending[:size])
        del self._pending[:size]
        return found

    def _more(self, deadline: float) -> None:
        try:
            chunk = self._chunks.get(timeout=max(0.0, deadline - monotonic()))
        except queue.Empty:
            got = f" (it sent {len(self._pending)} bytes of it)" if self._pending else ""
            self._fail(f"the program did not answer within {self._timeout:g} s{got}: allow more with --timeout")
        if not chunk:
            self._ended()
        self._pending += chunk

    def _read_on(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        chunk = b"-"
        while chunk and not self._closing.is_set():
            try:
                chunk = stdout.read1(_CHUNK)  # type: ignore[attr-defined]
            except (OSError, ValueError):
                chunk = b""
            while not self._closing.is_set():
                try:
                    self._chunks.put(chunk, timeout=0.1)
                    break
                except queue.Full:
                    continue

    def _ended(self) -> NoReturn:
        try:
            code = self._process.wait(timeout=min(5.0, self._timeout))
        except subprocess.TimeoutExpired:
            self._fail("the program closed its stdout, or its stdin, before it had answered")
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        raise BackendError(f"the program {how} before it had answered; its stderr says more")

    def _fail(self, reason: str) -> NoReturn:
        """What it sends after this cannot be made sense of: it is ended."""
        self._kill()
        raise BackendError(reason)

    def _kill(self) -> None:
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        else:
            self._process.kill()
        self._process.wait()


def can_be_named(path: Path) -> bool:
    """Whether the protocol has a place for a file's name: it has no line break, and is Unicode."""
    name = str(path)
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return "\n" not in name


class Program(RunnerLifetime):
    """A program that runs once for all that it is asked, and is started again where it ended or had to be ended."""

    def __init__(self, command: Sequence[str], *, timeout: float) -> None:
        self._command = command
        self._timeout = timeout
        self._process: ProgramProcess | None = None

    @property
    def process(self) -> ProgramProcess:
        """The running program; raises as :class:`ProgramProcess` does."""
        if self._process is not None and not self._process.alive:
            self.close()
        if self._process is None:
            self._process = ProgramProcess(self._command, timeout=self._timeout)
        return self._process

    def close(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None


class ProgramRunner(RunnerLifetime):
    """One graph of a program, behind the GraphRunner protocol. Whoever opened the program closes it."""

    def __init__(self, record: GraphRecord, program: Program) -> None:
        self.inputs = record.inputs
        self.outputs = record.outputs
        self._role = record.role
        self._program = program

    def run(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        check_inputs(self.inputs, inputs)
        return self._program.process.run(self._role, inputs)
