"""A shell whose deferred store is played by hand: the test says when a write is acknowledged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from kjobs.core.commands import Answer, Command, Defer, Erase, FetchLane, Release
from kjobs.core.deferred import QUEUED, Rank, Row, Verdict
from kjobs.core.events import Deferred, Due, Erased, LaneDue, LaneFetched, NotDeferred, NotErased, Place
from kjobs.core.outcome import Failed, Snoozed
from kjobs.core.partition import Entry
from kjobs.core.policy import Backoff, Policy
from kjobs.core.ports import LaneHead
from tests.core.shell import HERE, START, Label, Shell

#: An hour, which is too long to be waited for in memory.
LONG = 3600.0

PATIENT = Policy(retries=3, backoff=Backoff(base=LONG, factor=2, cap="1d", jitter="none"))
PATIENT_RELAXED = Policy(
    retries=3, backoff=Backoff(base=LONG, factor=2, cap="1d", jitter="none"), order="relaxed"
)


def later(policy: Policy = PATIENT) -> Failed:
    """An attempt that raised, of a job whose retries wait in the store."""
    return Failed(ValueError("no"), policy, 0.5)


def asleep(policy: Policy = PATIENT) -> Snoozed:
    """An attempt that ended in a wish to be run again after an hour."""
    return Snoozed(LONG, policy)


def queued(offset: int, place: Place = HERE) -> str:
    """The record key of a call without an id that came from the queue."""
    return f"{place[0]}-{place[1]}-{offset}@{offset}"


class StoreShell(Shell):
    """A shell with a store.

    Attributes:
        kept: what the store has, by record key, as far as it was acknowledged.
        orders: writes that were commanded and not answered yet.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"chain": 1, **options})
        self.kept: dict[str, Row] = {}
        self._end = 500

    # --- calls in the store ------------------------------------------------------------------------

    def put_in(
        self,
        name: str,
        key: str | None = None,
        *,
        due: float | None = None,
        rank: Rank | int | None = None,
        **more: Any,
    ) -> Row:
        """Let the store have a call; ``rank``: an offset is that of a call which came from the queue."""
        row = Row(
            id=name,
            value=b'{"job":"j"}',
            due_ms=int((self.now if due is None else due) * 1000),
            key=None if key is None else key.encode(),
            rank=(rank, QUEUED) if isinstance(rank, int) else rank,
            since_ms=int(self.now * 1000),
            offset=self._new_offset(),
            **more,
        )
        self.kept[name] = row
        return row

    def _new_offset(self) -> int:
        self._end += 1
        return self._end

    # --- the store tells ---------------------------------------------------------------------------

    def due(self, *names: str, end: int = 0, place: Place = HERE) -> list[Command]:
        """Tell that calls without a place are due; the queue's log ends at ``end``."""
        return self.tell(Due(place, [self.kept[name] for name in names], end))

    def lane_due(self, key: str, needs: int = 0) -> list[Command]:
        """Tell that the head of a lane is due."""
        return self.tell(LaneDue(HERE, key.encode(), needs))

    def give(self, key: str, *names: str, head: LaneHead | None = None) -> list[Command]:
        """Answer that these are the next calls of a lane, or its head."""
        return self.tell(LaneFetched(HERE, key.encode(), [self.kept[name] for name in names], head))

    @property
    def orders(self) -> list[Defer | Erase]:
        """Writes that were commanded and not answered yet."""
        return [command for command in self.heard if isinstance(command, Defer | Erase)]

    @property
    def deferring(self) -> list[Label]:
        """The record keys of what is being written, in that order."""
        return [row_in(order).id for order in self.orders if isinstance(order, Defer)]

    @property
    def erasing(self) -> list[Label]:
        """The record keys of what is being erased, in that order."""
        return [erased(order.entry).id for order in self.orders if isinstance(order, Erase)]

    def acknowledge(self, count: int = 10_000) -> list[Command]:
        """Let the log acknowledge the first writes that were commanded."""
        events: list[Deferred | Erased] = []
        for order in self._answered(count):
            if isinstance(order, Defer):
                row = msgspec.structs.replace(row_in(order), offset=self._new_offset())
                self.kept[row.id] = row
                events.append(Deferred(order.entry))
            else:
                self.kept.pop(erased(order.entry).id, None)
                events.append(Erased(order.entry))
        return self.tell(*events)

    def refuse(self, count: int = 10_000) -> list[Command]:
        """Let the log refuse the first writes that were commanded."""
        return self.tell(
            *(
                NotDeferred(order.entry) if isinstance(order, Defer) else NotErased(order.entry)
                for order in self._answered(count)
            )
        )

    def _answered(self, count: int) -> Sequence[Defer | Erase]:
        answered = self.orders[:count]
        self.heard = [command for command in self.heard if not any(command is one for one in answered)]
        return answered

    # --- what the scheduler asks of it ---------------------------------------------------------------

    @property
    def asked(self) -> list[tuple[str, int]]:
        """Lanes that were asked for since this was last looked at, each with how far the queue was read."""
        return [(command.key.decode(), command.read) for command in self.take(FetchLane)]

    @property
    def released(self) -> list[int]:
        """Offsets of records that were released since this was last looked at."""
        return [offset for command in self.take(Release) for offset in command.offsets]

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """What was answered since this was last looked at."""
        return {command.request: command.verdict for command in self.take(Answer)}

    @property
    def in_store(self) -> set[str]:
        """Keys of which all later calls go to the store."""
        return {key.decode() for key in self.scheduler.partitions[HERE].stored.lanes}


def row_in(order: Defer) -> Row:
    """What a command puts into the store."""
    assert order.entry.deferral is not None
    return order.entry.deferral


def erased(entry: Entry) -> Row:
    """What a command takes out of the store."""
    assert entry.row is not None
    assert entry.ended
    return entry.row


def stored(**options: Any) -> StoreShell:
    """A shell that has a partition."""
    shell = StoreShell(**options)
    shell.assign()
    shell.now = START + 1
    return shell
