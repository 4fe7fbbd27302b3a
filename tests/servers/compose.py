"""The kafka service of compose.yaml, for machines that have Docker and no Java."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from tests.servers import probe
from tests.servers.failure import StartError

_FILE = Path(__file__).resolve().parents[2] / "compose.yaml"
_BOOTSTRAP = "127.0.0.1:9092"
_PROJECT = "kjobs-tests"
_READY_SECONDS = 30.0


class ComposeKafka:
    """The service: used as it is when it runs already, else started, and removed again with its data."""

    bootstrap = _BOOTSTRAP

    def __init__(self, docker: Path) -> None:
        self._compose = [str(docker), "compose", "--file", str(_FILE)]
        self._started = False

    def start(self) -> None:
        """Have the service run.

        Raises:
            StartError: Docker could not start it.
        """
        if self._runs_already() and probe.answers(_BOOTSTRAP):
            return
        self._started = True
        done = self._run("--project-name", _PROJECT, "up", "--detach", "--wait", "kafka")
        if done.returncode != 0 or not self._serves():
            said = done.stdout.decode(errors="replace").splitlines()[-30:]
            self.close()
            raise StartError(
                f"docker compose could not start Kafka at {_BOOTSTRAP} from {_FILE.name}. It said:\n"
                + "\n".join(said)
            )

    def close(self) -> None:
        """Remove what start() started."""
        if self._started:
            self._run("--project-name", _PROJECT, "down", "--volumes")
            self._started = False

    def _serves(self) -> bool:
        """Wait for an answer: Docker's health check looks at the port only."""
        deadline = time.monotonic() + _READY_SECONDS
        while not probe.serves_groups(_BOOTSTRAP):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def _runs_already(self) -> bool:
        """Whether the user's own project has the service up."""
        done = self._run("ps", "--status", "running", "--format", "json", "kafka")
        lines = done.stdout.decode(errors="replace").splitlines() if done.returncode == 0 else []
        return any(json.loads(line) for line in lines if line.startswith(("{", "[")))

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*self._compose, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
