"""A worker process: puts the parts together, joins the group, runs until it is told to stop."""

from __future__ import annotations

import gc
import logging
import os
import platform
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from types import FrameType
from typing import Any

from .. import __version__, events
from ..app import App
from ..config import Settings
from ..connect import delayed_group, open_cluster, open_producer
from ..core.buffer import Bounds
from ..core.commits import Rhythm
from ..core.duration import spoken
from ..core.scheduler import Scheduler
from ..deferred.keeper import Keeper
from ..deferred.opener import opener
from ..errors import BrokerError, ConfigError
from ..kafka.client import consumer_options
from ..kafka.consumer import Consumer
from ..kafka.tail import Tail
from .burial import Burial
from .clock import Clock
from .executor import Executor
from .failpoint import Failpoint, failpoint
from .invoke import Invoker
from .loop import Loop
from .report import Report, spelled

log = logging.getLogger("kjobs.worker")

#: Seconds after which a worker without partitions says that it is ready all the same.
_PATIENCE = 5.0
#: Seconds between two looks whether a burst is over.
_BURST_LOOK = 0.1
#: Seconds that leaving the group may take before the process ends without it.
_LEAVING = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a worker is to do.

    Attributes:
        queues: the queues it takes calls from.
        burst: stop when there is nothing left to do.
        max_calls: stop after so many attempts; None for no end.
    """

    queues: Sequence[str]
    burst: bool = False
    max_calls: int | None = None


class Worker:
    """One worker process of an app."""

    def __init__(self, app: App, orders: Orders) -> None:
        if not orders.queues:
            raise ConfigError("a worker needs at least one queue")
        self._app = app
        self._orders = orders
        self._settings: Settings = app.settings
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._topics = {app.names.queue(app.check_queue(queue)): queue for queue in orders.queues}
        self._signals = 0
        self._told_to_stop = False
        self._looked_at = 0.0
        self._ready = False
        self._begun = time.monotonic()

    # --- putting it together -------------------------------------------------------------------------

    def _build(self) -> None:
        settings, app = self._settings, self._app
        cluster = self._cluster = open_cluster(settings)
        cluster.ensure(self._orders.queues, create=settings.create_topics)
        protocol = settings.group_protocol or ("consumer" if cluster.embedded else "classic")
        session = settings.session_timeout
        if protocol == "consumer":
            session = cluster.admin.session_timeout(settings.group) or session
        self._producer = open_producer(settings)
        clock = Clock()
        self._report = Report(self._topics)
        self._scheduler = Scheduler(
            Bounds(settings.buffer, settings.buffer_size),
            Rhythm(lease=0.8 * session),
            attempts=self._orders.max_calls,
            lane_wait=settings.lane_wait,
        )
        self._invoker = Invoker(app.jobs, app.middleware, queues=self._topics, now=clock.now)
        self._executor = Executor(self._invoker.run, slots=settings.threads, async_slots=settings.async_slots)
        burial = Burial(
            self._producer,
            {topic: app.names.dead(queue) for topic, queue in self._topics.items()},
            group=settings.group,
            worker=self._name,
            version=__version__,
            told=self._executor.tell,
        )
        self._stores = opener(settings)
        self._stores.check()
        self._keeper = Keeper(
            producer=self._producer,
            tail=Tail(
                settings.bootstrap_servers,
                settings.kafka,
                group=delayed_group(settings.group),
                embedded=cluster.embedded,
            ),
            admin=cluster.admin,
            opener=self._stores,
            logs={topic: app.names.delayed(queue) for topic, queue in self._topics.items()},
            now=clock.now,
            told=self._executor.tell,
            cluster_id=cluster.admin.cluster_id(),
            embedded=cluster.embedded,
            passed=lambda where: failpoint(Failpoint(where)),
        )
        self._keeper.start()
        self._loop = Loop(
            scheduler=self._scheduler,
            executor=self._executor,
            burial=burial,
            keeper=self._keeper,
            limits=self._invoker.limits,
            report=self._report,
            clock=clock,
            revoke_grace=settings.revoke_grace,
        )
        options = consumer_options(
            settings.bootstrap_servers,
            settings.group,
            settings.kafka,
            protocol=protocol,
            session_timeout=settings.session_timeout,
            buffer=settings.buffer,
            embedded=cluster.embedded,
        )
        self._consumer = Consumer(
            options,
            cluster.admin,
            listener=self._loop.hear,
            on_revoke=self._loop.revoke,
            on_resume=self._report.resumed,
        )
        self._loop.attach(self._consumer)
        self._protocol = protocol

    # --- running -------------------------------------------------------------------------------------

    def run(self) -> int:
        """Work until stopped; the exit code: 0 in order, 1 error, 2 forced.

        Raises:
            KjobsError: it could not begin.
        """
        self._build()
        self._banner()
        # What exists by now stays: the collector need not look at it each time again.
        gc.collect()
        gc.freeze()
        code = self._work()
        log.info(
            "stopped after %s: %s",
            spoken(round(time.monotonic() - self._begun, 1)),
            self._report.totals,
            extra={"event": "worker.stopped", "code": code, **asdict(self._report.totals)},
        )
        events.emit(events.WorkerStopped(code))
        return code

    def _work(self) -> int:
        previous = self._catch_signals()
        try:
            # Only now: a member that a signal kills while it joins keeps the group waiting for its session.
            self._consumer.subscribe(sorted(self._topics))
            while not (self._told_to_stop or self._finished()):
                self._loop.step()
                if not self._ready:
                    self._announce()
            self._begin_to_stop()
            while self._loop.busy() and time.monotonic() < self._loop.stop_by:
                self._loop.step()
            self._settle()
            return self._leave()
        except BrokerError as error:
            log.error("%s", error, extra={"event": "worker.failed"})
            return 1
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _finished(self) -> bool:
        """Whether a worker that is not to run for ever has done its work."""
        if self._scheduler.attempts_left == 0 and not self._loop.busy():
            return True
        if not (self._orders.burst and self._ready and self._keeper.settled) or self._scheduler.held:
            return False
        now = time.monotonic()
        if now - self._looked_at < _BURST_LOOK:
            return False
        self._looked_at = now
        return self._cluster.drained(self._settings.group, list(self._topics))

    def _begin_to_stop(self) -> None:
        self.stop()
        grace = self._settings.grace
        self._loop.stop()
        running = sum(partition.out for partition in self._scheduler.partitions.values())
        if running:
            log.info(
                "stopping: %d calls are running; waiting for them for up to %s",
                running,
                spoken(grace),
                extra={"event": "worker.stopping", "running": running, "grace": grace},
            )
        events.emit(events.WorkerStopping(grace))

    def _settle(self) -> None:
        """Wait until what is finished is committed, and what is written to the deferred store is there.

        While the group waits for another member, brokers answer no commit; and one that is made while leaving
        would be of a generation that is over when it is answered.
        """
        until = min(self._loop.stop_by, time.monotonic() + _LEAVING)
        while (self._scheduler.uncommitted or self._loop.busy()) and time.monotonic() < until:
            self._loop.step()

    def _leave(self) -> int:
        """Commit and leave the group."""
        abandoned = self._loop.busy()
        if abandoned:
            log.error(
                "calls are still running after the grace period; they are cut off, and will run again "
                "elsewhere",
                extra={"event": "worker.forced"},
            )
        watch = threading.Timer(_LEAVING, _give_up)
        watch.daemon = True
        watch.start()
        self._consumer.close()
        self._keeper.stop(_LEAVING / 2)
        self._executor.stop()
        self._producer.close(_LEAVING / 2)
        self._app.close()
        watch.cancel()
        return 2 if abandoned else 0

    # --- signals -------------------------------------------------------------------------------------

    def _catch_signals(self) -> dict[signal.Signals, Any]:
        if threading.current_thread() is not threading.main_thread():
            return {}
        return {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._signals:
            os.write(2, b"kjobs: second signal, ending now; running calls will run again elsewhere\n")
            os._exit(2)
        self._signals += 1
        self.stop()

    def stop(self) -> None:
        """Stop as by SIGTERM; from any thread."""
        if not self._told_to_stop:
            # The grace period begins now, also if the owner is busy giving partitions back.
            self._loop.stop_by = time.monotonic() + self._settings.grace
            self._told_to_stop = True

    # --- telling -------------------------------------------------------------------------------------

    def _banner(self) -> None:
        settings, cluster = self._settings, self._cluster
        jobs = sorted({job.name for job in self._app.jobs.values() if job.queue in self._orders.queues})
        queues = [
            f"{queue} ({cluster.partitions[topic]} partitions)" for topic, queue in self._topics.items()
        ]
        changed = [f"{name} from {source}" for name, source in sorted(settings.sources.items())]
        facts = {
            "kafka": settings.bootstrap_servers + (", built in: NOTHING IS KEPT" if cluster.embedded else ""),
            "group": f"{settings.group} ({self._protocol})",
            "queues": ", ".join(queues),
            "delayed": f"indexes in {self._stores.describe()}",
            "slots": f"{settings.threads} threads, {settings.async_slots} async",
            "jobs": ", ".join(jobs) or "none for these queues",
            "settings": ", ".join(changed) or "all default",
        }
        log.info(
            "kjobs %s, Python %s, worker %s",
            __version__,
            platform.python_version(),
            self._name,
            extra={"event": "worker.starting", **{f"worker_{name}": text for name, text in facts.items()}},
        )
        for name, text in facts.items():
            log.info("  %-9s%s", name, text, extra={"event": "worker.starting"})

    def _announce(self) -> None:
        """Say once that the worker is ready: its partitions are its own by the group's word."""
        partitions = self._scheduler.partitions
        if not self._consumer.joined or not all(partition.open for partition in partitions.values()):
            return
        if not partitions and time.monotonic() - self._begun < _PATIENCE:
            return
        self._ready = True
        what = spelled(partitions) if partitions else "no partitions: other workers have them all"
        log.info("worker ready: %s", what, extra={"event": "worker.ready", "partitions": len(partitions)})
        events.emit(events.WorkerReady())


def _give_up() -> None:
    """The group could not be left in time: the broker is away."""
    sys.stderr.write("kjobs: leaving the group took too long; ending without it\n")
    os._exit(2)
