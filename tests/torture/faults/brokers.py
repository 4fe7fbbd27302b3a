"""What happens to brokers (F9 to F12, F15, F16)."""

from __future__ import annotations

import resource
import time

from confluent_kafka import KafkaException

from tests.servers.failure import StartError
from tests.servers.kafka import Kafka
from tests.torture.cluster import START_SECONDS
from tests.torture.faults.fault import BROKERS, Fault, Missed
from tests.torture.plan import Row

#: Seconds that clients may need to find a broker again that is back.
_SETTLE = 3.0


class _Broken(Fault):
    """A fault of one broker."""

    def take(self, node: int) -> Kafka:
        self.where = f"broker {node}"
        self.kafka = self.stage.cluster.nodes[node]
        if not self.kafka.runs:
            raise Missed("it does not run")
        self.outage()
        return self.kafka

    def heal(self) -> None:
        if not self.kafka.runs:
            self.kafka.kill()
            self.kafka.launch()
        try:
            self.kafka.await_ready(START_SECONDS)
        except StartError:
            # On a busy machine its port, or its place in the quorum, may be free a moment later only.
            self.kafka.launch()
            self.kafka.await_ready(START_SECONDS)
        time.sleep(_SETTLE)
        self.outage_ends()

    def any_node(self) -> int:
        return self.one_of(sorted(self.stage.cluster.nodes))


class F9(_Broken):
    row = Row(
        name="F9",
        title="a broker is killed, and comes back",
        gap=(25.0, 60.0),
        seconds=(0.5, 4.0),
    )

    def inject(self) -> None:
        self.claim(BROKERS)
        self.take(self.any_node()).kill()


class F10(_Broken):
    row = Row(
        name="F10",
        title="a partition's leader, or the controller, is killed; a broker is restarted in order",
        variants=("leader", "controller", "bounce"),
        gap=(20.0, 40.0),
        seconds=(2.0, 8.0),
        nodes=3,
    )

    def inject(self) -> None:
        self.claim(BROKERS)
        node = {"leader": self._leader, "controller": self._controller, "bounce": self.any_node}
        kafka = self.take(node[self.order.variant]())
        if self.order.variant == "bounce":
            kafka.stop()
        else:
            kafka.kill()

    def _leader(self) -> int:
        try:
            return self.stage.broker.leader((self.stage.app.names.queue("orders"), 0))
        except (AssertionError, KafkaException) as error:
            raise Missed(str(error)) from None

    def _controller(self) -> int:
        try:
            return self.stage.broker.controller()
        except (AssertionError, KafkaException) as error:
            raise Missed(str(error)) from None


class F11(_Broken):
    row = Row(
        name="F11",
        title="a broker is stopped in its tracks, and goes on",
        gap=(12.0, 30.0),
        seconds=(1.0, 8.0),
    )

    def inject(self) -> None:
        self.claim(BROKERS)
        self.take(self.any_node()).pause()

    def heal(self) -> None:
        self.kafka.resume()
        super().heal()


class F12(_Broken):
    row = Row(
        name="F12",
        title="the broker that coordinates the group is killed: another one takes over",
        gap=(20.0, 40.0),
        seconds=(2.0, 8.0),
        nodes=3,
    )

    def inject(self) -> None:
        self.claim(BROKERS)
        try:
            node = self.stage.broker.coordinator("main")
        except (AssertionError, KafkaException) as error:
            raise Missed(str(error)) from None
        self.take(node).kill()


class F15(_Broken):
    row = Row(
        name="F15",
        title="there are not enough replicas in sync: nothing can be written",
        gap=(30.0, 60.0),
        seconds=(3.0, 10.0),
        nodes=3,
    )

    def inject(self) -> None:
        self.claim(BROKERS)
        kafka = self.take(self.any_node())
        self._set("3")
        kafka.kill()

    def heal(self) -> None:
        self._set("2")
        super().heal()

    def _set(self, replicas: str) -> None:
        topics = [
            topic for topic in self.stage.broker.topics() if topic.startswith(self.stage.app.names.prefix)
        ]
        try:
            self.stage.broker.set_topics(topics, {"min.insync.replicas": replicas})
        except KafkaException as error:
            raise Missed(str(error)) from None


class F16(_Broken):
    row = Row(
        name="F16",
        title="a broker's disk is full: it ends, and comes back when there is room",
        gap=(30.0, 60.0),
        seconds=(2.0, 6.0),
    )

    def inject(self) -> None:
        self.claim(BROKERS)
        kafka = self.take(self.any_node())
        # For this process no file may grow beyond that: a write fails, as it does on a full disk.
        resource.prlimit(kafka.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))

    def heal(self) -> None:
        self.kafka.kill()  # if nothing was to be written meanwhile, it has not noticed
        super().heal()


FAULTS = (F9, F10, F11, F12, F15, F16)
