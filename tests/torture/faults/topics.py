"""What is done to topics and groups: made anew, larger, cut, forgotten (F30 to F33, F35).

These take calls away, or double them, by their nature. So each has a queue of its own, and the history is
told exactly what was done.
"""

from __future__ import annotations

import time

from confluent_kafka import KafkaException

from tests.kafka.dump import dead_logged, logged
from tests.patience import until
from tests.proof import history as h
from tests.torture.faults.fault import BROKERS, Fault, Missed
from tests.torture.plan import Row

_PATIENCE = 20.0


class F30(Fault):
    row = Row(
        name="F30",
        title="a queue's topic is deleted, and made anew with more in it than before",
        gap=(30.0, 60.0),
    )
    _QUEUE = "anew"

    def inject(self) -> None:
        self.claim(BROKERS, f"queue:{self._QUEUE}")
        stage, topic = self.stage, self.stage.app.names.queue(self._QUEUE)
        self.where = topic
        try:
            stage.hand.enqueue_many(self._QUEUE, ["ok"] * 20, key=stage.hand.fresh())
            places = stage.broker.places(topic)
            self.tell(*(logged(record) for record in stage.broker.records(places, _PATIENCE)))
            stage.broker.delete(topic)
            stage.renewed(topic)
            stage.create_queue_topic(self._QUEUE)
            stage.hand.enqueue_many(self._QUEUE, ["ok"] * 60, key=stage.hand.fresh())
        except (AssertionError, KafkaException) as error:
            raise Missed(str(error)) from None

    def heal(self) -> None:
        self.stage.create_queue_topic(self._QUEUE)


class F31(Fault):
    row = Row(
        name="F31",
        title="a queue's topics are given more partitions; its calls have no keys",
        gap=(30.0, 60.0),
    )
    _QUEUE = "growing"
    _MOST = 12

    def inject(self) -> None:
        self.claim(BROKERS, f"queue:{self._QUEUE}")
        self.where = self._QUEUE
        names = self.stage.app.names
        topics = [names.queue(self._QUEUE), names.delayed(self._QUEUE), names.dead(self._QUEUE)]
        try:
            count = len(self.stage.broker.places(topics[0])) + 1
            if count > self._MOST:
                raise Missed("it is large enough")
            self.stage.broker.enlarge(topics[1:] + topics[:1], count)
            self.stage.tail.follow((topics[1], count - 1))
        except (AssertionError, KafkaException) as error:
            raise Missed(str(error)) from None


class F32(Fault):
    row = Row(
        name="F32",
        title="retention takes records that were not read yet",
        gap=(20.0, 60.0),
        seconds=(1.0, 3.0),
    )
    _QUEUE = "trimmed"

    def inject(self) -> None:
        self.claim(BROKERS, f"queue:{self._QUEUE}", "crew:w4")
        stage = self.stage
        place = self.one_of(stage.broker.places(stage.app.names.queue(self._QUEUE)))
        self.where = f"{place[0]}[{place[1]}]"
        stage.crews.term("w4")
        try:
            stage.hand.write_calls(place, "act", [["ok"]] * 40)
            starts, ends = stage.broker.starts([place]), stage.broker.ends([place])
            before = ends[place] - 15
            if before <= starts[place]:
                raise Missed("there is nothing to delete")
            stage.broker.delete_records(place, before)
            self.tell(h.GapInjected(time.monotonic(), place=place, first=starts[place], after=before))
        except (AssertionError, KafkaException) as error:
            raise Missed(str(error)) from None

    def heal(self) -> None:
        self.stage.crews.keep("w4")


class F33(Fault):
    row = Row(
        name="F33",
        title="a group is deleted, with everything it has committed",
        gap=(40.0, 90.0),
        seconds=(1.0, 3.0),
    )
    _QUEUE, _CREW = "forgotten", "w5"

    def inject(self) -> None:
        self.claim(BROKERS, f"queue:{self._QUEUE}", f"crew:{self._CREW}")
        stage = self.stage
        crew = stage.crews.crews[self._CREW]
        self.where = crew.group
        stage.crews.term(self._CREW)
        try:
            places = stage.broker.places(stage.app.names.queue(self._QUEUE))
            until(lambda: not stage.desk.lives(crew=self._CREW), "the crew is gone", seconds=_PATIENCE)
            until(lambda: not stage.broker.members(crew.group), "the group is empty", seconds=_PATIENCE)
            starts = stage.broker.starts(places)
            stage.broker.delete_group(crew.group)
        except (AssertionError, KafkaException) as error:
            raise Missed(str(error)) from None
        now = time.monotonic()
        self.tell(*(h.OffsetsReset(now, place=place, offset=starts[place]) for place in places))

    def heal(self) -> None:
        self.stage.crews.keep(self._CREW)


class F35(Fault):
    row = Row(
        name="F35",
        title="a dead letter topic is missing for a while",
        gap=(20.0, 60.0),
        seconds=(2.0, 6.0),
    )
    _QUEUE = "anew"

    def inject(self) -> None:
        self.claim(BROKERS, f"queue:{self._QUEUE}")
        stage = self.stage
        topic = stage.app.names.dead(self._QUEUE)
        self.where = topic
        try:
            # Nobody else writes to it: whatever was in it when it was looked at is all of it.
            until(lambda: not stage.unfinished(self._QUEUE), f"{self._QUEUE} is finished", seconds=_PATIENCE)
            places = stage.broker.places(topic)
            self.tell(*(dead_logged(record) for record in stage.broker.records(places, _PATIENCE)))
            stage.broker.delete(topic)
        except (AssertionError, KafkaException) as error:
            raise Missed(str(error)) from None
        key = stage.hand.fresh()
        stage.hand.enqueue(self._QUEUE, "dead", key=key)
        stage.hand.enqueue(self._QUEUE, "ok", key=key)

    def heal(self) -> None:
        self.stage.create_dead_topic(self._QUEUE)


FAULTS = (F30, F31, F32, F33, F35)
