"""What a job says about its failures: how often to retry, after how long, and until when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .concurrency import Concurrency
from .duration import Duration, seconds
from .isolation import Isolation

#: The longest a call waits in its lane, in memory, between two attempts (seconds); from there on it waits
#: in the deferred store.
LONGEST_WAIT_IN_LANE = 30.0

Jitter = Literal["full", "none"]
Order = Literal["strict", "relaxed"]


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff: before retry *n* wait ``base * factor ** (n - 1)``, at most ``cap``.

    With ``jitter="full"`` the wait is drawn evenly from zero up to that length, so that calls which
    failed together do not come back together
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).

    >>> Backoff(base=2, factor=2, cap="30s", jitter="none").delay(3, draw=0.0)
    8.0

    Raises:
        ValueError: a length is not a duration, ``factor`` is below 1, or ``jitter`` is unknown.
    """

    base: Duration = 2.0
    factor: float = 2.0
    cap: Duration = 3600.0
    jitter: Jitter = "full"

    def __post_init__(self) -> None:
        object.__setattr__(self, "base", seconds(self.base))
        object.__setattr__(self, "cap", seconds(self.cap))
        if not isinstance(self.factor, int | float) or self.factor < 1:
            raise ValueError(f"Backoff(factor={self.factor!r}): expected a number of at least 1")
        if self.jitter not in ("full", "none"):
            raise ValueError(f'Backoff(jitter={self.jitter!r}): expected "full" or "none"')

    def ceiling(self, failures: int) -> float:
        """The longest wait, in seconds, after this many failed attempts (1 or more)."""
        base, cap = seconds(self.base), seconds(self.cap)
        if base == 0:
            return 0.0
        # The exponent is bounded before the power: 2.0 ** 2000 would overflow.
        exponent = min(failures - 1, 1024)
        try:
            return min(cap, base * self.factor**exponent)
        except OverflowError:
            return cap

    def delay(self, failures: int, draw: float) -> float:
        """Seconds to wait after this many failed attempts; ``draw`` is a random number in [0, 1)."""
        longest = self.ceiling(failures)
        return longest * draw if self.jitter == "full" else longest


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The rules by which the outcome of an attempt becomes a disposition.

    Attributes:
        retries: attempts after the first one.
        backoff: how long to wait before each of them.
        retry_on: exceptions worth another attempt; any other ends as a dead letter at once.
        discard_on: exceptions that end the call quietly; they win over ``retry_on``.
        deadline: seconds after enqueueing beyond which no further attempt is begun, or None.
        timeout: seconds one attempt may take, or None.
        order: ``"strict"`` keeps a failing call's key waiting, ``"relaxed"`` lets later calls pass.
        concurrency: how many calls may run at a time in a worker process; None: as many as there are slots.
        isolate: calls run in processes of their own, with these limits; None: in the worker's threads.
    """

    retries: int = 8
    backoff: Backoff = field(default_factory=Backoff)
    retry_on: tuple[type[BaseException], ...] = (Exception,)
    discard_on: tuple[type[BaseException], ...] = ()
    deadline: float | None = None
    timeout: float | None = None
    order: Order = "strict"
    concurrency: Concurrency | None = None
    isolate: Isolation | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.retries, int) or isinstance(self.retries, bool) or self.retries < 0:
            raise ValueError(f"retries={self.retries!r}: expected a whole number of zero or more")
        if self.order not in ("strict", "relaxed"):
            raise ValueError(f'order={self.order!r}: expected "strict" or "relaxed"')
        if self.concurrency is not None and not isinstance(self.concurrency, Concurrency):
            raise ValueError(f"concurrency={self.concurrency!r}: expected a number or a Concurrency")
        if self.isolate is not None and not isinstance(self.isolate, Isolation):
            raise ValueError(f"isolate={self.isolate!r}: expected True, False or an Isolation")
        for name in ("retry_on", "discard_on"):
            for kind in getattr(self, name):
                if not (isinstance(kind, type) and issubclass(kind, BaseException)):
                    raise ValueError(f"{name}: {kind!r} is not an exception class")
