"""One assigned partition: its unfinished calls, their lanes, and how far it may be committed.

A *lane* is the unfinished calls of one key, linked in log order by ``Entry.next``; only the head may
run. Calls without a key have no lane. The *watermark* is the offset below which everything is
finished: the first unfinished entry, or the next offset if there is none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import msgspec

from .checkpoint import LIMIT, Checkpoint, Trial, encode, fits, runs
from .deferred import Rank, Row
from .outcome import OK, Bury, Outcome
from .ports import Record, Saver
from .stored import Stored

if TYPE_CHECKING:
    from .suspicion import Suspicion

#: What no two running calls may share: the key, or what tells a call without one from all others.
Token = bytes | int | str

#: Finished calls behind an unfinished one, beyond as many as are not, after which they are let go.
_FINISHED = 1000


class Entry(msgspec.Struct, gc=False, eq=False, repr_omit_defaults=True):
    """An unfinished call. The scheduler owns it, but for the time a slot runs it: see ``Start``.

    Attributes:
        failures: failed attempts so far.
        crashes: times that its process crashed, if it has one of its own.
        due: do not start before this (epoch seconds); 0 for at once.
        next: the following call of the same key, if it was fetched already.
        more: whoever runs this entry goes on with ``next``, without asking.
        out: handed out to run, and not back yet.
        done: finished; the watermark may pass.
        outcome: how the last attempt ended; set by whoever ran it.
        burial: the order to bury it, once it was given.
        row: what the deferred store has of it, if it came from there, or has saved a state; while the first
            one is on its way, what is to be there, without an offset.
        rank: its place in the order of its key, if it came from the store and has one.
        deferral: what to put into the store, once that was ordered.
        ended: it is to be taken out of the store.
        loose: it has let its lane go on without it.
        counted: its lane, which is in the store, waits until it is written or erased.
        suspect: it may have ended the process of an earlier owner, and runs in one of its own.
        cancelled: the store has forgotten it, or has it for another time, by somebody's wish: it is not to be
            begun, or not to be tried again.
    """

    partition: Partition
    offset: int
    key: bytes | None
    record: Record
    size: int
    failures: int = 0
    due: float = 0.0
    next: Entry | None = None
    more: bool = False
    out: bool = False
    done: bool = False
    outcome: Outcome = OK
    burial: Bury | None = None
    row: Row | None = None
    rank: Rank | None = None
    deferral: Row | None = None
    ended: bool = False
    loose: bool = False
    counted: bool = False
    cancelled: bool = False
    crashes: int = 0
    suspect: bool = False

    def __repr__(self) -> str:
        topic, number = self.partition.place
        return f"Entry({topic}[{number}]@{self.offset}, key={self.key!r})"

    @property
    def token(self) -> Token:
        """The key; of a call without one its offset in the queue, or its id if an enqueuer delayed it."""
        if self.key is not None:
            return self.key
        return self.offset if self.row is None or self.row.source is not None else self.row.id

    @property
    def position(self) -> int:
        """Where it stands in the order of its key, as an offset of the queue."""
        return self.offset if self.rank is None else self.rank[0]

    def chain(self, calls: int) -> None:
        """Let whoever runs it go on with the calls behind it: so many in all."""
        entry, following = self, self.next
        for _ in range(1, calls):
            if following is None or following.due or following.row is not None:
                break
            entry.more = True
            entry, following = following, following.next
        entry.more = False


class Partition:
    """The scheduler's state of one assigned partition, from assignment to revocation.

    Attributes:
        epoch: how many times this partition was assigned in its group, this time included.
        confirmed: the group confirmed the assignment by acknowledging a commit.
        open: calls may begin: the assignment is confirmed, what waits in the deferred store is known, and
            nobody is taking the partition away.
        leaving: it is being taken away: nothing may begin any more.
        closed: it was taken away; what still runs of it no longer counts.
        next_offset: one past the last offset that was fetched.
        committed: the highest offset that the group is known to have.
        snapshots: how many snapshots were taken to be committed.
        whole: the number of the last one if it tells of everything, as when answers wait for that, or -1.
        count: unfinished calls.
        size: bytes of their values.
        fullness: how much of the metadata that a commit may have was used by the last one, up to 1.
        out: entries handed out to run whose outcome is not known yet.
        burying: entries whose dead letter is not acknowledged yet.
        stored: what is known of its calls in the deferred store.
        held: heads that may run once the partition is open.
        suspicion: what is known of it if an earlier owner left it without a word.
        saver: saves the states of calls that run; the shell's.
        locks: tokens of which a call of an earlier assignment still runs in this process, each with
            the entries that wait for it.
    """

    def __init__(
        self,
        place: tuple[str, int],
        offset: int,
        restored: Checkpoint | None,
        topic_id: str,
        metadata: int = LIMIT,
    ) -> None:
        self.place = place
        self.saver: Saver | None = None
        self._metadata = metadata
        self.topic_id = topic_id
        self.epoch = (restored.epoch if restored else 0) + 1
        self.confirmed = False
        self.open = False
        self.leaving = False
        self.closed = False
        self.paused = False
        self.next_offset = offset
        self.high = offset
        self.committed = 0
        self.snapshots = 0
        self.whole = -1
        self.count = 0
        self.size = 0
        self.fullness = 0.0
        self.out = 0
        self.burying = 0
        self.stored = Stored()
        self.stash_end = offset
        self.dirty = True
        self.order: deque[Entry] = deque()
        self.tails: dict[bytes, Entry] = {}
        self.trying: dict[int, Entry] = {}
        self.held: list[Entry] = []
        self.suspicion: Suspicion | None = None
        self.locks: dict[Token, list[Entry]] = {}
        self._unfinished: deque[tuple[int, int]] = deque()
        self._trials: dict[int, Trial] = {}
        self._restored_high = offset
        if restored is not None:
            self._unfinished.extend(restored.unfinished)
            self._trials = {trial.offset: trial for trial in restored.trials}
            self._restored_high = max(offset, restored.high)
            self.high = self._restored_high

    @property
    def may_open(self) -> bool:
        """Whether calls may begin."""
        return self.confirmed and self.stored.caught_up and not self.leaving

    @property
    def position(self) -> int:
        """One past the last offset that was taken in, be it to be looked at later."""
        stash = self.stored.stash
        return max(self.next_offset, self.stash_end, stash[-1].offset() + 1 if stash else 0)

    @property
    def handed_out(self) -> list[Entry]:
        """The entries that are handed out to run."""
        # One that runs and is finished here has passed to the store.
        queued = [entry for entry in self.order if entry.out and not entry.done]
        return [*queued, *(entry for entry in self.stored.rows.values() if entry.out)]

    @property
    def busy(self) -> bool:
        """Whether calls run, or are being written somewhere."""
        return bool(self.out or self.burying or self.stored.writes)

    # --- fetched ---------------------------------------------------------------------------------

    def feed(self, records: Sequence[Record]) -> list[Entry]:
        """Take in records in log order; return the entries that are now the head of their lane."""
        heads: list[Entry] = []
        order = self.order
        tails = self.tails
        upcoming = self.next_offset
        for record in records:
            offset = record.offset()
            if offset < upcoming:
                continue  # fetched again after a seek or a resume
            upcoming = offset + 1
            if offset < self._restored_high and self._finished_before(offset):
                self.dirty = True
                continue
            key = record.key()
            entry = Entry(self, offset, key, record, len(record))
            if self._trials:
                self._restore_trial(entry)
            order.append(entry)
            self.count += 1
            self.size += entry.size
            if key is None:
                heads.append(entry)
                continue
            tail = tails.get(key)
            tails[key] = entry
            if tail is None:
                heads.append(entry)
            else:
                tail.next = entry
        self.next_offset = upcoming
        return heads

    def stash(self, records: Sequence[Record]) -> None:
        """Keep records for later, because nobody knows yet what the deferred store has."""
        self.stored.stash += records
        self.count += len(records)
        self.size += sum(map(len, records))

    def unstash(self) -> tuple[Sequence[Record], int]:
        """The records that were kept, and the offset below which nothing else will come."""
        records, self.stored.stash = self.stored.stash, []
        self.count -= len(records)
        self.size -= sum(map(len, records))
        return records, self.stash_end

    def pass_over(self, offset: int) -> None:
        """The call at this offset is in the deferred store: here it is finished."""
        if offset >= self.next_offset:
            self.next_offset = offset + 1
            self.high = max(self.high, offset + 1)
            self._trials.pop(offset, None)
            self.dirty = True

    def take_in(self, record: Record) -> Entry | None:
        """Take in the next record, but leave it to the caller to put it into its lane.

        None if there is nothing to be done about it.
        """
        offset = record.offset()
        if offset < self.next_offset:
            return None
        self.next_offset = offset + 1
        if offset < self._restored_high and self._finished_before(offset):
            self.dirty = True
            return None
        entry = Entry(self, offset, record.key(), record, len(record))
        if self._trials:
            self._restore_trial(entry)
        self.order.append(entry)
        self.count += 1
        self.size += entry.size
        return entry

    def join_lane(self, entry: Entry) -> bool:
        """Put an entry at the end of its lane; True if it is its head, or has no lane."""
        if entry.key is None:
            return True
        tail = self.tails.get(entry.key)
        self.tails[entry.key] = entry
        if tail is None:
            return True
        tail.next = entry
        return False

    def cut_lane(self, last: Entry) -> list[Entry]:
        """Take out of a lane what is behind an entry; returns it."""
        assert last.key is not None
        head, last.next = last.next, None
        behind = self.clear_lane(last.key, head)
        self.tails[last.key] = last
        return behind

    def clear_lane(self, key: bytes, head: Entry | None) -> list[Entry]:
        """Take a lane apart from an entry on; returns what was in it from there on."""
        found: list[Entry] = []
        while head is not None:
            found.append(head)
            head.more = False
            head.next, head = None, head.next
        self.tails.pop(key, None)
        return found

    def skip_to(self, offset: int) -> None:
        """Nothing below ``offset`` will be fetched any more: it is the end, or retention took it."""
        if offset > self.next_offset:
            self.next_offset = offset
            self.dirty = True

    def _finished_before(self, offset: int) -> bool:
        """Whether the checkpoint says that this offset below its ``high`` was finished."""
        unfinished = self._unfinished
        while unfinished and sum(unfinished[0]) <= offset:
            unfinished.popleft()
        return not unfinished or offset < unfinished[0][0]

    def _restore_trial(self, entry: Entry) -> None:
        trial = self._trials.pop(entry.offset, None)
        if trial is not None:
            entry.failures, entry.crashes = trial.failures, trial.crashes
            entry.due = trial.due_ms / 1000
            self.trying[entry.offset] = entry

    # --- finished --------------------------------------------------------------------------------

    def finish(self, entry: Entry) -> Entry | None:
        """Mark a call finished; return the entry that is now the head of its lane, if any."""
        entry.done = True
        self.count -= 1
        self.size -= entry.size
        self.dirty = True
        if entry.offset >= self.high:
            self.high = entry.offset + 1
        if entry.due:
            self.trying.pop(entry.offset, None)
        return self.leave_lane(entry)

    def hand_over(self, entry: Entry) -> None:
        """The deferred store has a call that runs: in the queue it is finished, and its lane waits for it."""
        entry.done = True
        self.count -= 1
        self.size -= entry.size
        self.dirty = True
        self.high = max(self.high, entry.offset + 1)
        self.trying.pop(entry.offset, None)

    def leave_lane(self, entry: Entry) -> Entry | None:
        """Let the lane of its head go; return the new head, if any."""
        key = entry.key
        if key is None:
            return None
        following = entry.next
        if following is None:
            if self.tails.get(key) is entry:
                del self.tails[key]
        else:
            entry.next = None
        return following

    def retry(self, entry: Entry, due: float) -> None:
        """Remember, in the checkpoint too, that a call waits until ``due`` for another attempt."""
        entry.due = due
        if entry.row is None:
            self.dirty = True
            self.trying[entry.offset] = entry

    # --- committed -------------------------------------------------------------------------------

    def first(self) -> Entry | None:
        """The lowest unfinished call, if there is any."""
        order = self.order
        while order and order[0].done:
            order.popleft()
        return order[0] if order else None

    def watermark(self) -> int:
        """The offset below which everything is finished."""
        first = self.first()
        return self.next_offset if first is None else first.offset

    def snapshot(self, *, clean: bool = False) -> tuple[int, str]:
        """What to commit: the watermark, and the checkpoint of what is above it as metadata."""
        self.dirty = False
        watermark = self.watermark()
        if len(self.order) > 2 * self.count + _FINISHED:
            # A call that runs for long does not keep in memory all that have finished behind it.
            self.order = deque(entry for entry in self.order if not entry.done)
        high = max(self.high, watermark)
        running = runs(entry.offset for entry in self.order if not entry.done and entry.offset < high)
        # What the checkpoint knew and has not been fetched again yet is still to be told.
        ahead = _from(self.next_offset, self._unfinished)
        trials = chain(
            (Trial(e.offset, e.failures, int(e.due * 1000), e.crashes) for e in self.trying.values()),
            (trial for trial in self._trials.values() if trial.offset >= self.next_offset),
        )
        checkpoint = Checkpoint(
            high=high,
            unfinished=(*running, *ahead),
            trials=tuple(sorted(trials, key=lambda trial: trial.offset)),
            epoch=self.epoch,
            topic_id=self.topic_id,
            clean=clean,
            suspected=None if self.suspicion is None else self.suspicion.told(),
        )
        text = encode(watermark, checkpoint, self._metadata)
        self.fullness = len(text) / self._metadata
        self.snapshots += 1
        told = self.stored.pending and fits(watermark, checkpoint, self._metadata)
        self.whole = self.snapshots if told else -1
        return watermark, text


def _from(offset: int, stretches: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The parts of ascending runs at or above ``offset``."""
    for first, length in stretches:
        end = first + length
        if end > offset:
            start = max(first, offset)
            yield start, end - start
