"""A command as a person sees it: its stderr is a terminal."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence


def on_a_terminal(command: Sequence[str]) -> tuple[int, str, str]:
    """Run a command whose stderr is a terminal of 100 columns: its return code, what that showed, and its stdout."""
    import pty

    reader, writer = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=writer, text=True, env=environment) as running:
        os.close(writer)
        shown = b""
        try:
            while piece := os.read(reader, 4096):
                shown += piece
        except OSError:  # what Linux says when the other end is closed
            pass
        os.close(reader)
        assert running.stdout is not None
        stdout = running.stdout.read()
    return running.returncode, shown.decode(), stdout
