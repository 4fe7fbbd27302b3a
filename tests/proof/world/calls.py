"""A simulated call: what is known of it, wherever it is at the moment."""

from __future__ import annotations

from dataclasses import dataclass

from kjobs.core.events import Place

from .plan import Script


@dataclass(slots=True, eq=False)
class Call:
    """A call, as whoever enqueued it knows it; what it is found by is its value, which never changes.

    Attributes:
        name: its name in the history; None if it cannot be decoded.
        value: the bytes of its records.
        place: the topic and partition it was written to: the queue's, or the log of the deferred store.
        offset: where in it.
        early: the time that is written in the call itself, before which it is not to run.
        attempts: how many attempts have ended.
        crashes: how many processes it has ended, its own ones not counted.
        cut_off: how many times it looked as if its worker had ended while it ran as a suspect.
        condemned: it was buried because its processes ended.
    """

    name: str | None
    value: bytes
    key: bytes | None
    script: Script
    place: Place
    offset: int
    early: float = 0.0
    attempts: int = 0
    crashes: int = 0
    cut_off: int = 0
    condemned: bool = False

    @property
    def ending(self) -> str:
        """How the next attempt ends."""
        endings = self.script.endings
        if endings[0] == "early":
            return "early"  # until its time has come; see ``outcomes.py``
        return endings[min(self.attempts, len(endings) - 1)]
