"""The topics after a run, as a plain consumer reads them, partition by partition."""

from __future__ import annotations

from tests.kafka.broker import Broker
from tests.kafka.dump import dead_logged, final_commits, logged
from tests.proof.history import FinalCommit
from tests.torture.layout import CREWS, QUEUES
from tests.torture.shards import Shards

_PATIENCE = 120.0


def dump(broker: Broker, prefix: str, shards: Shards) -> int:
    """Add what the topics hold, and what the groups have committed, to the shards; returns the count."""
    groups = {queue: crew.group for crew in CREWS for queue in crew.queues}
    count = 0
    for queue in QUEUES:
        topic = f"{prefix}.{queue.name}"
        for place in broker.places(topic):
            for record in broker.records([place], _PATIENCE):
                shards.add(logged(record), place)
                count += 1
        for place in broker.places(f"{topic}.dead"):
            for record in broker.records([place], _PATIENCE):
                shards.add(dead_logged(record), place)
        for event in final_commits(broker, groups[queue.name], topic):
            assert isinstance(event, FinalCommit)
            shards.add(event, event.place)
    return count
