"""Batches that a reader's client could not read: how often, and what is to be done about them.

A wrong checksum or broken compression may come of the way to us, and be gone the next time. So a batch is
given some tries, and then a *survey* finds out where it ends, while the reader goes on with other partitions.
Until then nothing from behind it may be taken: the client sometimes stumbles on past what it could not read,
and that would be a silent jump.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ..core.events import Place
from .survey import Unreadable

log = logging.getLogger("kjobs.kafka")

#: How often a batch is fetched before it is given up.
TRIES = 3


@dataclass(slots=True)
class Doubt:
    """About the batch that begins at ``first``.

    Attributes:
        tries: how often it could not be read.
        surveyed: somebody is finding out where it ends.
        told: the client has said so since it was last told to read the batch.
    """

    first: int
    tries: int = 0
    surveyed: bool = False
    told: bool = False


class Doubts:
    """The batches in doubt of one reader, one of a partition. For one thread, but for the surveys.

    Args:
        survey: finds where the batch of a partition ends that begins at an offset; None if it can be read.
            Called in a thread of its own.
    """

    def __init__(self, survey: Callable[[Place, int], Unreadable | None]) -> None:
        self._survey = survey
        self._doubts: dict[Place, Doubt] = {}
        self._answers: deque[tuple[Place, Doubt, Unreadable | None, Exception | None]] = deque()

    def __bool__(self) -> bool:
        """Whether there is any; most of the time there is none, and nobody needs to ask further."""
        return bool(self._doubts)

    def about(self, place: Place) -> int | None:
        """Where the batch in doubt of a partition begins."""
        doubt = self._doubts.get(place)
        return None if doubt is None else doubt.first

    def raise_(self, place: Place, first: int) -> bool:
        """The batch that begins at ``first`` could not be read; whether that counts."""
        doubt = self._doubts.get(place)
        if doubt is None or first < doubt.first:
            doubt = self._doubts[place] = Doubt(first)
        elif first > doubt.first:
            return False  # behind a batch in doubt: nothing that is said of it counts yet
        doubt.told = True
        doubt.tries += 1
        if doubt.tries >= TRIES and not doubt.surveyed:
            doubt.surveyed = True
            threading.Thread(target=self._find, args=(place, doubt), name="kjobs-survey", daemon=True).start()
        return True

    def leapt(self, place: Place) -> None:
        """Something came from behind the batch in doubt of a partition, which is read again now.

        That is a try of its own only if the client said nothing of the batch: it may leap because it could
        not read it, or because compaction has left nothing at its beginning.
        """
        doubt = self._doubts[place]
        if not doubt.told:
            self.raise_(place, doubt.first)
        doubt.told = False

    def _find(self, place: Place, doubt: Doubt) -> None:
        try:
            self._answers.append((place, doubt, self._survey(place, doubt.first), None))
        except Exception as error:
            self._answers.append((place, doubt, None, error))

    def settled(self) -> list[tuple[Place, int, Unreadable | None]]:
        """The doubts that are over: what could not be read; None if the batch that begins there can be."""
        over: list[tuple[Place, int, Unreadable | None]] = []
        while self._answers:
            place, doubt, found, error = self._answers.popleft()
            if self._doubts.get(place) is not doubt:
                continue  # it was forgotten meanwhile
            if error is not None:
                log.warning("%s[%d] cannot be read on: %s", *place, error, extra={"event": "kafka.trouble"})
                doubt.tries, doubt.surveyed = 0, False
                continue
            del self._doubts[place]
            over.append((place, doubt.first, found))
        return over

    def forget(self, place: Place) -> None:
        """The partition is read from elsewhere on, or what was in doubt could be read."""
        self._doubts.pop(place, None)
