"""A process of its own for a contender: its memory, its threads and its crashes are nobody else's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from types import TracebackType
from typing import IO, Any, Self

from aedeploy.errors import BackendError

# As multiprocessing does, a process finds modules where its parent finds them.
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[2:]; import json; "
    "from aedeploy.bench.worker import main; main(json.loads(sys.argv[1]))"
)
#: What engines read when they start, whatever they are told later.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Worker:
    """A process that measures one contender (worker.py). Closed, or when this process is gone, it ends.

    It is in a session of its own: a terminal's Ctrl-C reaches this process alone, which then ends it.
    """

    def __init__(self, task: Mapping[str, Any]) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed by close
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, json.dumps(dict(task)), *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **dict.fromkeys(_THREAD_VARIABLES, str(task["threads"]))},
            start_new_session=True,
        )

    def ask(self, do: str, **more: str) -> dict[str, Any]:
        """Have one thing done, and give the answer.

        Raises:
            BackendError: it could not be done, or the process has died.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise BackendError(self._death()) from None
        line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise BackendError(self._death())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise BackendError(answer["error"])
        return answer

    def close(self) -> None:
        """End the process, whatever it is at. More than once is as good as once."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            try:
                if stream is not None:
                    stream.close()
            except OSError:  # what it was still to be told: nobody is there
                pass
        self._errors.close()

    def _death(self) -> str:
        """Why the process ended without a word."""
        code = self._process.wait()
        if code == -getattr(signal, "SIGKILL", 9):
            return "Its process was killed, as systems do when memory runs out."
        if code < 0:
            return f"Its process died of {signal.Signals(-code).name}."
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"Its process ended with code {code}{f': {lines[-1]}' if lines else ''}."

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
