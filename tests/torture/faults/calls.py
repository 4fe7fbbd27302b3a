"""Calls that do harm: they crash, hold the interpreter, pile up (F7, F19, F20, F34, F36)."""

from __future__ import annotations

from tests.torture.faults.fault import Fault
from tests.torture.plan import Row


class F7(Fault):
    row = Row(
        name="F7",
        title="a call holds the interpreter, or does not heed its time limit",
        variants=("hog", "sleep", "sleep"),
        gap=(8.0, 25.0),
    )

    def inject(self) -> None:
        queue = self.one_of(("orders", "mail"))
        self.where = queue
        job = "act" if self.order.variant == "hog" else "hurry"
        key = self.stage.hand.fresh()
        self.stage.hand.enqueue(queue, f"once-{self.order.variant} ok", job=job, key=key)
        self.stage.hand.enqueue(queue, "ok", key=key)


class F19(Fault):
    row = Row(
        name="F19",
        title="poison: calls that crash their process, or end with odd errors",
        gap=(3.0, 10.0),
    )
    _APART = ("segv", "exit0 ok", "exit1", "once-kill ok", "exit ok", "interrupt ok", "huge", "loud")
    _HERE = ("exit ok", "interrupt fail", "huge", "loud", "once-kill ok", "exit0", "kill", "once-segv ok")

    def inject(self) -> None:
        hand = self.stage.hand
        key = hand.fresh()
        hand.enqueue("media", self.one_of(self._APART), job="press", key=key)
        hand.enqueue("media", "ok", job="press", key=key)
        queue = self.one_of(("orders", "mail"))
        self.where = queue
        key = hand.fresh()
        hand.enqueue(queue, self.one_of(self._HERE), key=key)
        hand.enqueue(queue, "ok", key=key)


class F20(Fault):
    row = Row(
        name="F20",
        title="several calls one after the other end the process that runs them",
        gap=(15.0, 40.0),
    )

    def inject(self) -> None:
        queue = self.one_of(("orders", "mail", "vault"))
        self.where = queue
        for _ in range(4):
            self.stage.hand.enqueue(queue, "once-exit1 ok", key=self.stage.hand.fresh())


class F34(Fault):
    row = Row(
        name="F34",
        title="so many separate calls wait for a retry that a commit's metadata cannot hold them",
        gap=(30.0, 60.0),
    )
    _CALLS = 1600

    def inject(self) -> None:
        queue = self.one_of(("orders", "mail"))
        places = self.stage.broker.places(self.stage.app.names.queue(queue))
        place = self.one_of(places)
        self.where = f"{place[0]}[{place[1]}]"
        self.stage.hand.write_calls(place, "act", [["soon ok"], ["ok"]] * (self._CALLS // 2))


class F36(Fault):
    row = Row(
        name="F36",
        title="a backlog, of one hot key or of none",
        variants=("key", "none"),
        gap=(15.0, 40.0),
    )
    _CALLS = 3000

    def inject(self) -> None:
        queue = self.one_of(("orders", "mail", "vault"))
        key = self.stage.hand.fresh() if self.order.variant == "key" else None
        self.where = queue
        self.stage.hand.enqueue_many(queue, ["ok"] * self._CALLS, key=key)


FAULTS = (F7, F19, F20, F34, F36)
