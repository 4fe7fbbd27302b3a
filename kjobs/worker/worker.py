"""A worker process: puts the parts together, joins the group, runs until it is told to stop."""

from __future__ import annotations

import gc
import logging
import os
import platform
import random
import socket
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial

from .. import __version__, events
from ..app import App
from ..config import Settings
from ..connect import delayed_group, open_cluster, open_producer
from ..core.buffer import Bounds
from ..core.commits import Rhythm
from ..core.duration import spoken
from ..core.hotkeys import hot_keys
from ..core.scheduler import Scheduler
from ..deferred.keeper import Keeper
from ..deferred.opener import opener
from ..errors import BrokerError, ConfigError
from ..health.presence import Presence
from ..health.process import Process, Vitals
from ..kafka.client import consumer_options
from ..kafka.consumer import Consumer
from ..kafka.survey import surveyed
from ..kafka.tail import Tail
from ..supervisor.messages import Beat
from .burial import Burial
from .clock import Clock
from .crowds import crowds
from .executor import Executor
from .failpoint import Failpoint, failpoint
from .invoke import Invoker
from .isolation.cells import Cells
from .isolation.outside import isolated
from .link import Link
from .loop import Loop
from .report import Report, spelled
from .resident import resident
from .saves import Saves
from .signs import Signs
from .turns import Turns
from .turnstile import Turnstile

log = logging.getLogger("kjobs.worker")

#: Seconds after which a worker without partitions says that it is ready all the same.
_PATIENCE = 5.0
#: Seconds between two looks whether a burst is over.
_BURST_LOOK = 0.1
#: Seconds between two signs of life.
_SIGN_EVERY = 1.0
#: Seconds that leaving the group may take before the process ends without it.
_LEAVING = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a worker is to do.

    Attributes:
        queues: the queues it takes calls from, each with its weight: how often it has its turn.
        burst: stop when there is nothing left to do.
        max_calls: stop after so many attempts; None for no end.
    """

    queues: Mapping[str, int]
    burst: bool = False
    max_calls: int | None = None


class Worker:
    """One worker process of an app.

    Args:
        app: whose jobs it runs.
        orders: what it is to do.
        link: to its supervisor; None if it has none.
        cells: the processes for calls of isolated jobs; none is begun without one.
    """

    def __init__(self, app: App, orders: Orders, link: Link | None, cells: Cells) -> None:
        if not orders.queues:
            raise ConfigError("a worker needs at least one queue")
        self._app = app
        self._orders = orders
        self._settings: Settings = app.settings
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._topics = {app.names.queue(app.check_queue(queue)): queue for queue in orders.queues}
        self._link = link
        self._cells = cells
        self._signs = Signs(self.stop)
        self._quiet = False
        self._told_to_stop = False
        self._stop_by = float("inf")
        self._presence = Presence()
        self._told_at = float("-inf")
        self._looked_at = 0.0
        self._ready = False
        self._begun = time.monotonic()

    # --- putting it together -------------------------------------------------------------------------

    def _build(self) -> None:
        settings, app = self._settings, self._app
        cluster = self._cluster = open_cluster(settings)
        cluster.ensure(list(self._orders.queues), create=settings.create_topics)
        protocol = settings.group_protocol or ("consumer" if cluster.embedded else "classic")
        session = settings.session_timeout
        if protocol == "consumer":
            session = cluster.admin.session_timeout(settings.group) or session
        self._producer = open_producer(settings)
        clock = self._clock = Clock()
        self._report = Report(self._topics)
        self._scheduler = Scheduler(
            Bounds(settings.buffer, settings.buffer_size),
            Rhythm(lease=0.8 * session),
            attempts=self._orders.max_calls,
            lane_wait=settings.lane_wait,
        )
        turnstile = Turnstile()
        self._invoker = Invoker(
            app.jobs,
            app.middleware,
            queues=self._topics,
            now=clock.now,
            turnstile=turnstile,
            isolated=lambda context, policy: isolated(context, policy, self._cells, random.random),
        )
        self._executor = Executor(
            self._invoker.run,
            slots=settings.threads,
            async_slots=settings.async_slots,
            turnstile=turnstile,
            turns=self._turns(),
        )
        burial = Burial(
            self._producer,
            {topic: app.names.dead(queue) for topic, queue in self._topics.items()},
            group=settings.group,
            worker=self._name,
            version=__version__,
            told=self._executor.tell,
        )
        saves = Saves(self._executor.tell)
        self._stores = opener(settings)
        self._stores.check()
        self._keeper = Keeper(
            producer=self._producer,
            tail=Tail(
                settings.bootstrap_servers,
                settings.kafka,
                group=delayed_group(settings.group),
                embedded=cluster.embedded,
                on_unreadable=self._report.unreadable,
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
            saves=saves,
            limits=self._invoker.limits,
            overtime=self._invoker.overtime,
            report=self._report,
            clock=clock,
            revoke_grace=settings.revoke_grace,
            stop_by=lambda: self._stop_by,
            pulse=self._pulse,
        )
        options = consumer_options(
            settings.bootstrap_servers,
            settings.group,
            settings.kafka,
            protocol=protocol,
            session_timeout=settings.session_timeout,
            buffer=settings.buffer,
            embedded=cluster.embedded,
            instance=self._instance(),
        )
        self._consumer = Consumer(
            options,
            cluster.admin,
            listener=self._loop.hear,
            on_revoke=self._loop.revoke,
            on_resume=self._report.resumed,
            on_unreadable=self._report.unreadable,
            position=self._loop.position,
            survey=partial(surveyed, settings.bootstrap_servers, settings.kafka),
        )
        self._loop.attach(self._consumer)
        self._protocol = protocol

    def _turns(self) -> Turns | None:
        """What queues take turns in, if there are several."""
        weights = self._orders.queues
        if len(weights) < 2:
            return None
        return Turns({topic: weights[queue] for topic, queue in self._topics.items()})

    def _instance(self) -> str | None:
        """Its name as a static member of the group."""
        name = self._settings.instance
        return name if name is None or self._link is None else f"{name}-{self._link.seat}"

    # --- running -------------------------------------------------------------------------------------

    def run(self) -> int:
        """Work until stopped; the exit code: 0 in order, 1 error, 2 forced.

        Raises:
            KjobsError: it could not begin.
        """
        self._signs.catch()
        try:
            if self._link is not None:
                self._link.hello(self._settings)
            else:
                self._presence.open(self._settings.health, self._settings.watchdog)
            self._build()
            return self._run()
        finally:
            self._signs.let_go()
            self._presence.close()

    def _run(self) -> int:
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
        try:
            if not self._told_to_stop:
                self._consumer.subscribe(sorted(self._topics))
            while not (self._told_to_stop or self._loop.spoiled or self._finished()):
                self._loop.step()
                if not self._ready:
                    self._announce()
            self._begin_to_stop()
            while self._loop.busy() and time.monotonic() < self._stop_by:
                self._loop.step()
            self._settle()
            return self._leave()
        except BrokerError as error:
            log.error("%s", error, extra={"event": "worker.failed"})
            return 1

    def _pulse(self) -> None:
        """Do what signals and the supervisor ask for. Called often, in the owner thread."""
        signs, link = self._signs, self._link
        now = time.monotonic()
        if now - self._told_at >= _SIGN_EVERY:
            self._told_at = now
            self._give_sign()
        if link is not None and link.lost and not self._told_to_stop:
            log.error("the supervisor is gone: stopping", extra={"event": "worker.orphaned"})
            self.stop()
        if signs.quiet and not self._quiet:
            self._quiet = True
            log.info("quiet: no more calls begin", extra={"event": "worker.quiet"})
            self._loop.stop()
        if signs.dump:
            signs.dump = False
            self._report.running(self._loop.running())
            self._report.hot(hot_keys(self._scheduler.partitions.values()))

    def _give_sign(self) -> None:
        """Tell the supervisor, or those it would tell, how this process does."""
        scheduler = self._scheduler
        partitions = scheduler.partitions.values()
        vitals = Vitals(
            partitions=len(partitions),
            opening=sum(not partition.open for partition in partitions),
            leased=scheduler.leased(self._clock.now()),
            running=sum(partition.out for partition in partitions),
            held=scheduler.held,
            quiet=self._quiet or self._told_to_stop,
            # Nobody can see them otherwise.
            hot_keys=crowds(hot_keys(partitions)) if self._settings.health is not None else (),
        )
        calls, size = self._report.totals.calls, resident()
        if self._link is not None:
            self._link.beat(Beat(calls, size, vitals))
            return
        state = "stopping" if self._told_to_stop else "ready" if self._ready else "beginning"
        self._presence.tell(
            [
                Process(
                    number=0,
                    pid=os.getpid(),
                    state=state,
                    ready=self._ready and not self._told_to_stop,
                    silent=0.0,
                    failures=0,
                    calls=calls,
                    size=size,
                    vitals=vitals,
                )
            ]
        )

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
        until = min(self._stop_by, time.monotonic() + _LEAVING)
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
        self._cells.close()
        self._producer.close(_LEAVING / 2)
        self._app.close()
        watch.cancel()
        return 2 if abandoned else 1 if self._loop.spoiled else 0

    def stop(self) -> None:
        """Stop as by SIGTERM; from any thread."""
        if not self._told_to_stop:
            # The grace period begins now, also if the owner is busy giving partitions back.
            self._stop_by = time.monotonic() + self._settings.grace
            self._told_to_stop = True
            self._presence.stopping()

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
            "slots": f"{settings.threads} threads, {settings.async_slots} async"
            + ("" if self._link is None else ", in each process"),
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
        for name, text in facts.items() if self._link is None or self._link.seat == 0 else ():
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
        extra = {"event": "worker.ready", "partitions": len(partitions)}
        if self._link is None:
            log.info("worker ready: %s", what, extra=extra)
        else:
            log.info("at work: %s", what, extra=extra)  # the supervisor says when all are
            self._give_sign()
            self._link.ready(len(partitions))
        events.emit(events.WorkerReady())


def _give_up() -> None:
    """The group could not be left in time: the broker is away."""
    sys.stderr.write("kjobs: leaving the group took too long; ending without it\n")
    os._exit(2)
