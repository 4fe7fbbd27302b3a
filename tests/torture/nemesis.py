"""Carries out a plan: injects each fault at its time, and heals it."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import IO

from confluent_kafka import KafkaException

from kjobs.errors import KjobsError
from tests.torture.faults import FAULTS, Fault, Missed
from tests.torture.plan import Order
from tests.torture.stage import Stage

_EXPECTED = (KafkaException, KjobsError, AssertionError, OSError)


class Nemesis:
    """The bad one.

    Args:
        stage: whom it torments.
        plan: with what.

    Attributes:
        injected: how often each fault was.
        missed: how often each could not be.
    """

    def __init__(self, stage: Stage, plan: Sequence[Order]) -> None:
        self._stage = stage
        self._plan = plan
        self.injected: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Put the whole plan on the agenda, from now on."""
        self._log: IO[str] = (self._stage.folders.root / "faults.jsonl").open("w")
        began = time.monotonic()
        for order in self._plan:
            self._stage.agenda.at(began + order.at, lambda order=order: self._inject(order))  # type: ignore[misc]

    def _inject(self, order: Order) -> None:
        fault = FAULTS[order.fault](self._stage, order)
        began = time.monotonic()
        try:
            fault.inject()
        except Missed as missed:
            self._note(order, fault, "missed", str(missed))
            self._heal(order, fault, quiet=True)
            return
        except _EXPECTED as error:
            # In the middle of other faults much fails that is not kjobs.
            self._note(order, fault, "missed", f"{type(error).__name__}: {error}")
            self._heal(order, fault, quiet=True)
            return
        self._note(order, fault, "injected", "")
        self._stage.agenda.at(began + order.seconds, lambda: self._heal(order, fault))

    def _heal(self, order: Order, fault: Fault, *, quiet: bool = False) -> None:
        try:
            fault.heal()
        except _EXPECTED as error:
            self._note(order, fault, "not healed", f"{type(error).__name__}: {error}")
        except (AttributeError, KeyError):
            if not quiet:  # else it was not injected, and has nothing to heal
                raise
        fault.outage_ends()
        fault.release()
        if not quiet:
            self._note(order, fault, "healed", "")

    def _note(self, order: Order, fault: Fault, what: str, why: str) -> None:
        line = {
            "t": round(time.monotonic(), 3),
            "fault": order.fault,
            "variant": order.variant,
            "where": fault.where,
            "what": what,
            "why": why[:500],
        }
        with self._lock:
            if what == "injected":
                self.injected[order.fault] += 1
            elif what == "missed":
                self.missed[order.fault] += 1
            self._log.write(json.dumps(line) + "\n")
            self._log.flush()
