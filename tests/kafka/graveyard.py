"""A queue with dead letters, and what a test wants to know of it, learned without kjobs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from kjobs import App
from kjobs.core.topics import Names
from kjobs.kafka.admin import Admin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from kjobs.core.ports import Headers

_ROOT = Path(__file__).parents[2]

#: Seconds for anything that a broker or a process does.
PATIENCE = 60.0

_DIED = 1_795_527_108_240

#: Runs the command that its arguments are, as the installed script does.
KJOBS = "from kjobs.cli import main; main()"


@dataclass(frozen=True)
class Corpse:
    """A dead letter to be written, in the wire format."""

    id: str
    partition: int = 0
    key: bytes | None = b"7"
    value: bytes | None = b'{"job":"mail.send","args":[7],"at":1795527100000}'
    job: str | None = "mail.send"
    reason: str = "not-retried"
    error: str = "builtins.ValueError"
    failed_at: int = _DIED
    headers: Headers = ()
    more: dict[str, str] = field(default_factory=dict)

    @property
    def all_headers(self) -> list[tuple[str, bytes | None]]:
        """The headers of its record."""
        own = {
            "kj-id": self.id,
            "kj-reason": self.reason,
            "kj-error": self.error,
            "kj-message": "bad address",
            "kj-attempts": "9",
            "kj-topic": "the.topic",
            "kj-partition": str(self.partition),
            "kj-offset": "17",
            "kj-timestamp": str(self.failed_at - 2000),
            "kj-failed-at": str(self.failed_at),
            "kj-group": "kjobs",
            "kj-worker": "host:1",
            "kj-version": "0.1.0",
            "kj-traceback": "Traceback (most recent call last):\n  in send\nValueError: bad address\n",
            **({} if self.job is None else {"kj-job": self.job}),
            **self.more,
        }
        return [*self.headers, *((name, value.encode()) for name, value in own.items())]


@dataclass(frozen=True)
class Found:
    """A record of a topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]

    def header(self, name: str) -> str | None:
        """A header's value."""
        return next((str((value or b"").decode()) for found, value in self.headers if found == name), None)


class Graveyard:
    """The queue ``mail`` under a prefix of its own, and its dead letters.

    Args:
        bootstrap: the broker.
        prefix: names the topics.
        folder: where commands are run.
        create: creates topics on a broker that needs to be told in another way.
    """

    def __init__(
        self,
        bootstrap: str,
        prefix: str,
        folder: Path,
        create: Callable[[str, int], object] | None = None,
    ) -> None:
        self.bootstrap = bootstrap
        self.prefix = prefix
        self.folder = folder
        self.names = Names(prefix)
        self.admin = Admin(bootstrap, {})
        topics = self.names.topics("mail", 3, 256 * 1024)
        if create is None:
            self.admin.create(topics, 1)
        else:
            for topic in topics:
                create(topic.name, topic.partitions)
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,  # or a retry might change the order
                "linger.ms": 20,
                "batch.size": 65_536,
                "on_delivery": _delivered,
            }
        )

    @property
    def app(self) -> App:
        """An app with this prefix."""
        return App(bootstrap_servers=self.bootstrap, prefix=self.prefix, group=self.prefix)

    @property
    def queue_topic(self) -> str:
        """The topic of the calls."""
        return self.names.queue("mail")

    @property
    def dead_topic(self) -> str:
        """The topic of the dead letters."""
        return self.names.dead("mail")

    # --- records -----------------------------------------------------------------------------------

    def bury(self, corpses: Iterable[Corpse]) -> None:
        """Write dead letters."""
        for corpse in corpses:
            self._write(self.dead_topic, corpse.partition, corpse.key, corpse.value, corpse.all_headers)
        assert self._producer.flush(PATIENCE) == 0

    def enqueue(
        self, value: bytes | None, key: bytes | None = None, headers: Headers = (), partition: int = 0
    ) -> None:
        """Write a record to the queue, whatever it is."""
        self._write(self.queue_topic, partition, key, value, headers)
        assert self._producer.flush(PATIENCE) == 0

    def _write(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers
    ) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, partition, headers=list(headers))
            except BufferError:
                self._producer.poll(0.1)
            else:
                return

    def queued(self) -> list[Found]:
        """The committed records of the queue."""
        return self.read(self.queue_topic)

    def dead(self) -> list[Found]:
        """The committed records of the dead letter topic."""
        return self.read(self.dead_topic)

    def read(self, topic: str) -> list[Found]:
        """All committed records of a topic, partition by partition."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "nobody",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 10,
            }
        )
        open_ = set(range(self.admin.partitions()[topic]))
        consumer.assign([TopicPartition(topic, number, 0) for number in open_])
        found: list[Found] = []
        until = time.monotonic() + PATIENCE
        while open_:
            assert time.monotonic() < until, f"{topic} could not be read to its end"
            message: Any = consumer.poll(0.2)
            if message is None:
                continue
            if message.error() is None:
                found.append(
                    Found(
                        message.partition(),
                        message.offset(),
                        message.key(),
                        message.value(),
                        message.headers() or [],
                    )
                )
            else:
                assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                open_.discard(message.partition())
        consumer.close()
        return sorted(found, key=lambda record: (record.partition, record.offset))

    # --- commands ----------------------------------------------------------------------------------

    def start(self, *arguments: str, script: str = KJOBS, errors: int = subprocess.PIPE) -> Command:
        """Start a command of kjobs."""
        line = [sys.executable, "-c", script, *arguments]
        return Command(line, self._environment(), self.folder, errors)

    def run(self, *arguments: str, answer: str = "", script: str = KJOBS) -> Ended:
        """Run a command of kjobs to its end."""
        with self.start(*arguments, script=script) as command:
            return command.end(answer)

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KJOBS_")}
        return kept | {
            "PYTHONPATH": str(_ROOT),
            "KJOBS_BOOTSTRAP_SERVERS": self.bootstrap,
            "KJOBS_PREFIX": self.prefix,
            "KJOBS_GROUP": self.prefix,
            "KJOBS_STATE_DIR": str(self.folder / "state"),
            "TZ": "UTC",
        }


def _delivered(error: KafkaError | None, _: object) -> None:
    assert error is None, error


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """What it printed, as JSON, one object a line."""
        return [json.loads(line) for line in self.out.splitlines()]


class Command:
    """A command that runs."""

    def __init__(
        self, command: Sequence[str], environment: dict[str, str], folder: Path, errors: int
    ) -> None:
        self._process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def end(self, answer: str = "") -> Ended:
        """Wait for its end."""
        out, err = self._process.communicate(answer, timeout=PATIENCE)
        return Ended(self._process.returncode, out, err)

    def wait_until_stopped(self) -> None:
        """Wait until it has stopped itself with SIGSTOP."""
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), f"it ended instead, with {os.waitstatus_to_exitcode(status)}"

    def go_on(self) -> None:
        """Let it go on after SIGSTOP."""
        self._process.send_signal(signal.SIGCONT)
