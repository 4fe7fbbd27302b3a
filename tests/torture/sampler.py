"""Looks each second: what lags behind, what processes need; lets callers wait if there is too much to do."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from confluent_kafka import KafkaException

from tests.torture.callers import Callers
from tests.torture.desk import Desk
from tests.torture.lag import Lag
from tests.torture.layout import CREWS, QUEUES, Folders

_EVERY = 1.0
_PAGE = 4096


@dataclass(slots=True)
class Peaks:
    """The most that was seen.

    Attributes:
        lag: unfinished calls in the queues.
        rss: bytes of one worker process.
        descriptors: of one worker process.
        threads: of one worker process.
    """

    lag: int = 0
    rss: int = 0
    descriptors: int = 0
    threads: int = 0


class Sampler:
    """Writes ``samples.jsonl``.

    Args:
        bootstrap: the brokers' own doors.
        prefix: of the topics.
        folders: of the run.
        desk: knows the processes.
        callers: are slowed down.
        pace: calls per second of each of them, if there is not too much to do.
        most: lag at which they wait.
    """

    def __init__(
        self,
        bootstrap: str,
        prefix: str,
        folders: Folders,
        desk: Desk,
        callers: Callers,
        pace: float,
        most: int,
    ) -> None:
        self._prefix = prefix
        self._lag = Lag(
            bootstrap, {f"{prefix}.{queue}": crew.group for crew in CREWS for queue in crew.queues}
        )
        self._path = folders.root / "samples.jsonl"
        self._desk = desk
        self._callers = callers
        self._pace = pace
        self._most = most
        self.peaks = Peaks()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._lag.close()

    def lag(self) -> dict[str, int]:
        """Unfinished calls by queue.

        Raises:
            KafkaException: the brokers do not say.
            KeyError: a topic is missing.
        """
        return {queue.name: self._lag.of(f"{self._prefix}.{queue.name}") for queue in QUEUES}

    def _run(self) -> None:
        with self._path.open("w") as file:
            while not self._ended.wait(_EVERY):
                lag: dict[str, int] | None = None
                with suppress(KafkaException, KeyError):  # the brokers are away
                    lag = self.lag()
                if lag is not None:
                    self.peaks.lag = max(self.peaks.lag, sum(lag.values()))
                    self._callers.pace(self._pace if sum(lag.values()) < self._most else 0.0)
                processes = [_look(life.pid, life.inc) for life in self._desk.lives()]
                for found in processes:
                    if found is not None:
                        self.peaks.rss = max(self.peaks.rss, found.rss)
                        self.peaks.descriptors = max(self.peaks.descriptors, found.descriptors)
                        self.peaks.threads = max(self.peaks.threads, found.threads)
                seen = [asdict(found) for found in processes if found is not None]
                line = {"t": round(time.monotonic(), 2), "lag": lag, "processes": seen}
                file.write(json.dumps(line) + "\n")
                file.flush()


@dataclass(frozen=True, slots=True)
class _Needs:
    inc: str
    rss: int
    descriptors: int
    threads: int


def _look(pid: int, inc: str) -> _Needs | None:
    try:
        process = Path(f"/proc/{pid}")
        rss = int((process / "statm").read_text().split()[1]) * _PAGE
        return _Needs(
            inc, rss, len(list((process / "fd").iterdir())), len(list((process / "task").iterdir()))
        )
    except (OSError, IndexError):
        return None  # it has just ended
