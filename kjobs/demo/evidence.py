"""What came of the demo: read from what its jobs wrote down, and from the dead letter queue."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..admin.deadletter import DeadLetter


@dataclass(frozen=True, slots=True)
class Promise:
    """A promise the demo shows: what it is, what was seen, and whether it was kept."""

    words: str
    seen: str
    kept: bool


def read(diary: Path) -> list[dict[str, Any]]:
    """What the jobs wrote down, in the order in which they did."""
    if not diary.exists():
        return []
    return [json.loads(line) for line in diary.read_text(encoding="utf-8").splitlines()]


def judge(
    notes: Sequence[dict[str, Any]], dead: Sequence[DeadLetter], *, users: int, versions: int, pictures: int
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
        Promise(
            "nothing lost",
            f"{len(thumbnails):,} of {pictures:,} thumbnails, {len(notes):,} calls in all",
            len(thumbnails) == pictures,
        ),
    ]
