"""What happens to the deferred store in Redis, and to those who replay dead letters (F26, F29)."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress

import redis

from tests.torture.crews import environment
from tests.torture.faults.fault import Fault
from tests.torture.plan import Row


class F26(Fault):
    row = Row(
        name="F26",
        title="Redis is killed, emptied, stopped in its tracks, or full",
        variants=("kill", "empty", "freeze", "full"),
        gap=(5.0, 15.0),
        seconds=(1.0, 6.0),
    )

    def inject(self) -> None:
        self.claim("redis")
        server = self.stage.redis
        self.where = server.url
        match self.order.variant:
            case "kill":
                server.kill()
            case "empty":
                server.client().flushall()
            case "freeze":
                server.pause()
            case "full":
                server.client().config_set("maxmemory", "1")

    def heal(self) -> None:
        server = self.stage.redis
        match self.order.variant:
            case "kill":
                server.start()
            case "freeze":
                server.resume()
            case "full":
                with suppress(redis.RedisError):
                    server.client().config_set("maxmemory", "0")


class F29(Fault):
    row = Row(
        name="F29",
        title="dead letters are replayed; whoever does it is killed, in a transaction",
        variants=("whole", "killed", "killed"),
        gap=(8.0, 25.0),
        seconds=(0.5, 3.0),
    )

    def inject(self) -> None:
        self.claim("replay")
        queue = self.one_of(("orders", "mail", "media", "vault"))
        self.where = queue
        stage = self.stage
        settings = {"bootstrap_servers": stage.cluster.bootstrap, "prefix": stage.app.names.prefix}
        script = "from kjobs.cli import main; main()"
        command = [sys.executable, "-c", script, "dead", "replay", queue, "--yes"]
        reason = ["--reason", "retries-exhausted"]  # not what would fail in any case
        with (stage.folders.logs / "replays.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *reason],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(stage.folders, settings),
                cwd=stage.folders.logs,
            )

    def heal(self) -> None:
        if self.order.variant == "killed":
            self._process.kill()
        try:
            self._process.wait(20.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


FAULTS = (F26, F29)
