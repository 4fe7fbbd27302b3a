"""What all faults have in common."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar, TypeVar

from tests.proof import history as h
from tests.torture.desk import Life
from tests.torture.plan import Order, Row
from tests.torture.stage import Stage

T = TypeVar("T")

#: Who has this may do something to brokers, or ask them what they cannot be asked while they come and go.
BROKERS = "brokers"


class Missed(Exception):
    """A fault could not be injected: what it is about is not there, or is in the hands of another one."""


class Fault:
    """One fault.

    Args:
        stage: what it is done to.
        order: as the plan has it.

    Attributes:
        row: its kind.
        where: whom it hit, for people.
    """

    row: ClassVar[Row]

    def __init__(self, stage: Stage, order: Order) -> None:
        self.stage = stage
        self.order = order
        self.where = ""
        self._claimed: list[str] = []
        self._outages: list[tuple[str, str]] = []

    def inject(self) -> None:
        """Do it.

        Raises:
            Missed: it cannot be done now.
        """
        raise NotImplementedError

    def heal(self) -> None:
        """End it, as far as it does not end by itself."""

    # --- for those that are derived ------------------------------------------------------------------

    def claim(self, *what: str) -> None:
        """Have something for itself until it is healed."""
        for name in what:
            if not self.stage.claim(name):
                raise Missed(f"{name} is in other hands")
            self._claimed.append(name)

    def release(self) -> None:
        """Let go of everything that was claimed."""
        for name in self._claimed:
            self.stage.release(name)
        self._claimed.clear()

    def one_of(self, found: Sequence[T]) -> T:
        """The one that the plan has drawn."""
        if not found:
            raise Missed("there is none")
        return found[int(self.order.draw * len(found))]

    def worker(self, *crews: str) -> Life:
        """A worker process, of these crews or of any."""
        lives = [life for life in self.stage.desk.lives() if not crews or life.crew in crews]
        life = self.one_of(lives)
        self.claim(f"process:{life.pid}")
        self.where = life.inc
        return life

    def crew(self, *names: str) -> str:
        """A crew, of these or of any."""
        name = self.one_of(names or tuple(self.stage.crews.crews))
        self.claim(f"crew:{name}")
        self.where = name
        return name

    def outage(self, *incs: str) -> None:
        """From now on commits may fail: of these processes, or of all."""
        what = f"{self.row.name}@{self.order.at}"
        for inc in incs or ("",):
            self._outages.append((what, inc))
            self.tell(h.FaultBegan(time.monotonic(), inc, what=what))

    def outage_ends(self) -> None:
        """From now on they should not."""
        for what, inc in self._outages:
            self.tell(h.FaultEnded(time.monotonic(), inc, what=what))
        self._outages.clear()

    def tell(self, *events: h.Event) -> None:
        """Write something into the history."""
        self.stage.recorder.record(*events)
