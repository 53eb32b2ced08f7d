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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing.connection import Connection
from socket import socketpair

from aedeploy.errors import AedeployError, JobError
from aedeploy.images.quiet import quiet_pillow
from aedeploy.jobs.chunk import Chunk
from aedeploy.jobs.collector import collect_seldom
from aedeploy.jobs.engines import Event, Note, Progress
from aedeploy.jobs.gate import ReadingGate
from aedeploy.jobs.shard import Crew, open_work, run_shard
from aedeploy.jobs.spec import Settings, ShardReport, ShardSpec, StageSeconds

# As multiprocessing does, a process finds modules where its parent finds them.
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[2:]; from aedeploy.jobs.engines.child import serve; serve(int(sys.argv[1]))"
)
_STOP = "stop"
# What is no shard has this number.
_OPENED = -1

#: While one shard waits for its last chunks and is written, the next one keeps the process busy.
SHARDS_AT_ONCE = 2
_SECONDS_TO_END = 5.0


class ProcessDiedError(JobError):
    """A worker process ended by itself, or was ended."""

    def __init__(self, code: int) -> None:
        self.how = f"signal {-code}" if code < 0 else f"exit code {code}"
        self.may_be_an_image = code != -signal.SIGKILL
        why = "one of its images may crash it" if self.may_be_an_image else "memory ran out, or somebody ended it"
        super().__init__(
            f"A worker process ended by {self.how} ({why}). What was finished is kept, and the same command goes on: "
            "with  --workers 1  if memory is short."
        )


class Child:
    """This side of a worker process. Several threads may run shards on it at once, and any may close it."""

    def __init__(self, settings: Settings, stop: threading.Event, tell: Callable[[Event], None]) -> None:
        self._settings = settings
        self._stop = stop
        self._tell = tell
        self._sending = threading.Lock()
        self._changed = threading.Condition()
        self._answers: dict[int, ShardReport | Exception] = {}
        self._told_to_stop = self._is_open = self._is_gone = False
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
        self._listener = threading.Thread(target=self._listen, name="child", daemon=True)
        self._listener.start()

    def open(self) -> None:
        """Wait until the graph is open there.

        Raises:
            AedeployError: it cannot be.
        """
        with self._changed:
            asked, self._is_open = self._is_open, True
        if not asked:
            self._send(_OPENED, self._settings)
        answer = self._answer(_OPENED, keep=True)
        if isinstance(answer, Exception):
            raise answer

    def run(self, spec: ShardSpec) -> None:
        """Have one shard done, and tell of everything that comes of it.

        Raises:
            ProcessDiedError: the process has died.
        """
        self._send(spec.number, spec)
        answer = self._answer(spec.number)
        if isinstance(answer, Exception):
            raise answer
        self._tell(answer)

    def _answer(self, number: int, *, keep: bool = False) -> ShardReport | Exception:
        with self._changed:
            while number not in self._answers and not self._is_gone:
                self._changed.wait(0.1)
                if self._stop.is_set() and not self._told_to_stop:
                    self._told_to_stop = True
                    self._send(_OPENED, _STOP)
            if number not in self._answers:
                raise self._death()
            return self._answers[number] if keep else self._answers.pop(number)

    def _listen(self) -> None:
        """Pass on what the process says: progress as it comes, answers to whoever waits for them."""
        try:
            while True:
                number, message = self._connection.recv()
                if isinstance(message, Progress):
                    self._tell(message)
                    continue
                with self._changed:
                    self._answers[number] = message
                    self._changed.notify_all()
        except (EOFError, OSError):
            with self._changed:
                self._is_gone = True
                self._changed.notify_all()

    def close(self) -> None:
        """End the process: once it has finished the chunks that it is at, or else at once."""
        with contextlib.suppress(JobError):
            self._send(_OPENED, None)
        try:
            self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join()
        self._connection.close()

    def _send(self, number: int, message: object) -> None:
        try:
            with self._sending:
                self._connection.send((number, message))
        except (OSError, ValueError):
            raise self._death() from None

    def _death(self) -> ProcessDiedError:
        return ProcessDiedError(self._process.wait())


def serve(file: int) -> None:
    """The worker process: one thread for the chunks of as many shards as it is sent, so that the end of one overlaps
    with the start of the next.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    collect_seldom()
    connection, sending = Connection(file), threading.Lock()
    parent = os.getppid()

    def send(number: int, message: object) -> None:
        with sending:
            connection.send((number, message))

    def seen(chunk: Chunk, seconds: StageSeconds) -> None:
        if os.getppid() != parent:  # nobody would know of what is committed now
            os._exit(1)
        try:
            send(_OPENED, Progress(ok=len(chunk.rows), failed=len(chunk.failures), seconds=seconds))
        except OSError:
            os._exit(1)

    def shard(number: int, spec: ShardSpec) -> None:
        send(number, _done(spec, crew))

    with (
        quiet_pillow(),
        ThreadPoolExecutor(1, "chunk") as chunks,
        ThreadPoolExecutor(SHARDS_AT_ONCE, "shard") as shards,
    ):
        crew = Crew(executor=chunks, gate=ReadingGate(1), seen=seen)
        try:
            while (task := connection.recv())[1] is not None:
                number, message = task
                if isinstance(message, Settings):
                    send(number, _opened(message))
                elif isinstance(message, ShardSpec):
                    shards.submit(shard, number, message)
                else:
                    crew.stop.set()
        except (EOFError, OSError):  # whoever wanted this is gone
            os._exit(1)
        crew.stop.set()
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
