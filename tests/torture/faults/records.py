"""Records that are no calls, or not such as the worker knows (F22 to F25)."""

from __future__ import annotations

import time

from tests.kafka import damage
from tests.kafka.poison import POISON
from tests.proof import history as h
from tests.torture.faults.fault import Fault
from tests.torture.plan import Row

#: Bytes of a value that no client unpacks: more than 100 MB.
_TOO_MUCH = 120_000_000


class _Strange(Fault):
    """A fault that is a record in some partition of some queue."""

    def place(self) -> h.Place:
        queue = self.one_of(("orders", "mail", "vault"))
        place = self.one_of(self.stage.broker.places(self.stage.app.names.queue(queue)))
        self.where = f"{place[0]}[{place[1]}]"
        return place


class F22(_Strange):
    row = Row(
        name="F22",
        title="records that cannot be decoded: bytes, nothing, broken JSON, odd headers",
        gap=(3.0, 10.0),
    )

    def inject(self) -> None:
        place = self.place()
        names = sorted(POISON)
        first = int(self.order.draw * 1000)
        for step in range(4):
            poison = POISON[names[(first + step * 7) % len(names)]]
            self.stage.hand.write(place, poison.value, poison.key, poison.headers)


class F24(_Strange):
    row = Row(
        name="F24",
        title="calls of jobs that no worker knows",
        gap=(5.0, 15.0),
    )

    def inject(self) -> None:
        place = self.place()
        for job in ("act.later", "os.system", "__main__.act", "act\0"):
            self.stage.hand.write_call(place, job, ["ok"])


class F25(_Strange):
    row = Row(
        name="F25",
        title="calls as another version of the program would make them: other arguments, another format",
        gap=(5.0, 15.0),
    )

    def inject(self) -> None:
        place = self.place()
        self.stage.hand.write_call(place, "act", ["ok", 0.0, "more"])
        self.stage.hand.write_call(place, "act", [], kwargs={"renamed": 1})
        self.stage.hand.write_call(place, "act", ["ok"], v=2)
        self.stage.hand.write_call(place, "act", ["ok"], another="field")


class F23(_Strange):
    row = Row(
        name="F23",
        title="a batch that no client can read: it unpacks to more than is taken",
        gap=(8.0, 25.0),
    )

    def inject(self) -> None:
        place = self.place()
        leader = self.stage.cluster.nodes[self.stage.broker.leader(place)]
        first = damage.produce(leader.bootstrap, place, damage.bomb([_TOO_MUCH]))
        # Its record is as good as gone; who comes to it has to say so.
        self.tell(h.GapInjected(time.monotonic(), place=place, first=first, after=first + 1))


FAULTS = (F22, F23, F24, F25)
