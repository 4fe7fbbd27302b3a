"""Worker processes are killed, frozen, told to stop, restarted, starved (F1 to F6, F8)."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from confluent_kafka import Consumer

from kjobs.worker.failpoint import Failpoint
from tests.patience import until
from tests.proof import history as h
from tests.torture.faults.fault import Fault
from tests.torture.plan import Row

#: Crews with a supervisor.
SUPERVISED = ("w1", "w2")


class F1(Fault):
    row = Row(
        name="F1",
        title="a worker is killed: one process, a supervisor, or in a named place of the code",
        variants=("process", "process", "supervisor", *(f"at {name}" for name in Failpoint)),
        gap=(2.0, 10.0),
        seconds=(0.5, 3.0),
    )

    def inject(self) -> None:
        if self.order.variant == "supervisor":
            self._crew = name = self.crew(*SUPERVISED)
            self.stage.crews.running[name].signal(signal.SIGKILL)
            return
        life = self.worker()
        self._crew = life.crew
        if self.order.variant == "process":
            os.kill(life.pid, signal.SIGKILL)
            return
        failpoint = self.order.variant.removeprefix("at ")
        passes = 1 + int(self.order.draw * 7) % 5
        self.stage.desk.tell(life, do="failpoint", text=f"{failpoint}:kill@{passes}")

    def heal(self) -> None:
        self.stage.crews.keep(self._crew)


class F2(Fault):
    row = Row(
        name="F2",
        title="a process that runs one isolated call is killed",
        gap=(2.0, 8.0),
    )

    def inject(self) -> None:
        life = self.one_of(self.stage.desk.lives("cell"))
        self.where = f"a cell of {life.inc}"
        with suppress(ProcessLookupError):
            os.kill(life.pid, signal.SIGKILL)


class F3(Fault):
    row = Row(
        name="F3",
        title="a worker is stopped in its tracks, for less or more than its session",
        variants=("half", "more", "long"),
        gap=(4.0, 12.0),
        seconds=(0.5, 1.5),
    )
    _FACTORS: ClassVar = {"half": 0.5, "more": 1.5, "long": 2.5}

    def inject(self) -> None:
        self._life = self.worker()
        os.kill(self._life.pid, signal.SIGSTOP)
        until(lambda: _state(self._life.pid) in "TZ", f"{self.where} stops in its tracks", seconds=5.0)
        self.tell(h.Frozen(time.monotonic(), self._life.inc))
        pause = self.stage.terms.session * self._FACTORS[self.order.variant] * self.order.seconds
        self.stage.later(pause, self._thaw)

    def _thaw(self) -> None:
        if any(
            life.pid == self._life.pid for life in self.stage.desk.lives()
        ):  # else its watchdog was faster
            self.tell(h.Thawed(time.monotonic(), self._life.inc))
        with suppress(ProcessLookupError):
            os.kill(self._life.pid, signal.SIGCONT)


class F4(Fault):
    row = Row(
        name="F4",
        title="a worker is told to stop: once, twice, by SIGINT; to be quiet; to say what it does",
        variants=("term", "term", "twice", "int", "quiet", "dump"),
        gap=(4.0, 15.0),
        seconds=(1.0, 6.0),
    )

    def inject(self) -> None:
        name = self.crew()
        worker = self.stage.crews.running[name]
        match self.order.variant:
            case "term":
                self.stage.crews.term(name)
            case "twice":
                self.stage.crews.term(name)
                self.stage.later(0.3, lambda: worker.signal(signal.SIGTERM))
            case "int":
                worker.signal(signal.SIGINT)
            case "quiet":
                worker.signal(signal.SIGTSTP)
            case "dump":
                worker.signal(signal.SIGUSR1)
                worker.signal(signal.SIGQUIT)

    def heal(self) -> None:
        if self.order.variant == "quiet":
            self.stage.crews.term(self.where)
        self.stage.crews.keep(self.where)


class F5(Fault):
    row = Row(
        name="F5",
        title="a rolling restart; a process more, and one less",
        variants=("hup", "hup", "more"),
        gap=(8.0, 25.0),
        seconds=(4.0, 10.0),
    )

    def inject(self) -> None:
        worker = self.stage.crews.running[self.crew(*SUPERVISED)]
        worker.signal(signal.SIGHUP if self.order.variant == "hup" else signal.SIGTTIN)

    def heal(self) -> None:
        if self.order.variant == "more":
            self.stage.crews.running[self.where].signal(signal.SIGTTOU)


class F6(Fault):
    row = Row(
        name="F6",
        title="a storm of rebalances: a bare consumer joins the group and leaves it, again and again",
        gap=(15.0, 40.0),
        seconds=(4.0, 12.0),
    )

    def inject(self) -> None:
        self.claim("storm")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="storm", daemon=True)
        self._thread.start()

    def heal(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        terms = self.stage.terms
        crew = self.stage.crews.crews["w1"]
        options = {
            "bootstrap.servers": self.stage.cluster.bootstrap,
            "group.id": crew.group,
            "enable.auto.commit": False,
            "group.protocol": terms.protocol,
        }
        if terms.protocol == "classic":
            options["partition.assignment.strategy"] = "cooperative-sticky"
            options["session.timeout.ms"] = 6000
        while not self._over.is_set():
            consumer = Consumer(options)
            consumer.subscribe([self.stage.app.names.queue(queue) for queue in crew.queues])
            ends = time.monotonic() + 1.0
            while time.monotonic() < ends and not self._over.is_set():
                consumer.poll(0.1)
            consumer.close()


class F8(Fault):
    row = Row(
        name="F8",
        title="the thread that polls Kafka stalls for longer than the poll interval allows",
        gap=(8.0, 25.0),
        seconds=(6.5, 7.5),
    )

    def inject(self) -> None:
        life = self.worker(*SUPERVISED)
        self.outage(life.inc)
        self.stage.desk.tell(life, do="stall", seconds=self.order.seconds)

    def heal(self) -> None:
        self.outage_ends()


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


FAULTS = (F1, F2, F3, F4, F5, F6, F8)
