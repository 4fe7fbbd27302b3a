"""When an answer about a call that came from the queue may be given."""

from __future__ import annotations

from kjobs.core.certainty import Pending, answered, certain
from kjobs.core.commands import Answer
from kjobs.core.deferred import Verdict
from kjobs.core.partition import Partition
from tests.core.record import FakeRecord

PLACE = ("q", 0)


def test_only_a_commit_that_tells_of_the_call_makes_it_certain() -> None:
    partition = Partition(PLACE, 0, None, "")
    for entry in partition.feed([FakeRecord(0), FakeRecord(1)]):
        if entry.offset == 1:
            waiting = entry
    assert answered(partition, Pending("r", Verdict.CANCELLED, source=1)) == []
    partition.snapshot()
    assert certain(partition, partition.snapshots) == [], "it is not finished"
    partition.finish(waiting)
    assert certain(partition, partition.snapshots) == [], "it was not finished when that was written"
    partition.snapshot()
    assert certain(partition, -1) == [], "it did not fit into the commit"
    told = Answer(PLACE, "r", Verdict.CANCELLED)
    assert certain(partition, partition.snapshots) == [told]
    assert certain(partition, partition.snapshots) == []


def test_it_is_certain_once_the_commit_has_passed_it() -> None:
    partition = Partition(PLACE, 0, None, "")
    partition.committed = 2
    told = Answer(PLACE, "r", Verdict.CANCELLED)
    assert answered(partition, Pending("r", Verdict.CANCELLED, source=1)) == [told]
