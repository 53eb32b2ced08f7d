"""A worker process: it opens the graph once, and does the shards that it is sent, one after the other.

It speaks through one socket in pickles, with the process that started it alone. It ends when that process has closed
the socket or is gone.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from socket import socketpair

from aedeploy.errors import AedeployError, JobError
from aedeploy.jobs.chunk import Chunk
from aedeploy.jobs.engines import Event, Note, Progress
from aedeploy.jobs.gate import ReadingGate
from aedeploy.jobs.shard import Crew, open_work, run_shard
from aedeploy.jobs.spec import Settings, ShardReport, ShardSpec, StageSeconds

# As multiprocessing does, a process finds modules where its parent finds them.
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[2:]; from aedeploy.jobs.engines.child import serve; serve(int(sys.argv[1]))"
)
_STOP = "stop"
_SECONDS_TO_END = 5.0


class Child:
    """This side of a worker process. One thread at a time runs shards on it; any thread may close it."""

    def __init__(self, settings: Settings, stop: threading.Event, tell: Callable[[Event], None]) -> None:
        self._settings = settings
        self._stop = stop
        self._tell = tell
        self._sending = threading.Lock()
        ours, theirs = socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM, str(theirs.fileno()), *sys.path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                # A terminal's Ctrl-C reaches the job's own process alone, which asks the others to finish.
                start_new_session=True,
            )
        self._connection = Connection(ours.detach())

    def open(self) -> None:
        """Wait until the graph is open there.

        Raises:
            AedeployError: it cannot be.
        """
        self._send(self._settings)
        answer = self._receive()
        if isinstance(answer, BaseException):
            raise answer

    def run(self, spec: ShardSpec) -> None:
        """Have one shard done, and tell of everything that comes of it."""
        self._send(spec)
        told = False
        while True:
            while not self._connection.poll(0.1):
                if self._stop.is_set() and not told:
                    self._send(_STOP)
                    told = True
            answer = self._receive()
            if isinstance(answer, BaseException):
                raise answer
            self._tell(answer)
            if isinstance(answer, ShardReport):
                return

    def close(self) -> None:
        """End the process: once it has finished the chunk that it is at, or else at once."""
        with contextlib.suppress(OSError, ValueError), self._sending:
            self._connection.send(None)
        try:
            self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._connection.close()

    def _send(self, message: object) -> None:
        try:
            with self._sending:
                self._connection.send(message)
        except OSError:
            raise JobError(self._death()) from None

    def _receive(self) -> Event | Exception:
        try:
            answer: Event | Exception = self._connection.recv()
        except (EOFError, OSError):
            raise JobError(self._death()) from None
        return answer

    def _death(self) -> str:
        code = self._process.wait()
        why = "memory ran out, or somebody ended it" if code == -signal.SIGKILL else "one of its images crashed it"
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return (
            f"A worker process ended by {how} ({why}). What was finished is kept, and the same command goes on: "
            "with  --workers 1  if memory is short."
        )


def serve(file: int) -> None:
    """The worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = Connection(file)
    parent = os.getppid()
    stop, leave = threading.Event(), threading.Event()

    def seen(chunk: Chunk, seconds: StageSeconds) -> None:
        connection.send(Progress(ok=len(chunk.rows), failed=len(chunk.failures), seconds=seconds))
        while connection.poll():
            if connection.recv() is None:
                leave.set()
            stop.set()
        if os.getppid() != parent:  # nobody would know of what is committed now
            os._exit(1)

    crew = Crew(gate=ReadingGate(1), seen=seen, stop=stop)
    try:
        while not leave.is_set() and (task := connection.recv()) is not None:
            if isinstance(task, Settings):
                connection.send(_opened(task))
            elif isinstance(task, ShardSpec):
                connection.send(_done(task, crew))
    except (EOFError, OSError):  # whoever wanted this is gone
        pass
    os._exit(0)  # at once: an engine's own threads may take their time


def _opened(settings: Settings) -> Note | Exception:
    try:
        open_work(settings)
    except Exception as error:
        return portable(error)
    return Note(text="")


def _done(spec: ShardSpec, crew: Crew) -> ShardReport | Exception:
    try:
        report = run_shard(spec, crew)
    except Exception as error:  # a defect of ours
        return portable(error)
    return report if report.error is None else replace(report, error=portable(report.error))


def portable(error: Exception) -> Exception:
    """The error, if it is the same after a journey between processes, or else one that says the same."""
    try:
        travelled = pickle.loads(pickle.dumps(error))
        if type(travelled) is type(error) and str(travelled) == str(error):
            return error
    except Exception:  # pickle calls a class with what it finds, which may raise anything
        pass
    return JobError(str(error) if isinstance(error, AedeployError) else f"{type(error).__name__}: {error}")
