"""Everything that a run needs, put up and taken down: brokers, proxy, Redis, workers, callers."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from confluent_kafka import KafkaException

from kjobs import App
from tests.kafka.broker import Broker
from tests.patience import until
from tests.proof import history as h
from tests.servers.redis import Redis
from tests.torture.agenda import Agenda
from tests.torture.callers import Callers
from tests.torture.cluster import Cluster
from tests.torture.crews import Crews
from tests.torture.desk import Desk
from tests.torture.hand import Hand
from tests.torture.layout import CALLERS, CREWS, PARTIES, QUEUES, Folders, Queue
from tests.torture.proxy import Proxy
from tests.torture.sampler import Sampler
from tests.torture.tail import Tail
from tests.torture.terms import Terms

#: What the names of all topics begin with.
PREFIX = "t"
#: Seconds for all workers to be ready.
_READY = 90.0


class Stage:
    """A run's servers and processes.

    Args:
        terms: how it is put up.
        root: the run's folder.
    """

    def __init__(self, terms: Terms, root: Path) -> None:
        self.terms = terms
        self._held = ExitStack()
        sockets = self._held.enter_context(tempfile.TemporaryDirectory(prefix="kjobs-desk-"))
        self.folders = Folders(root, Path(sockets) / "desk.sock")
        self._claims: set[str] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        try:
            self._put_up()
        except BaseException:
            self._held.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def _put_up(self) -> None:
        terms, folders, held = self.terms, self.folders, self._held
        folders.make()
        self.recorder = held.enter_context(h.Recorder(folders.histories / "stage.jsonl"))
        self.agenda = Agenda()
        self.desk = held.enter_context(Desk(folders.desk, self.recorder))
        self.proxy = held.enter_context(Proxy())
        self.redis = held.enter_context(Redis(("appendonly", "yes"), ("appendfsync", "everysec")))
        self.cluster = held.enter_context(Cluster(terms.nodes, PARTIES, self.proxy))
        held.callback(lambda: self.cluster.keep_logs(folders.logs))
        self.broker = Broker(self.cluster.bootstrap)
        self.app = App(bootstrap_servers=self.cluster.bootstrap, prefix=PREFIX, group="main")
        held.callback(self.app.close)
        for queue in QUEUES:
            self.create(queue)
        if terms.protocol == "consumer":
            self._quicken()
        common = {
            "prefix": PREFIX,
            "group_protocol": terms.protocol,
            "session_timeout": terms.session,
            "threads": terms.threads,
            "lane_wait": 3.0,
            "revoke_grace": 3.0,
            "watchdog": 8.0,
            "enqueue_timeout": 5.0,
            "kafka_topic_metadata_refresh_interval_ms": 5000,
            "kafka_topic_metadata_propagation_max_ms": 1000,
            "kafka_max_poll_interval_ms": int((terms.session + 1.0) * 1000),
            "kafka_reconnect_backoff_max_ms": 2000,
            "test_mutant": terms.mutant,
        }
        doors = {crew.name: self.cluster.door(crew.name) for crew in CREWS}
        self.crews = Crews(CREWS, folders, self.desk, self.recorder, common, doors)
        self.crews.extra["w3"] = {"delay_store": self.redis.url}
        held.callback(self.crews.close)
        for crew in CREWS:
            self.crews.start(crew.name)
        logs = [place for queue in QUEUES for place in self.broker.places(self.app.names.delayed(queue.name))]
        self.tail = Tail(self.broker, logs, held.enter_context(h.Recorder(folders.histories / "tail.jsonl")))
        settings = {**common, "bootstrap_servers": self.cluster.door(CALLERS)}
        self.callers = Callers(terms.callers, terms.seed, folders, settings)
        held.callback(self.callers.close)
        self.hand = Hand(self.app, self.broker, self.recorder)
        self.sampler = Sampler(
            self.cluster.bootstrap, PREFIX, folders, self.desk, self.callers, terms.pace, terms.most
        )

    # --- for those who do harm ---------------------------------------------------------------------

    def claim(self, name: str) -> bool:
        """Have something for oneself; False if somebody else has it."""
        with self._lock:
            if name in self._claims:
                return False
            self._claims.add(name)
            return True

    def release(self, name: str) -> None:
        """Let go of what was claimed."""
        with self._lock:
            self._claims.discard(name)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something after a while."""
        self.agenda.at(time.monotonic() + seconds, action)

    def renewed(self, topic: str) -> None:
        """A topic is about to be made anew: what comes is of another one."""
        line = json.dumps({"topic": topic, "t": time.monotonic()})
        with (self.folders.root / "eras.jsonl").open("a") as file:
            file.write(line + "\n")

    def unfinished(self, queue: str) -> int:
        """How many calls of a queue are unfinished."""
        return self.sampler.lag()[queue]

    # --- topics ------------------------------------------------------------------------------------

    def create(self, queue: Queue, *kinds: str) -> None:
        """Create a queue's topics, or some of them, if they are missing."""
        existing = self.broker.topics()
        for topic in self.app.names.topics(queue.name, queue.partitions, 1_000_000):
            if topic.name in existing or (kinds and topic.name not in kinds):
                continue
            config = {**topic.config, "min.insync.replicas": str(max(1, self.terms.nodes - 1))}
            self.broker.create({topic.name: topic.partitions}, config, self.terms.nodes)

    def create_queue_topic(self, name: str) -> None:
        """Create the topic of a queue's calls again."""
        self.create(_queue(name), self.app.names.queue(name))

    def create_dead_topic(self, name: str) -> None:
        """Create the topic of a queue's dead letters again."""
        self.create(_queue(name), self.app.names.dead(name))

    def ready(self) -> None:
        """Wait until all workers have their partitions."""
        for worker in self.crews.running.values():
            worker.says(" ready", _READY)

    def _quicken(self) -> None:
        """By default members are heard from every 5 s, and a rebalance takes as long."""
        session = self.terms.session
        quick = {
            "consumer.session.timeout.ms": int(session * 1000),
            "consumer.heartbeat.interval.ms": min(500, int(session * 1000 / 6)),
            "consumer.assignment.interval.ms": 0,
        }
        for group in {crew.group for crew in CREWS}:
            known = self.broker.group_settings(group)  # not every broker knows the last one
            self.broker.set_group(group, {name: value for name, value in quick.items() if name in known})

    def keep(self) -> None:
        """Begin again what has ended, unless somebody wants it so."""
        for name in self.crews.crews:
            with self._lock:
                claimed = f"crew:{name}" in self._claims
            if not claimed:
                self.crews.keep(name)

    # --- the end -----------------------------------------------------------------------------------

    def heal(self) -> None:
        """End all faults: everything runs, and can reach everything."""
        self.proxy.heal()
        self.cluster.heal()
        until(self._whole, "the brokers have all topics", seconds=_READY)
        self.crews.keep()

    def _whole(self) -> bool:
        """See that there are all topics; False if the brokers do not say."""
        try:
            for queue in QUEUES:
                self.create(queue)
        except (AssertionError, KafkaException):
            return False
        return True

    def drained(self) -> bool:
        """Whether everything that was enqueued is finished; not, if the brokers do not say."""
        self.crews.keep()
        try:
            return not any(self.sampler.lag().values()) and not self.tail.behind() and not self.tail.waiting()
        except (AssertionError, KafkaException, KeyError):
            return False

    def lag(self) -> dict[str, int]:
        """The queues that have unfinished calls, with how many; empty if the brokers do not say."""
        try:
            return {name: count for name, count in self.sampler.lag().items() if count}
        except (KafkaException, KeyError):
            return {}

    def stop(self) -> None:
        """Stop all workers in order."""
        for name in self.crews.crews:
            self.crews.term(name)
        for worker in self.crews.running.values():
            until(lambda worker=worker: worker.code is not None, f"{worker.inc} ends")  # type: ignore[misc]
        until(lambda: not self.desk.lives(), "all processes are gone")


def _queue(name: str) -> Queue:
    return next(queue for queue in QUEUES if queue.name == name)
