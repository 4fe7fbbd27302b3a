"""Ties a server's life to ours: it is killed when this process ends in whatever way, SIGKILL included."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# The pipe is never written to; read returns when the last holder of its other end, this process, is gone.
_WATCH = 'read -r _; kill -KILL "$1"; rm -rf -- "$2"'


class Leash:
    """A tiny process that waits for our end, then kills the server and removes its directory."""

    def __init__(self, pid: int, directory: Path) -> None:
        # A session of its own, so that a Ctrl-C meant for us does not end the watch first.
        self._watch = subprocess.Popen(
            ["sh", "-c", _WATCH, "leash", str(pid), str(directory)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def release(self) -> None:
        """Let go: the server has ended, or is about to be ended by us."""
        self._watch.kill()
        self._watch.wait()
        assert self._watch.stdin is not None
        self._watch.stdin.close()
