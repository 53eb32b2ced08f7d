"""Processes side by side, one a task; what each says comes back as it says it."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any

Task = Mapping[str, Any]  # "name", and what worker.py takes
Message = Mapping[str, Any]  # {"share": 0…1} on the way; at last {"end": "done", "stopped" or "failed", "reason": …}

# As multiprocessing does, a process finds modules where its parent finds them. The imports bring objects that live as
# long as the process: the collector leaves them alone.
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[2:]; import gc, json; gc.disable(); "
    "from aedeploy.training.sweep.worker import main; gc.freeze(); gc.enable(); main(json.loads(sys.argv[1]))"
)


def run_tasks(
    tasks: Sequence[Task], jobs: int, threads: int, stop: threading.Event, prepare: Callable[[Task], Task]
) -> Generator[tuple[str, Message], None, None]:
    """Run each task in a process of its own, ``jobs`` at a time, and give its name with each of its messages.

    ``prepare`` is asked for the last word on a task when its turn comes. Once ``stop`` is set no more begin, and those
    that run are asked to stop after their step. Closed early, the iterator kills them.
    """
    waiting, running = deque(tasks), dict[str, _Process]()
    messages: queue.Queue[tuple[str, Message]] = queue.Queue()
    try:
        while running or (waiting and not stop.is_set()):
            while waiting and len(running) < jobs and not stop.is_set():
                task = prepare(waiting.popleft())
                running[task["name"]] = _Process(task, threads, messages)
            if stop.is_set():
                for process in running.values():
                    process.ask_to_stop()
            try:
                name, message = messages.get(timeout=0.1)  # not for ever: a signal must be seen
            except queue.Empty:
                continue
            if "end" in message:
                running.pop(name).close()
            yield name, message
    finally:
        for process in running.values():
            process.kill()


class _Process:
    """A process that has begun. It is in a session of its own: a terminal's Ctrl-C is for the sweep to pass on."""

    def __init__(self, task: Task, threads: int, messages: queue.Queue[tuple[str, Message]]) -> None:
        self.name, self.messages = task["name"], messages
        self.errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed by close
        argument = json.dumps({**task, "threads": threads})
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, argument, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            start_new_session=True,
        )
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()

    def ask_to_stop(self) -> None:
        """More than once is as good as once."""
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.close()

    def close(self) -> None:
        """Wait for the end of a process that has said its last word."""
        self.process.wait()
        self.listener.join()
        self.ask_to_stop()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.errors.close()

    def kill(self) -> None:
        self.process.kill()
        self.close()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        last: Message | None = None
        for line in self.process.stdout:
            last = json.loads(line)
            if "end" not in last:
                self.messages.put((self.name, last))
        # The last word is passed on once the process is at its end.
        if last is None or "end" not in last:
            last = {"end": "failed", "reason": self._death(), "trace": self._said()}
        self.messages.put((self.name, last))

    def _death(self) -> str:
        """Why a process ended without a word."""
        code = self.process.wait()
        if code == -getattr(signal, "SIGKILL", 9):
            return "The process was killed, as systems do when memory runs out: try fewer --jobs."
        if code < 0:
            return f"The process died of {signal.Signals(-code).name}."
        lines = self._said().strip().splitlines()
        return f"The process ended with code {code}{f': {lines[-1]}' if lines else ''}."

    def _said(self) -> str:
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")
