"""A scenario: a queue of its own, worker processes, and a judgement of everything that happened."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from kjobs import App, EnqueueError, Handle
from kjobs.job import Job
from tests.kafka import jobs
from tests.kafka.broker import Broker, Found
from tests.kafka.dump import dead_dump, delayed_dump, final_commits, queue_dump
from tests.kafka.merging import Histories
from tests.kafka.worker import Worker
from tests.patience import PATIENCE, until
from tests.proof import history as h
from tests.proof.checker import Config, Rules, check

_ROOT = Path(__file__).parents[2]

#: Headers that every dead letter has.
_DEAD_HEADERS = frozenset(
    f"kj-{name}"
    for name in (
        *("id", "reason", "error", "message", "attempts", "topic", "partition", "offset", "timestamp"),
        *("failed-at", "group", "worker", "version"),
    )
)

E = TypeVar("E", bound=h.Event)


class Scenario:
    """One test's queue, with its workers and their history.

    Args:
        bootstrap: the broker.
        prefix: of topics, and the group's name.
        folder: for histories and outputs.
        protocol: of the group.
    """

    def __init__(self, bootstrap: str, prefix: str, folder: Path, protocol: str) -> None:
        self.prefix = self.group = prefix
        self.protocol = protocol
        self.topic = f"{prefix}.{jobs.QUEUE}"
        self.dead_topic = f"{prefix}.{jobs.QUEUE}.dead"
        self.log_topic = f"{prefix}.{jobs.QUEUE}.delayed"
        self.broker = Broker(bootstrap)
        self.folder = folder
        self._folder_of_histories = folder / "histories"
        self._folder_of_histories.mkdir()
        self._histories = Histories(self._folder_of_histories)
        self.workers: list[Worker] = []
        self.app = App(bootstrap_servers=bootstrap, prefix=prefix, group=prefix)
        self.jobs = jobs.declare(self.app)
        self._recorder = h.Recorder(self._folder_of_histories / "test.jsonl")
        self._anchor = time.time() - time.monotonic()
        self._numbers = count(1)
        self._seq = count()
        self.session = 6.0
        self.threads = 4

    # --- putting it up -----------------------------------------------------------------------------

    def set_up(self, *, partitions: int = 3, session: float = 6.0, threads: int = 4) -> None:
        """Create the topics, and settle what all workers have in common."""
        self.session, self.threads = session, threads
        self.broker.create({self.topic: partitions, self.dead_topic: partitions})
        (log,) = (t for t in self.app.names.topics(jobs.QUEUE, partitions, 10**6) if t.name == self.log_topic)
        self.broker.create({self.log_topic: partitions}, log.config)
        if self.protocol == "consumer":
            # By default members are heard from every 5 s, and a rebalance takes as long.
            quick = {
                "consumer.session.timeout.ms": int(session * 1000),
                "consumer.heartbeat.interval.ms": min(300, int(session * 1000 / 6)),
                "consumer.assignment.interval.ms": 0,
            }
            known = self.broker.group_settings(self.group)  # not every broker knows the last one
            self.broker.set_group(self.group, {name: value for name, value in quick.items() if name in known})

    def environment(self, inc: str, **settings: object) -> dict[str, str]:
        """The environment of a process; settings as ``grace=2``, ``kafka_max_poll_interval_ms=3000``."""
        own = {
            "bootstrap_servers": self.broker.bootstrap,
            "prefix": self.prefix,
            "group": self.group,
            "group_protocol": self.protocol,
            "session_timeout": self.session,
            "processes": 1,
            "threads": self.threads,
            "state_dir": self.folder / "state",
            "test_history": self._folder_of_histories,
            "test_inc": inc,
            **settings,
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KJOBS_")}
        return {
            **kept,
            "PYTHONPATH": str(_ROOT),
            **{f"KJOBS_{name.upper()}": str(value) for name, value in own.items()},
        }

    def worker(self, *arguments: str, grace: float = 25.0, **settings: object) -> Worker:
        """Start a worker; settings go into its environment."""
        inc = f"w{next(self._numbers)}"
        command = ["-m", "tests.kafka.worker_process", "worker", "tests.kafka.jobs:app", *arguments]
        environment = self.environment(inc, grace=grace, **settings)
        worker = Worker(inc, command, environment, self.folder, self._recorder, grace)
        self.workers.append(worker)
        return worker

    def process(self, *command: str, **settings: object) -> Worker:
        """Start another process of kjobs, with this scenario's settings."""
        inc = f"p{next(self._numbers)}"
        process = Worker(inc, command, self.environment(inc, **settings), self.folder, self._recorder)
        self.workers.append(process)
        return process

    # --- enqueueing --------------------------------------------------------------------------------

    def enqueue(self, *args: Any, job: Job[..., Any] | None = None, **options: Any) -> Handle:
        """Enqueue a call, and write down what became of it.

        Raises:
            EnqueueError: it was not acknowledged; that is written down, too.
        """
        job = job or self.jobs.act
        seq = next(self._seq)
        try:
            handle = job.options(**options).delay(*args)
        except EnqueueError as error:
            self.not_enqueued(error)
            raise
        self.acknowledged(handle, seq)
        return handle

    def enqueue_many(self, calls: Iterable[tuple[Any, ...]], **options: Any) -> list[Handle]:
        """Enqueue calls at once."""
        handles = self.jobs.act.options(**options).delay_many(calls)
        for handle in handles:
            self.acknowledged(handle, next(self._seq))
        return handles

    def enqueue_batch(self, calls: Iterable[tuple[tuple[Any, ...], str | None]], **options: Any) -> None:
        """Enqueue calls of several keys at once, each its arguments and its key."""
        with self.app.batch():
            handles = [self.jobs.act.options(key=key, **options).delay(*args) for args, key in calls]
        for handle in handles:
            self.acknowledged(handle, next(self._seq))

    def acknowledged(self, handle: Handle, seq: int | None = None) -> None:
        """Write down that Kafka has a call; ``seq`` counts them in the order they were made."""
        assert handle.partition is not None
        assert handle.offset is not None
        due = None if handle.due is None else handle.due.timestamp() - self._anchor
        self.tell(
            h.Enqueued(
                time.monotonic(),
                "test",
                call=handle.id,
                place=(f"{self.prefix}.{handle.queue}", handle.partition),
                offset=handle.offset,
                key=None if handle.key is None else handle.key.encode(),
                producer="test",
                seq=seq,
                due=due,
            )
        )

    def not_enqueued(self, error: EnqueueError) -> None:
        """Write down that a call was refused, or that nobody knows."""
        kind = h.EnqueueFailed if error.definite else h.EnqueueUnknown
        self.tell(kind(time.monotonic(), "test", call=error.call_id))

    def write(
        self,
        value: bytes | None,
        key: bytes | None = None,
        partition: int = 0,
        headers: Sequence[tuple[str, bytes | None]] = (),
    ) -> int:
        """Write a record to the queue past kjobs, whatever it is; returns its offset."""
        return self.broker.write((self.topic, partition), value, key, headers)

    def killed(self, inc: str) -> None:
        """Write down that a process that has no :class:`Worker` of its own was killed."""
        self.tell(h.Killed(time.monotonic(), inc))

    def tell(self, *events: h.Event) -> None:
        """Write something down."""
        self._recorder.record(*events)

    # --- looking -----------------------------------------------------------------------------------

    def events(self, kind: type[E], inc: str | None = None) -> list[E]:
        """The events of a kind so far, as they were written, of all processes or of one."""
        return [
            event
            for event in self._histories.events()
            if isinstance(event, kind) and (inc is None or event.inc == inc)
        ]

    def sees(self, kind: type[h.Event], inc: str | None = None) -> None:
        """Wait for an event."""
        who = "anybody" if inc is None else inc
        until(lambda: self.events(kind, inc), f"{kind.__name__} of {who}", told=self.tails)

    def begun(self, *handles: Handle, by: Worker | None = None) -> None:
        """Wait until calls have begun to run."""
        wanted = {handle.id for handle in handles}
        inc = None if by is None else by.inc
        until(
            lambda: wanted <= {event.call for event in self.events(h.Started, inc)},
            f"{len(wanted)} calls begin",
            told=self.tails,
        )

    def succeeded(self, number: int, *, by: Worker | str | None = None) -> None:
        """Wait until so many calls have had their effects."""
        until(lambda: len(self.succeeded_calls(by=by)) >= number, f"{number} calls succeed", told=self.tails)

    def succeeded_calls(self, *, by: Worker | str | None = None) -> set[str]:
        """The calls that have had their effects, of all workers or of one, or one of its processes."""
        inc = by.inc if isinstance(by, Worker) else by
        return {effect.call for effect in self.events(h.Effect, inc) if effect.ok}

    def drained(self, seconds: float = PATIENCE) -> None:
        """Wait until the group has committed everything that is in the queue, and nothing is deferred."""
        until(self.is_drained, f"{self.topic} is drained", seconds=seconds, told=self.tails)

    def is_drained(self) -> bool:
        """Whether the group has committed everything that is in the queue, and nothing is deferred."""
        places = self.broker.places(self.topic)
        ends = self.broker.ends(places)
        if self.waiting():
            return False
        committed = self.broker.committed(self.group, places)
        return all(committed.get(place, 0) >= end for place, end in ends.items())

    def waiting(self) -> dict[bytes, Found]:
        """The calls in the deferred store, by the keys of their records: its log after compaction."""
        last: dict[bytes, Found] = {}
        for record in self.broker.read(self.log_topic):
            named = {name for name, _ in record.headers}
            if record.key is not None and not named & {"kj-answer", "kj-move"}:
                last[record.key] = record
        return {key: record for key, record in last.items() if record.value is not None}

    def tails(self) -> str:
        """The ends of all outputs."""
        return "\n".join(worker.tail() for worker in self.workers)

    # --- the end -----------------------------------------------------------------------------------

    def finish(self) -> None:
        """Wait until the queue is drained, and stop every worker in order."""
        self.drained()
        self.stop()

    def stop(self) -> None:
        """Stop every worker that runs, in order."""
        running = [worker for worker in self.workers if worker.code is None]
        for worker in running:
            worker.term()
        for worker in running:
            worker.ends(0)

    def judge(
        self,
        *,
        change: Callable[[list[h.AnyEvent]], list[h.AnyEvent]] | None = None,
        **config: Any,
    ) -> list[h.AnyEvent]:
        """Read the topics, put all histories together, and let the checker judge; returns the history.

        Args:
            change: what is to be done with the history before it is judged.
            config: as of :class:`tests.proof.checker.Config`, over what every run has in common.
        """
        dump = [
            *queue_dump(self.broker, self.topic),
            *dead_dump(self.broker, self.dead_topic),
            *delayed_dump(self.broker, self.log_topic, self._anchor),
            *final_commits(self.broker, self.group, self.topic),
        ]
        history = h.merge(self._histories.merged(), dump)
        if change is not None:
            history = change(history)
        violations = check(history, config=self.config(**config))
        told = "\n".join(map(str, violations[:20]))
        assert not violations, (
            f"{len(violations)} violations in {self._folder_of_histories}:\n{told}\n{self.tails()}"
        )
        return history

    def config(self, **config: Any) -> Config:
        """What every run has promised, and what this one has."""
        common: dict[str, Any] = {
            "usual": Rules(retries=jobs.RETRIES),
            "slots": self.threads,
            "session_timeout": self.session,
            "confirmed": True,
            "commit_window": 2.0,
            "report_lag": 1.0,
            "revoke_budget": 10.0,
            "early_slack": 0.01,
            "start_slack": 0.3,
            "exit_slack": 3.0,
            "dead_headers": _DEAD_HEADERS,
        }
        return Config(**{**common, **config})

    def close(self) -> None:
        """End what still runs."""
        for worker in self.workers:
            worker.close()
        self.app.close()
        self._recorder.close()
