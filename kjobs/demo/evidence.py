"""What came of the demo: read from what its jobs wrote down, and from the dead letter queue."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..admin.deadletter import DeadLetter
from ..core.deferred import Verdict
from ..handle import Handle

#: Seconds after its time by which a delayed call has started at the latest.
_LATE = 1.0


@dataclass(frozen=True, slots=True)
class Promise:
    """A promise the demo shows: what it is, what was seen, and whether it was kept."""

    words: str
    seen: str
    kept: bool


@dataclass(frozen=True, slots=True)
class Reminders:
    """What was done about delayed calls.

    Attributes:
        kept: one that was to come.
        cancelled: one that was not, after all.
        waited: how many waited in the deferred store before that.
        verdict: what was answered to the wish to cancel it.
        answered: seconds until that.
    """

    kept: Handle
    cancelled: Handle
    waited: int
    verdict: Verdict
    answered: float


def read(diary: Path) -> list[dict[str, Any]]:
    """What the jobs wrote down, in the order in which they did."""
    if not diary.exists():
        return []
    return [json.loads(line) for line in diary.read_text(encoding="utf-8").splitlines()]


def judge(
    notes: Sequence[dict[str, Any]],
    dead: Sequence[DeadLetter],
    reminders: Reminders,
    *,
    users: int,
    versions: int,
    pictures: int,
) -> list[Promise]:
    """Compare what was done with what was enqueued."""
    by_job: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for note in notes:
        by_job[note["job"]].append(note)
    order: dict[str, list[int]] = defaultdict(list)
    for note in by_job["shop.update_profile"]:
        order[note["user"]].append(note["version"])
    in_order = [user for user, seen in order.items() if seen == list(range(1, versions + 1))]
    charges = by_job["shop.charge"]
    thumbnails = {note["picture"] for note in by_job["shop.thumbnail"]}
    letter = dead[0] if dead else None
    return [
        Promise(
            "order per key",
            f"{len(in_order)} of {users} users had their {versions} updates one after the other",
            len(in_order) == users,
        ),
        Promise(
            "retries",
            f"the charge went through on attempt {charges[0]['attempt']}"
            if charges
            else "no charge went through",
            len(charges) == 1 and charges[0]["attempt"] == 3,
        ),
        Promise(
            "dead letters",
            f"{letter.job} died of {letter.error.rpartition('.')[2]} after {letter.attempts} attempts"
            if letter
            else "nothing is on the dead letter queue",
            len(dead) == 1 and letter is not None and letter.job == "shop.refund" and letter.attempts == 3,
        ),
        *_delays(by_job["shop.remind"], reminders),
        Promise(
            "nothing lost",
            f"{len(thumbnails):,} of {pictures:,} thumbnails, {len(notes):,} calls in all",
            len(thumbnails) == pictures,
        ),
    ]


def _delays(notes: Sequence[dict[str, Any]], reminders: Reminders) -> list[Promise]:
    """What became of the delayed calls."""
    due_ms = reminders.kept.due_ms
    assert due_ms is not None
    late = [note["at"] - due_ms / 1000 for note in notes if note["order"] == 1]
    others = [note for note in notes if note["order"] != 1]
    return [
        Promise(
            "never early",
            f"the reminder that was delayed by 2 s came {late[0] * 1000:.0f} ms after its time"
            if late
            else "the reminder did not come",
            len(late) == 1 and 0 <= late[0] < _LATE,
        ),
        Promise(
            "cancelled",
            f"the other one was {reminders.verdict} within {reminders.answered * 1000:.0f} ms, and "
            f"{'came all the same' if others else 'never came'}",
            reminders.verdict is Verdict.CANCELLED and reminders.waited == 2 and not others,
        ),
    ]
